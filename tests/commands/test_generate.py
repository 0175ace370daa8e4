import dataclasses
import io
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from PIL import Image

from drnet_jax.base.errors import InputError
from drnet_jax.commands import generate
from drnet_jax.runs.run import create_run


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
