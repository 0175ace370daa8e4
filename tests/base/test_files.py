"""Files that notice damage."""

from drnet_jax.base import files


def test_checked_files_notice_any_damage(tmp_path):
    path, items = tmp_path / "below" / "file", [b"", b"\0", b"a record"]
    assert files.read_checked(path) is None
    files.write_checked(path, items)
    assert files.read_checked(path) == items
    stored = path.read_bytes()
    for i in range(0, len(stored), 11):
        path.write_bytes(stored[:i] + bytes([stored[i] ^ 255]) + stored[i + 1 :])
        assert files.read_checked(path) is None
        path.write_bytes(stored[:i])
        assert files.read_checked(path) is None
    files.write_checked(path, [])
    assert files.read_checked(path) == []
