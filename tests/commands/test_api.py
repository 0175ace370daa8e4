import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

import drnet_jax
from drnet_jax import api
from tests.helpers import videos


@pytest.fixture(scope="module")
def model(trained):
    return drnet_jax.load(trained)


@pytest.fixture(scope="module")
def frames(trained):
    with np.load(trained / "samples" / "rollout.npz") as arrays:
        return arrays["truth"][:, :5]


def test_uint8_and_float_frames_are_the_same(model, frames):
    as_float = frames / np.float32(255)
    np.testing.assert_allclose(model.pose(frames), model.pose(as_float), atol=1e-6)
    np.testing.assert_allclose(
        model.content(frames).vector, model.content(as_float).vector, atol=1e-6
    )


def test_a_time_axis_is_a_batch_of_frames(model, frames):
    poses = model.pose(frames)
    content = model.content(frames)
    assert poses.shape == (2, 5, 3)
    assert content.vector.shape == (2, 5, 4)
    np.testing.assert_allclose(poses[:, 2], model.pose(frames[:, 2]), atol=1e-6)
    decoded = model.decode(content, poses)
    assert decoded.shape == (2, 5, 16, 16, 3)
    assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1
    one = jax.tree.map(lambda x: x[:, 4], content)
    np.testing.assert_allclose(
        model.decode(one, poses)[:, 1], model.decode(one, poses[:, 1]), atol=1e-6
    )


def test_rollout_equals_the_one_that_training_wrote(model, frames, trained):
    with np.load(trained / "samples" / "rollout.npz") as arrays:
        expected = arrays["frames"][:, 5:].astype(int)
    rollout = np.asarray(model.rollout(frames, 12))
    assert rollout.dtype == np.uint8
    np.testing.assert_allclose(rollout.astype(int), expected, atol=1)


def test_variables_and_config_are_there(model):
    assert set(model.variables) == {
        *("content_encoder", "pose_encoder", "decoder", "discriminator", "predictor")
    }
    assert model.config.model.pose_dim == 3


def test_lists_pictures_and_paths_are_frames(model, frames, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    pictures = [Image.fromarray(frame) for frame in frames[0]]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    expected = model.pose(frames[0])
    for given in (list(frames[0]), pictures, paths, [str(path) for path in paths]):
        np.testing.assert_array_equal(model.pose(given), expected)
    np.testing.assert_allclose(model.pose(paths[2]), expected[2], atol=1e-6)
    np.testing.assert_array_equal(model.pose([pictures, pictures])[1], expected)
    large = pictures[0].resize((64, 64), Image.Resampling.NEAREST)
    assert model.pose(large).shape == (3,)


def test_read_returns_the_frames_of_a_users_video(model, tmp_path):
    frames = videos.clip(1, num_frames=6)
    videos.write_video(tmp_path / "a.mkv", frames)
    videos.write_pictures(tmp_path / "b", frames)
    for name in ("a.mkv", "b"):
        np.testing.assert_array_equal(model.read(tmp_path / name), frames)
    np.testing.assert_array_equal(model.read(str(tmp_path / "a.mkv"), num_frames=2), frames[:2])
    np.testing.assert_array_equal(model.read(tmp_path / "b" / "3.png"), frames[3:4])
    with pytest.raises(ValueError, match=r"holds 2 clips, such as a\.mkv, b; give a single video"):
        model.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no .*; give a video or a folder of pic"):
        model.read(tmp_path / "c")


def test_embed_returns_content_and_pose_of_every_frame(model, frames, tmp_path, monkeypatch):
    expected = model.content(frames).vector, model.pose(frames)
    for size in (128, 4):  # All at once, and with a last batch that is not full.
        monkeypatch.setattr(api, "BATCH_FRAMES", size)
        for vectors, right in zip(model.embed(frames), expected, strict=True):
            assert vectors.dtype == np.float32
            np.testing.assert_allclose(vectors, right, atol=1e-6)
    video = videos.clip(1, num_frames=6)
    videos.write_video(tmp_path / "a.mkv", video)
    content, pose = model.embed(tmp_path / "a.mkv")
    assert (content.shape, pose.shape) == ((6, 4), (6, 3))
    np.testing.assert_allclose(pose, model.pose(video), atol=1e-6)
    one = model.embed(video[0])
    np.testing.assert_allclose(one[1], pose[0], atol=1e-6)


def test_a_clip_and_a_frame_need_no_batch_axis(model, frames):
    clip = frames[0]
    np.testing.assert_allclose(model.pose(clip[3]), model.pose(clip)[3], atol=1e-6)
    np.testing.assert_allclose(
        model.content(clip[3]).vector, model.content(clip).vector[3], atol=1e-6
    )
    one = model.decode(model.content(clip[0]), model.pose(clip[1]))
    two = model.decode(model.content(frames[:, 0]), model.pose(frames[:, 1]))
    assert one.shape == (16, 16, 3)
    np.testing.assert_allclose(one, two[0], atol=1e-6)
    rollout, rollouts = model.rollout(clip, 4), model.rollout(frames, 4)
    assert rollout.shape == (4, 16, 16, 3)
    np.testing.assert_allclose(rollout.astype(int), rollouts[0].astype(int), atol=1)


def test_one_content_takes_many_poses_and_one_pose_many_contents(model, frames):
    poses, contents = model.pose(frames), model.content(frames[:, 0])
    one = model.content(frames[0, 0])
    expected = np.stack([[model.decode(one, pose) for pose in clip] for clip in poses])
    for content in (one, jax.tree.map(lambda x: x[None], one)):
        np.testing.assert_allclose(model.decode(content, poses), expected, atol=1e-6)
    np.testing.assert_allclose(model.decode(one, poses[1]), expected[1], atol=1e-6)
    posed = model.decode(contents, poses[0, 2])
    np.testing.assert_allclose(posed[0], expected[0, 2], atol=1e-6)
    np.testing.assert_allclose(posed, model.decode(contents, poses[[0, 0], 2]), atol=1e-6)


BAD_FRAMES = {
    r"Frames of shape \(1, 8, 8, 3\); allowed: \[16, 16, 3\]": np.zeros((1, 8, 8, 3)),
    r"Frames of shape \(16, 16, 1\); allowed: ": np.zeros((16, 16, 1)),
    r"Frames of shape \(3, 16, 16\); allowed: .*; channels come last": np.zeros((3, 16, 16)),
    r"Frames of shape \(1, 1, 1, 16, 16, 3\); allowed: ": np.zeros((1, 1, 1, 16, 16, 3)),
    r"Frames of int32; allowed: uint8, or floats in \[0, 1\]": np.zeros((16, 16, 3), np.int32),
    r"floats of 255 to 255; allowed: floats in \[0, 1\], or uint8": np.full((16, 16, 3), 255.0),
    r"floats of -1 to 1; allowed: ": np.linspace(-1, 1, 16 * 16 * 3).reshape(16, 16, 3),
    r"floats of NaN; allowed: ": np.full((16, 16, 3), np.nan),
    r"floats of 0 to inf; allowed: ": np.full((16, 16, 3), [0, 0, np.inf]),
    r"No frames, in an array of shape \(0, 16, 16, 3\); allowed: 1": np.zeros((0, 16, 16, 3)),
    r"No frames, in an empty list; allowed: 1 or more": [],
    r"frames of shape \(16, 16, 3\) and \(8, 8, 3\); allowed: one": [
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
    ],
    r"nowhere.png is not a readable picture: No such file": "nowhere.png",
}


@pytest.mark.parametrize("message", BAD_FRAMES)
def test_bad_frames_are_refused_in_one_line(model, message):
    for method in (model.pose, model.content):
        with pytest.raises(ValueError, match=message) as caught:
            method(BAD_FRAMES[message])
        assert "\n" not in str(caught.value)


def test_a_rollout_in_chunks_is_the_same(model, frames):
    for clips, axis in ((frames, 1), (frames[0], 0)):
        # Ten frames at once, of both clips together.
        chunks = [np.asarray(chunk) for chunk in model.rollout_in_chunks(clips, 7)]
        assert [chunk.shape[axis] for chunk in chunks] == ([5, 2] if axis else [7])
        whole = np.asarray(model.rollout(clips, 7)).astype(int)
        np.testing.assert_allclose(np.concatenate(chunks, axis).astype(int), whole, atol=1)
    with pytest.raises(ValueError, match="num_steps=0; allowed: whole numbers"):
        model.rollout_in_chunks(frames, 0)


def test_a_rollout_of_a_single_frame_is_refused(model):
    with pytest.raises(ValueError, match=r"allowed: \[time, 16, 16, 3\] or \[batch, time, 16"):
        model.rollout(np.zeros((16, 16, 3), np.uint8), 3)


def test_poses_that_do_not_fit_are_refused(model, frames):
    content = model.content(frames[:, 0])
    for shape in ((2, 9), (3, 3), (2, 5, 4, 3)):
        with pytest.raises(ValueError, match=r"Poses of shape .* with contents of \(2, 4\); all"):
            model.decode(content, np.zeros(shape, np.float32))


def test_models_may_be_called_inside_other_programs(model, frames):
    floats = frames[:, 0] / np.float32(255)
    np.testing.assert_allclose(jax.jit(model.pose)(floats), model.pose(floats), atol=1e-6)


def test_model_and_content_print_in_two_lines(model, frames, trained):
    first, second = str(model).splitlines()
    assert first == (f"Model of {trained}: moving_mnist, frames [16, 16, 3], content [4], pose [3]")
    assert second == (
        "  dcgan and dcgan encoders, trained for 6 and 6 steps; predicts after 5 observed frames"
    )
    content = model.content(frames)
    assert str(content).splitlines() == [
        "Content with a vector of shape (2, 5, 4)",
        "  and feature maps of shapes: none",
    ]


def test_a_pickled_model_needs_no_workdir(model, frames, trained, monkeypatch):
    pickled = pickle.dumps(model)
    monkeypatch.setattr("drnet_jax.runs.run.stored_settings", lambda workdir: None)
    copy = pickle.loads(pickled)
    assert str(copy) == str(model)
    np.testing.assert_array_equal(copy.pose(frames), model.pose(frames))
    np.testing.assert_array_equal(copy.rollout(frames, 3), model.rollout(frames, 3))


def test_the_package_shows_what_it_has_without_importing_it():
    code = (
        "import sys, drnet_jax\n"
        "assert {'Content', 'Model', 'load', '__version__'} <= set(dir(drnet_jax))\n"
        "assert not {'jax', 'numpy', 'absl', 'drnet_jax.api'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(hasattr(drnet_jax, name) for name in dir(drnet_jax))


def test_loading_needs_no_digits(trained, monkeypatch):
    monkeypatch.setattr("drnet_jax.data.moving_mnist.digits.load", None)
    assert drnet_jax.load(trained).config.model.pose_dim == 3


@pytest.mark.parametrize("num_steps", [0, -1, 2.5, "10"])
def test_rollout_of_no_whole_number_of_steps_is_refused(model, frames, num_steps):
    with pytest.raises(ValueError, match=rf"num_steps={num_steps!r}; allowed: whole numbers, 1 "):
        model.rollout(frames, num_steps)


def test_load_refuses_a_folder_without_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing has been trained there"):
        drnet_jax.load(tmp_path)
