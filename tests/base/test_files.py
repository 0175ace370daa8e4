"""Files that are written whole, notice damage, and move."""

import concurrent.futures

import fsspec

from drnet_jax.base import files


def test_a_reader_never_sees_half_a_file(folder):
    """One thread reads while two contents, too large for one write to a disk, are written."""
    contents = {bytes([i]) * (1_000_000 + 200_000 * i) for i in range(2)}
    path = folder / "below" / "file"
    files.write_atomically(path, min(contents))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reads = [pool.submit(files.read, path) for _ in range(10)]
        while not reads[-1].done():
            for content in contents:
                assert files.write_atomically(path, content) == path
    assert {read.result() for read in reads} <= contents
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_another_process_writes_is_not_hidden_by_an_earlier_listing(bucket):
    files.write_atomically(bucket / "file", "short")
    assert [path.name for path in bucket.iterdir()] == ["file"]
    other = fsspec.filesystem("gcs", skip_instance_cache=True)
    other.pipe({str(bucket / "file"): b"much longer", str(bucket / "new"): b""})
    assert (bucket / "file").read_text() == "much longer"
    assert (bucket / "new").exists()


def test_a_folder_moves_with_all_that_is_in_it(folder):
    for name in ("a", "below/b", "below/c/d"):
        files.write_atomically(folder / "old" / name, name)
    files.write_atomically(folder / "older", "stays")
    files.move(folder / "old", folder / "new")
    assert not (folder / "old").exists()
    assert {path.name for path in folder.iterdir()} == {"new", "older"}
    for name in ("a", "below/b", "below/c/d"):
        assert (folder / "new" / name).read_text() == name


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
