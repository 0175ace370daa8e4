"""A whole run on prepared clips: here the stand-in of KTH, whose clips end."""

import json

import chex
import numpy as np
import pytest

from drnet_jax import api
from drnet_jax.base.stopping import StoppedError
from drnet_jax.commands import generate, train
from drnet_jax.runs.workdir import STAGES
from tests.commands.test_train import final_states, stop_in
from tests.helpers.finished import people_config


def longer(config):
    """Returns `config` with some steps in both stages, and rollouts past the ends of clips."""
    config.drnet.num_steps = config.predictor.num_steps = 6
    config.rollout.num_steps = 40
    config.update(log_every_steps=2, sample_every_steps=3, checkpoint_every_steps=2)
    return config


@pytest.fixture
def clips_config(data_dir):
    return longer(people_config(data_dir))


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("clips_run")
    train.run(longer(people_config(data_dir)), workdir)
    return workdir


def test_everything_is_scored_and_reported(finished):
    record = json.loads((finished / "evaluation.json").read_text())
    assert record["data"]["stand_in"]
    assert record["data"]["name"] == "kth"
    # One person is held out, so nothing tells how scores vary with the person.
    assert record["num_clips"] > record["num_independent"] == 1
    for name in ("model", "copy_content_frame", "copy_pose_frame", "mean_frame"):
        psnr = record["swap"][name]["psnr"]
        assert psnr["mean"] > 0 and psnr["low"] is psnr["high"] is None
    # The position and scenario of people are known, but only digits have a judge.
    assert record["judge"] is None and record["rollout"]["identity"] is None
    assert {probe["factor"] for probe in record["leakage"]["probes"]} >= {"scenario", "position"}
    assert record["blocks"]["mig_by_factor"].keys() >= {"scenario", "position"}
    assert record["leakage"]["discriminator"]["same_objects"] is None
    assert record["rollout"]["steps"][-1] <= 30
    assert "STAND-IN" in (finished / "report.html").read_text()
    stored = json.loads((finished / "config.json").read_text())
    assert stored["data"]["source"] == "stand_in"
    assert stored["data"]["fingerprint"].startswith("size16")


def test_truth_of_a_rollout_ends_with_the_clip(finished):
    arrays = np.load(finished / "samples" / "rollout.npz")
    assert arrays["frames"].shape == arrays["truth"].shape == (2, 43, 16, 16, 1)
    for truth in arrays["truth"]:
        missing = np.all(truth == generate.NO_TRUTH, axis=(1, 2, 3))
        length = int(np.sum(~missing))
        assert 3 < length <= 30
        np.testing.assert_array_equal(missing, np.arange(43) >= length)


def test_the_model_can_be_used_on_frames(finished):
    frames = np.load(finished / "samples" / "rollout.npz")["truth"][:, :3]
    model = api.load(finished)
    assert model.pose(frames).shape == (2, 3, 3)
    assert model.rollout(frames, 3).shape == (2, 3, 16, 16, 1)


def test_a_stopped_run_resumes_to_the_same_numbers(finished, clips_config, tmp_path, monkeypatch):
    for stage in STAGES:
        with monkeypatch.context() as patch:
            stop_in(patch, stage, after=2)
            with pytest.raises(StoppedError):
                train.run(clips_config, tmp_path)
    train.run(clips_config, tmp_path)
    states = [final_states(clips_config, folder) for folder in (tmp_path, finished)]
    chex.assert_trees_all_equal(*states)
    assert (tmp_path / "evaluation.json").read_text() == (finished / "evaluation.json").read_text()


def test_data_that_changed_are_refused(finished, clips_config, tmp_path):
    clips_config.data.stand_in.clip_length = 20
    with pytest.raises(ValueError, match=r"config.data.stand_in.clip_length is 30 there"):
        train.run(clips_config, finished)


def test_clips_too_short_to_be_scored_are_refused(clips_config, tmp_path):
    clips_config.evaluation.horizon = 30
    with pytest.raises(ValueError, match=r"evaluation.horizon=30 are together longer than a clip"):
        train.run(clips_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
