"""Baselines: changed presets, trained by the same loop."""

import json

import jax
import numpy as np
import pytest

from drnet_jax.commands import train
from drnet_jax.models import inference
from drnet_jax.runs import run as run_lib
from experiments.shared import variations
from tests.conftest import tiny_config


def test_an_autoencoder_with_one_code_as_long_as_both_is_trained_and_scored(data_dir, tmp_path):
    config = tiny_config(data_dir)
    config.update(sample_every_steps=0)  # Pictures on the way need programs of their own.
    length = config.model.content_dim + config.model.pose_dim
    variations.one_encoder(config)
    assert config.model.content_encoder == "none"
    assert (config.model.content_dim, config.model.pose_dim) == (0, length)
    assert config.drnet.similarity_weight == config.drnet.adversarial_weight == 0
    train.run(config, tmp_path)
    scores = json.loads((tmp_path / "evaluation.json").read_text())
    assert np.isfinite(scores["reconstruction"]["psnr"]["mean"])
    assert {probe["code"] for probe in scores["leakage"]["probes"]} == {"pose"}
    assert scores["blocks"] is None
    assert (tmp_path / "report.html").exists()
    drnet, _ = run_lib.create_run(config, tmp_path).restore()
    assert not jax.tree.leaves(drnet.autoencoder.params["content_encoder"])


def test_an_autoencoder_decodes_no_content_of_another_frame(data_dir, tmp_path):
    """With one code, a swap shows the frame of the pose, whatever frame the content comes from."""
    config = tiny_config(data_dir)
    variations.one_encoder(config)
    run = run_lib.create_run(config, tmp_path, with_data=False)
    networks, state = run.networks, run.init_drnet().autoencoder
    frames = jax.random.uniform(jax.random.key(0), (4, *run.frame_shape))

    @jax.jit
    def swap(content_frames, pose_frames):
        content = inference.encode_content(networks, state, content_frames)
        return inference.decode(
            networks, state, content, inference.encode_pose(networks, state, pose_frames)
        )

    np.testing.assert_array_equal(swap(frames, frames), swap(frames[::-1], frames))


@pytest.mark.parametrize("consecutive", [False, True])
def test_digits_of_consecutive_frames_move_a_step(data_dir, tmp_path, consecutive):
    config = tiny_config(data_dir)
    config.data.update(image_size=32, num_digits=1, colored=False, speeds=(2, 2), zero_speeds=False)
    config.data.update(max_frame_gap=20, consecutive=consecutive)
    source = run_lib.create_run(config, tmp_path).source
    ink = np.asarray(source.draw_frames(source.arrays, 0, 64, 4), np.float64)[..., 0]
    mass, axis = ink.sum(axis=(2, 3)), np.arange(32)
    # [batch, time, y and x]
    centers = np.stack([(ink.sum(axis=3) @ axis) / mass, (ink.sum(axis=2) @ axis) / mass], axis=-1)
    moved = np.abs(np.diff(centers, axis=1))
    # A step is 2 pixels; at a wall it is shorter.
    assert (moved.max() < 2.001) == consecutive
    assert (np.mean(np.abs(moved - 2) < 0.001) > 0.8) == consecutive
