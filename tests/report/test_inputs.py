import json

import pytest
from etils import epath

from drnet_jax.report import inputs, markup


def test_read_curves_sorts_and_skips(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"stage": "a", "step": 2, "loss": 5.0}\n'
        "\n[]\n7\n"
        '{"stage": "a", "step": 1, "loss": 3, "note": "text", "flag": true}\n'
        '{"stage": "a", "step": 2, "loss": 4.0}\n'
        '{"stage": "a", "step": 3, "loss": NaN}\n'
        '{"stage": "a", "loss": 9.0}\n'
        '{"stage": "a", "ste'
    )
    assert inputs.read_curves(path) == {"a": {"loss": [(1, 3.0), (2, 4.0)]}}


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])]
)
def test_spread_keeps_both_ends(count, expected):
    assert inputs.spread(range(count), 4) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0, "0"), (0.010213, "0.0102"), (31.24, "31.2"), (0.5, "0.500"), (1234.5, "1234")),
        *((-0.25, "\N{MINUS SIGN}0.250"), (0.0000123, "1.23e\N{MINUS SIGN}5")),
    ],
)
def test_number(value, expected):
    assert markup.number(value) == expected


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (1, "1 clip"),
        (2, "2 clips"),
        (20_000, "20,000 clips"),
        (None, "clips"),
        ("<b>", "<b> clips"),
    ],
)
def test_counts_have_their_plurals(amount, words):
    assert markup.count(amount, "clip") == words


def test_nested_settings_are_grouped_by_dotted_names():
    record = {"seed": 1, "a": {"b": {"c": [1, "x"]}, "d": None}, "empty": {}}
    groups = {"": {"seed": 1}, "a": {"d": None}, "a.b": {"c": [1, "x"]}}
    assert markup.settings_groups(record) == groups
    assert [markup.plain(value) for value in (1, [1, "x"], None)] == ["1", "1, x", "null"]


def test_unknown_ends_of_intervals(tmp_path):
    unknown = {"mean": [2.0, 3.0], "low": [None, None], "high": [None, None]}
    scores = {"one": {"mean": 2.0, "low": None, "high": None}, "many": unknown}
    (tmp_path / "evaluation.json").write_text(json.dumps(scores))
    read = inputs.Inputs.read(epath.Path(tmp_path))
    assert read.score("one") == scores["one"]
    # A chart has no band there.
    assert read.series([1, 2], "many") == {key: [2.0, 3.0] for key in unknown}
