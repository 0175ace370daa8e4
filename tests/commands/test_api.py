import jax
import numpy as np
import pytest

import drnet_jax


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


def test_frames_of_another_shape_are_refused(model):
    with pytest.raises(ValueError, match=r"Frames of shape \(1, 8, 8, 3\); allowed: \[batch, 16"):
        model.pose(np.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"allowed: \[batch, time, 16, 16, 3\]"):
        model.rollout(np.zeros((1, 16, 16, 3), np.uint8), 3)


def test_frames_and_poses_of_another_kind_are_refused(model, frames):
    with pytest.raises(ValueError, match=r"Frames of int32; allowed: uint8, or floats in \[0, 1\]"):
        model.pose(frames.astype(np.int32))
    content = model.content(frames[:, 0])
    with pytest.raises(ValueError, match=r"Poses of shape \(2, 9\) with contents of \(2, 4\)"):
        model.decode(content, np.zeros((2, 9), np.float32))


def test_loading_needs_no_digits(trained, monkeypatch):
    monkeypatch.setattr("drnet_jax.data.moving_mnist.digits.load", None)
    assert drnet_jax.load(trained).config.model.pose_dim == 3


@pytest.mark.parametrize("num_steps", [0, -1])
def test_rollout_of_no_steps_is_refused(model, frames, num_steps):
    with pytest.raises(ValueError, match=rf"num_steps={num_steps}; allowed: 1 and above"):
        model.rollout(frames, num_steps)


def test_load_refuses_a_folder_without_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing has been trained there"):
        drnet_jax.load(tmp_path)
