import dataclasses
import sys

import numpy as np
import pytest

import drnet_jax
from drnet_jax.base.errors import InputError
from drnet_jax.commands import demo
from drnet_jax.data.moving_mnist.source import MovingMnistSource
from drnet_jax.demo.playground import MOST_FRAMES, Clip, Playground
from tests.helpers import videos


@pytest.fixture(scope="module")
def playground(trained):
    return Playground(drnet_jax.load(trained), "it", num_clips=3)


def decoded(model, content_frame, pose_frames):
    """Returns what the public interface decodes, in gray levels."""
    return 255 * np.asarray(model.decode(model.content(content_frame), model.pose(pose_frames)))


def assert_shows(picture, frame, x, y):
    """Asserts that `picture` has an enlarged `frame` at the given place, but for rounding."""
    factor = -(-120 // len(frame)) if x or y else len(picture) // len(frame)
    side = factor * len(frame)
    shown = picture[y : y + side : factor, x : x + side : factor].astype(int)
    assert np.abs(shown - frame).max() <= 1


def test_clips_are_those_of_the_test_split(playground, monkeypatch):
    clips = np.stack([clip.frames for clip in playground.clips])
    assert clips.shape == (3, MOST_FRAMES, 16, 16, 3) and clips.dtype == np.uint8
    assert len(np.unique(clips.reshape(3 * MOST_FRAMES, -1), axis=0)) > MOST_FRAMES
    assert not playground.missing
    frames, asked = MovingMnistSource.frames, []

    def record(self, split, clips, times):
        asked.append((split, list(times)))
        return frames(self, split, clips, times)

    monkeypatch.setattr(MovingMnistSource, "frames", record)
    monkeypatch.setattr(MovingMnistSource, "max_frames", 40)
    # The same clips again, as far as those of the data set go.
    again = playground.model.held_out_clips(3, 50)
    np.testing.assert_array_equal(again[:, :MOST_FRAMES], clips)
    assert asked == [("test", list(range(40)))]


def test_a_swap_has_the_content_of_one_clip_and_the_poses_of_the_other(playground):
    content, motion, _ = playground.clips
    motion = dataclasses.replace(motion, frames=motion.frames[:7])
    shown = playground.swap(content, motion)
    expected = decoded(playground.model, content.frames[10], motion.frames)
    assert len(shown.video) == 7
    # Three frames of 16 x 16, enlarged eight times, with gaps of 16 between them.
    for time, picture in enumerate(shown.video):
        for number, frame in enumerate((content.frames[10], motion.frames[time], expected[time])):
            assert_shows(picture, frame, 8 + number * (128 + 16), 30)


def test_sliders_begin_at_the_pose_of_the_clip_and_move_the_frame(playground):
    content, motion, _ = playground.clips
    pose = playground.pose(motion)
    np.testing.assert_allclose(pose, playground.model.pose(motion.frames[10]), atol=1e-4)
    expected = decoded(playground.model, content.frames[10], motion.frames[10])
    assert_shows(playground.decode(content, pose), expected, 0, 0)
    moved = np.float32(pose) + np.float32([1, 0, 0])
    expected = 255 * np.asarray(
        playground.model.decode(playground.model.content(content.frames[10]), moved)
    )
    assert_shows(playground.decode(content, list(moved)), expected, 0, 0)
    for (low, high), value in zip(playground.ranges(playground.clips), pose, strict=True):
        assert low < value < high
    assert playground.ranges([]) == [(-1, 1)] * 3


def test_between_two_poses_begins_at_one_and_ends_at_the_other(playground):
    first, last, _ = playground.clips
    played = playground.between(first, first, last).video
    # There and back, without the ends twice.
    assert len(played) == 2 * MOST_FRAMES - 2
    np.testing.assert_array_equal(played[1 : MOST_FRAMES - 1], played[: MOST_FRAMES - 1 : -1])
    for picture, clip in ((played[0], first), (played[MOST_FRAMES - 1], last)):
        expected = decoded(playground.model, first.frames[10], clip.frames[10])
        assert_shows(picture, expected, 0, 0)


@pytest.mark.parametrize("num_steps", [1, 7, 25])
def test_a_rollout_shows_the_observed_frames_and_as_many_as_were_asked_for(playground, num_steps):
    clip = playground.clips[0]
    played = playground.rollout(clip, num_steps)
    assert len(played) == 5 + num_steps
    expected = np.asarray(playground.model.rollout(clip.frames[:5], num_steps))
    for picture, frame in zip(played, [*clip.frames[:5], *expected], strict=True):
        shown = picture[32:112:5, 56:136:5].astype(int)
        assert np.abs(shown - frame).max() <= 1


def test_long_rollouts_skip_steps(playground, monkeypatch):
    clip = playground.clips[0]
    monkeypatch.setattr("drnet_jax.demo.playground._DENSE_STEPS", 10)
    monkeypatch.setattr("drnet_jax.demo.playground._MOST_PLAYED", 20)
    # 30 steps after the first ten are shown in strides of three.
    assert len(playground.rollout(clip, 35)) == 20


@pytest.mark.parametrize("num_steps", [0, -1, 1.5, 10_001])
def test_rollouts_of_impossible_lengths_are_refused(playground, num_steps):
    with pytest.raises(ValueError, match=r"steps; allowed: whole numbers from 1 to 10,000\."):
        playground.rollout(playground.clips[0], num_steps)


def test_a_clip_too_short_to_observe_is_refused(playground):
    short = Clip("a.mp4", playground.clips[0].frames[:4])
    with pytest.raises(ValueError, match=r"a\.mp4 has 4 frames; allowed: at least 5\."):
        playground.rollout(short, 3)


def test_a_users_clip_is_read_as_training_would(playground, tmp_path):
    frames = videos.clip(1, num_frames=30)
    videos.write_video(tmp_path / "my.mkv", frames)
    clip = playground.read(str(tmp_path / "my.mkv"))
    assert clip.name == "my.mkv"
    np.testing.assert_array_equal(clip.frames, frames[:MOST_FRAMES])


def test_without_its_data_a_model_can_still_be_played_with(trained, monkeypatch):
    def fail(*_):
        raise FileNotFoundError("There is no folder videos.\nMore.")

    monkeypatch.setattr(drnet_jax.Model, "held_out_clips", fail)
    playground = Playground(drnet_jax.load(trained), "it", 3)
    assert (playground.clips, playground.missing) == ([], "There is no folder videos.")


@pytest.mark.parametrize(
    ("scores", "note"),
    [
        (None, ""),
        ({"data": 3}, ""),
        ({"data": {"note": "people", "stand_in": True}}, "Stand-in data: people."),
        ({"data": {"note": "people", "stand_in": False}}, "Data: people."),
    ],
)
def test_stand_in_data_are_called_so(playground, monkeypatch, scores, note):
    monkeypatch.setattr(type(playground.model), "scores", scores)
    assert playground.note == note


def test_without_gradio_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r"needs the extra demo: pip install 'drnet_jax\[demo\]'"):
        demo.run("mnist", 0)
