"""Baselines: presets with a change, trained by the same loop."""

import json

import jax
import numpy as np
import pytest

from drnet_jax.base import prng, sharding
from drnet_jax.commands import train
from drnet_jax.data.moving_mnist import digits
from drnet_jax.data.moving_mnist.generator import MovingMnist
from drnet_jax.data.moving_mnist.source import MovingMnistSource
from drnet_jax.runs import run as run_lib
from experiments.shared import variations
from tests.conftest import tiny_config
from tests.test_configs import load


def test_one_encoder_has_one_code_as_long_as_both(tmp_path):
    config = load("kth", "quick")
    lengths = config.model.content_dim + config.model.pose_dim
    variations.one_encoder(config)
    assert config.model.content_encoder == "none"
    assert (config.model.content_dim, config.model.pose_dim) == (0, lengths)
    assert config.drnet.similarity_weight == config.drnet.adversarial_weight == 0


def test_an_autoencoder_goes_the_whole_way(data_dir, tmp_path):
    config = tiny_config(data_dir)
    variations.one_encoder(config)
    train.run(config, tmp_path)
    scores = json.loads((tmp_path / "evaluation.json").read_text())
    assert np.isfinite(scores["reconstruction"]["psnr"]["mean"])
    assert {probe["code"] for probe in scores["leakage"]["probes"]} == {"pose"}
    assert scores["blocks"] is None
    assert (tmp_path / "report.html").exists()
    drnet, _ = run_lib.create_run(config, tmp_path).restore()
    assert not jax.tree.leaves(drnet.autoencoder.params["content_encoder"])


def test_what_an_autoencoder_decodes_is_no_content_of_another_frame(data_dir, tmp_path):
    """With one code, a swap shows the frame of the pose, whatever the content is from."""
    config = tiny_config(data_dir)
    variations.one_encoder(config)
    run = run_lib.create_run(config, tmp_path, with_data=False)
    main, networks = run.init_drnet().autoencoder, run.networks
    frames = jax.random.uniform(jax.random.key(0), (4, *run.frame_shape))

    def decode(content_frames):
        content = networks.content_encoder.apply({}, content_frames, train=False)
        pose = networks.pose_encoder.apply(main.variables("pose_encoder"), frames, train=False)
        variables = main.variables("decoder")
        return networks.decoder.apply(variables, content, pose, train=False)

    np.testing.assert_array_equal(decode(frames), decode(frames[::-1]))


@pytest.mark.parametrize("consecutive", [False, True])
def test_digits_of_consecutive_frames_move_a_step(data_dir, consecutive):
    generator = MovingMnist(
        image_size=64,
        digit_size=16,
        num_digits=1,
        colored=False,
        speeds=(2, 2),
        zero_speeds=False,
    )
    found = digits.load("embedded", folder=None, data_dir=data_dir)
    source = MovingMnistSource(
        generator,
        found,
        max_frame_gap=20,
        consecutive=consecutive,
        key=prng.root(1),
        mesh=sharding.data_mesh(),
    )
    frames = source.draw_frames(source.arrays, 0, 64, 4)
    ink = np.asarray(frames, np.float64)[..., 0]
    axis = np.arange(64)
    mass = ink.sum(axis=(2, 3))
    centers = np.stack([(ink.sum(axis=3) @ axis) / mass, (ink.sum(axis=2) @ axis) / mass], axis=-1)
    moved = np.abs(np.diff(centers, axis=1))
    # Where nothing is in the way a step is 2 pixels; at a wall it is shorter.
    assert (moved.max() < 2.001) == consecutive
    assert (np.mean(np.abs(moved - 2) < 0.001) > 0.8) == consecutive
