"""Frames of prepared clips, wherever they are kept."""

import errno
import io
import tempfile

import numpy as np
import pytest

from drnet_jax.data.clip_store import ClipStore
from drnet_jax.data.preparation import prepare
from tests.helpers import toy_clips

LENGTHS = (3, 5, 8, 4)
BYTES = 64  # Of a frame.


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    config = toy_clips.ToyConfig(lengths=LENGTHS, name="toy")
    builder = toy_clips.Toy(config=config, data_dir=tmp_path_factory.mktemp("clips"))
    prepare.prepare_clips(builder, max_skipped=0)
    return builder


def check(store):
    clips = np.array([2, 0, 3, 3, 1])
    times = np.array([[7, 0], [2, 1], [0, 3], [3, 3], [4, 0]])
    np.testing.assert_array_equal(store.lengths, LENGTHS)
    frames = store.gather(clips, times)
    assert frames.shape == (5, 2, 8, 8, 1)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(toy_clips.read(frames), 20 * clips[:, None] + times)


@pytest.mark.parametrize("num_frames", [0, 3, 8, 19, 20])
def test_frames_are_the_same_wherever_they_are(builder, num_frames):
    store = ClipStore(builder, "train", BYTES * num_frames)
    assert store.in_memory == (num_frames == 20)
    check(store)


def test_unpacked_frames_leave_no_file_behind(builder):
    folder = builder.data_path.parent
    before = sorted(folder.iterdir())
    store = ClipStore(builder, "train", 0)
    assert sorted(folder.iterdir()) == before
    check(store)


class FullDisk(io.BytesIO):
    def flush(self):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_without_room_on_disk_whole_clips_are_read(builder, monkeypatch, caplog):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: FullDisk())
    check(ClipStore(builder, "train", 0))
    assert "read slowly" in caplog.text
    assert "No space left" in caplog.text
