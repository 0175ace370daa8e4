"""Frames of prepared clips: in memory, or unpacked on disk once for all runs."""

import errno
import pathlib
import shutil

import numpy as np
import pytest

from drnet_jax.base import files
from drnet_jax.data.clip_store import ClipStore
from drnet_jax.data.frames_file import FramesFile
from tests.helpers import squares, toy_clips

BYTES = 64  # Of a frame.


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    toy_clips.create(folder)
    return folder


@pytest.fixture
def builder(prepared, tmp_path):
    """A data set whose files a test may change."""
    return toy_clips.create(shutil.copytree(prepared, tmp_path / "clips"))


def files_of(builder):
    return {path.name for path in builder.data_path.iterdir()}


def check(store):
    clips = np.array([2, 0, 3, 3, 1])
    times = np.array([[7, 0], [2, 1], [0, 3], [3, 3], [4, 0]])
    assert store.names == [f"train {i}" for i in range(4)]
    assert store.factors == [{"object": i} for i in range(4)]
    np.testing.assert_array_equal(store.lengths, [3, 5, 8, 4])
    frames = store.gather(clips, times)
    assert frames.shape == (5, 2, 8, 8, 1)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(toy_clips.read(frames), 20 * clips[:, None] + times)


def test_frames_are_the_same_wherever_they_are_stored(builder):
    prepared = files_of(builder)
    # Kept in memory when all 20 fit, and read from the records until there is another file.
    for num_frames, unpacked in {20: set(), 19: {"train.frames", "train.index"}}.items():
        store = ClipStore(builder, "train", BYTES * num_frames)
        assert store.in_memory == (not unpacked)
        check(store)
        assert {name for name in files_of(builder) - prepared if name[0] != "."} == unpacked
    for num_frames in (0, 3, 8, 20):
        store = ClipStore(builder, "train", BYTES * num_frames)
        assert store.in_memory == (num_frames == 20)
        check(store)


def test_frames_are_unpacked_only_once(builder, monkeypatch):
    check(ClipStore(builder, "train", 0))
    monkeypatch.setattr(toy_clips.Toy, "deserialize", None)  # No record can be read any more.
    for max_bytes in (0, 1e9):
        check(ClipStore(builder, "train", max_bytes))


def test_factors_survive_unpacking(tmp_path):
    builder = squares.prepared(tmp_path)
    in_memory, *on_disk = [ClipStore(builder, "test", limit) for limit in (1e9, 0, 0)]
    for store in on_disk:
        assert store.names == in_memory.names
        for ours, expected in zip(store.factors, in_memory.factors, strict=True):
            assert list(map(type, ours.values())) == list(map(type, expected.values()))
            np.testing.assert_equal(ours, expected)


@pytest.mark.parametrize("damaged", ["train.frames", "train.index"])
@pytest.mark.parametrize("damage", ["changed", "truncated", "empty", "missing"])
def test_damaged_files_are_written_again(builder, damaged, damage):
    check(ClipStore(builder, "train", 0))
    path = pathlib.Path(builder.data_path / damaged)
    stored = path.read_bytes()
    path.unlink()
    if damage != "missing":
        middle = len(stored) // 2
        changed = stored[:middle] + bytes([stored[middle] ^ 1]) + stored[middle + 1 :]
        path.write_bytes({"changed": changed, "truncated": stored[:-64], "empty": b""}[damage])
    assert FramesFile(builder, "train").load() is None
    check(ClipStore(builder, "train", 0))
    assert path.read_bytes() == stored


def test_files_of_other_records_are_written_again(builder):
    check(ClipStore(builder, "train", 0))
    for name in ("frames", "index"):
        (builder.data_path / f"train.{name}").copy(builder.data_path / f"test.{name}")
    store = ClipStore(builder, "test", 0)
    assert store.names == ["test 0", "test 1", "test 2"]
    assert toy_clips.read(store.gather(np.array([1]), np.array([[7]]))) == 127


@pytest.mark.parametrize("full", ["while frames are written", "before the index is written"])
def test_without_room_on_disk_whole_clips_are_read(builder, monkeypatch, caplog, full):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if full == "before the index is written":
        monkeypatch.setattr(files, "write_atomically", fail)
    else:
        monkeypatch.setattr(pathlib.Path, "replace", fail)
    store = ClipStore(builder, "train", 0)
    assert not store.in_memory
    check(store)
    assert "read slowly" in caplog.text
    assert "No space left" in caplog.text
    assert not [name for name in files_of(builder) if name.endswith((".part", ".index"))]
