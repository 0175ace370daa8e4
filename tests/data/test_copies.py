"""A video that is in a folder twice never trains and tests a model."""

import shutil

import numpy as np
import pytest

from drnet_jax.data.preparation import copies
from drnet_jax.data.preparation.builder import SPLITS
from drnet_jax.data.preparation.prepare import prepare_clips
from tests.helpers.video_folders import create
from tests.helpers.videos import clip, write_pictures, write_video


def test_copies_are_left_out_of_the_test(tmp_path, caplog):
    folder = tmp_path / "videos"
    write_video(folder / "train" / "a.mkv", clip(1))
    write_video(folder / "train" / "b.mkv", clip(2))
    # Another container and other pictures have the same frames.
    write_video(folder / "test" / "copy of a.avi", clip(1))
    write_pictures(folder / "test" / "b", clip(2), [f"{i}.png" for i in range(6)])
    write_video(folder / "test" / "c.mkv", clip(3))
    builder = create(folder, tmp_path / "data")
    path = prepare_clips(builder, max_skipped=0)  # Copies do not count as unreadable.
    files = {
        split: [record["file"].decode() for record in builder.as_data_source(split=split)]
        for split in SPLITS
    }
    assert files == {"train": ["train/a.mkv", "train/b.mkv"], "test": ["test/c.mkv"]}
    assert (
        "## Copies left out of the test\n\n"
        "- test/b: the frames of train/b.mkv, which is for training\n"
        "- test/copy of a.avi: the frames of train/a.mkv, which is for training\n\n## License"
    ) in (path / "card.md").read_text()
    assert "Left out of the test: test/copy of a.avi has the frames of train/a.mkv." in caplog.text


def test_a_test_of_copies_alone_is_refused(tmp_path):
    write_video(tmp_path / "train" / "a.mkv", clip(1))
    (tmp_path / "test").mkdir()
    shutil.copy(tmp_path / "train" / "a.mkv", tmp_path / "test" / "a.mkv")
    with pytest.raises(ValueError, match=r"'test' would have no clips.*1 test input .* as copies"):
        prepare_clips(create(tmp_path, tmp_path / "data"), max_skipped=0)


def test_frames_alone_decide_and_still_clips_are_nobodys_copies():
    frames = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    assert copies.digest(frames) == copies.digest(frames.copy())
    assert copies.digest(frames) != copies.digest(frames[:, :, ::-1])
    assert copies.digest(frames) != copies.digest(frames.reshape(2, 2, 3, 2))
    black = copies.digest(np.zeros_like(frames))
    assert copies.of_training({"a": [black]}, {"b": [black]}) == {}
    assert copies.of_training({"a": [b"1"], "b": [b"2"]}, {"c": [b"3", b"2"], "d": [b"4"]}) == {
        "c": "b"
    }
