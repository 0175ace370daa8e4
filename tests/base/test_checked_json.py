import json

import pytest

from drnet_jax.base import checked_json

RECORD = {"step": 3, "loss": 0.1, "name": "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "x": [1, None]}


def test_what_was_written_comes_back_and_is_plain_json(tmp_path):
    path = tmp_path / "a.json"
    checked_json.write(path, RECORD)
    assert checked_json.read(path) == RECORD
    assert json.loads(path.read_text()).items() > RECORD.items()
    assert checked_json.parse(checked_json.line(RECORD)) == RECORD


@pytest.mark.parametrize("form", ["file", "line"])
def test_every_flipped_bit_is_noticed_or_changes_nothing(form, tmp_path):
    checked_json.write(tmp_path / "a.json", RECORD)
    whole = (tmp_path / "a.json").read_bytes()
    content = whole if form == "file" else checked_json.line(RECORD).encode()
    noticed = 0
    for place in range(len(content) * 8):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        try:
            found = checked_json.parse(bytes(changed))
        except ValueError:
            noticed += 1
        else:
            # A changed name of the checksum leaves an entry that means nothing.
            assert {name: found[name] for name in RECORD} == RECORD
    assert noticed > 0.8 * 8 * len(content)


def test_damage_is_reported_with_the_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(checked_json.line(RECORD).replace("0.1", "0.2"))
    with pytest.raises(ValueError, match=r"a.json is damaged: its checksum is wrong; if you have"):
        checked_json.read(path)
    path.write_text("[1]")
    with pytest.raises(ValueError, match="expected a JSON object, found list"):
        checked_json.read(path)


def test_records_without_a_checksum_are_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(RECORD))
    assert checked_json.read(tmp_path / "a.json") == RECORD
