import dataclasses
import io
import shutil

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from PIL import Image

import drnet_jax
from drnet_jax.base.errors import InputError
from drnet_jax.commands import generate, swap
from drnet_jax.runs.run import create_run
from tests.helpers import videos


def test_rollout_arrays_begin_with_the_observed_frames_and_carry_the_truth(trained):
    with np.load(trained / "samples" / "rollout.npz") as arrays:
        frames, truth = arrays["frames"], arrays["truth"]
    assert frames.shape == truth.shape == (2, 5 + 12, 16, 16, 3)
    assert frames.dtype == truth.dtype == np.uint8
    np.testing.assert_array_equal(frames[:, :5], truth[:, :5])
    assert len(np.unique(truth.reshape(34, -1), axis=0)) > 20


def test_generate_makes_rollouts_of_any_length(trained, config, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(trained, workdir)
    config.rollout.num_steps = 30
    generate.run(config, workdir)
    with (
        np.load(workdir / "samples" / "rollout.npz") as longer,
        np.load(trained / "samples" / "rollout.npz") as shorter,
    ):
        assert longer["frames"].shape == (2, 35, 16, 16, 3)
        # The same clips, and the same beginning.
        np.testing.assert_array_equal(longer["truth"][:, :17], shorter["truth"])
        difference = longer["frames"][:, :17].astype(int) - shorter["frames"]
        assert np.abs(difference).max() <= 1
    gif = Image.open(io.BytesIO((workdir / "samples" / "rollout.gif").read_bytes()))
    assert gif.n_frames == 35


@pytest.mark.parametrize(("first_step", "told"), [(6, True), (7, False)])
def test_swap_grids_tell_of_a_collapse_from_a_step_on(
    config, trained, tmp_path, caplog, first_step, told
):
    config.evaluation.collapse_step = first_step  # The run has six steps.
    run = create_run(config, trained)
    drnet, _ = run.restore()
    run = dataclasses.replace(run, workdir=epath.Path(tmp_path))
    decoder = jax.tree.map(jnp.zeros_like, drnet.autoencoder.params["decoder"])
    params = drnet.autoencoder.params | {"decoder": decoder}
    drnet = drnet.replace(autoencoder=drnet.autoencoder.replace(params=params))
    generate.write_sample(run, drnet, None, "grid.png")
    assert (tmp_path / "samples" / "grid.png").exists()
    message = "COLLAPSED: after step 6 all decoded frames are alike."
    assert (message in caplog.messages) == told


def test_generate_without_a_checkpoint_is_refused(config, tmp_path):
    with pytest.raises(InputError, match=r"nothing has been trained there"):
        generate.run(config, tmp_path)


def test_generate_before_the_predictor_is_trained_is_refused(trained, config, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(trained, workdir)
    shutil.rmtree(workdir / "checkpoints" / "predictor")
    with pytest.raises(InputError, match=r"No checkpoint of stage 'predictor'"):
        generate.run(config, workdir)


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of the trained run, to write into."""
    return shutil.copytree(trained, tmp_path / "copy")


def played(path) -> int:
    """Returns the number of frames of a video."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_generate_continues_the_users_own_clip(config, workdir, tmp_path):
    path = tmp_path / "my clip.mkv"
    frames = videos.clip(1, num_frames=9, height=32, width=32)
    videos.write_video(path, frames, rate=20)
    config.rollout.num_steps = 6
    generate.run_on_input(config, workdir, str(path))
    samples = workdir / "samples"
    with np.load(samples / "my clip_rollout.npz") as arrays:
        generated, truth = arrays["frames"], arrays["truth"]
    assert generated.shape == (1, 11, 16, 16, 3) and truth.shape == (1, 9, 16, 16, 3)
    # The reader averages areas: here, blocks of 2 x 2 pixels.
    expected = frames.reshape(9, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.abs(truth[0] - expected).max() <= 1
    np.testing.assert_array_equal(generated[:, :5], truth[:, :5])
    model = drnet_jax.load(workdir)
    rollout = np.asarray(model.rollout(truth[:, :5], 6)).astype(int)
    assert np.abs(generated[:, 5:] - rollout).max() <= 1
    assert played(samples / "my clip_rollout.mp4") == played(samples / "my clip_rollout.gif") == 11
    with av.open(str(samples / "my clip_rollout.mp4")) as container:
        assert container.streams.video[0].average_rate == 20


def test_a_clip_that_cannot_be_observed_is_refused(config, workdir, tmp_path):
    path = tmp_path / "short.mkv"
    videos.write_video(path, videos.clip(1, num_frames=4))
    with pytest.raises(InputError, match=r"short\.mkv has 4 frames; allowed: at least 5, to obs"):
        generate.run_on_input(config, workdir, str(path))
    with pytest.raises(InputError, match=r"There is no .*nowhere\.mp4; give a video or a folder"):
        generate.run_on_input(config, workdir, str(tmp_path / "nowhere.mp4"))
    path.write_bytes(b"no video")
    with pytest.raises(InputError, match=r"short\.mkv is not a readable video"):
        generate.run_on_input(config, workdir, str(path))


def test_swap_puts_the_content_of_one_video_into_the_motion_of_another(config, workdir, tmp_path):
    contents, poses = (videos.clip(seed, num_frames=7) for seed in (1, 2))
    videos.write_video(tmp_path / "a.mkv", contents)
    videos.write_pictures(tmp_path / "b", poses)
    config.rollout.frames_at_once = 3
    swap.run(config, workdir, str(tmp_path / "a.mkv"), str(tmp_path / "b"))
    with np.load(workdir / "samples" / "a_as_b.npz") as arrays:
        np.testing.assert_array_equal(arrays["content_frame"], contents[3])
        np.testing.assert_array_equal(arrays["pose_frames"], poses)
        swapped = arrays["frames"]
    model = drnet_jax.load(workdir)
    expected = 255 * np.asarray(model.decode(model.content(contents[3]), model.pose(poses)))
    assert swapped.dtype == np.uint8 and np.abs(swapped - expected).max() < 1
    for suffix in ("mp4", "gif"):
        assert played(workdir / "samples" / f"a_as_b.{suffix}") == 7
