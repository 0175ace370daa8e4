"""Rollouts whose scores are obvious, the truth itself and a standstill; the judge's scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.base.arrays import as_float
from drnet_jax.evaluation import rollouts
from drnet_jax.evaluation.judges import objects, scores
from drnet_jax.models import inference
from drnet_jax.runs.run import create_run
from tests.conftest import tiny_config


def test_scored_steps_hold_all_horizons():
    steps = rollouts.scored_steps(1000)
    assert set(rollouts.HORIZONS) <= set(steps.tolist())
    np.testing.assert_array_equal(steps[:20], np.arange(1, 21))
    assert rollouts.scored_steps(12).tolist() == list(range(1, 13))
    assert rollouts.scored_steps(33).tolist() == [*range(1, 21), 25, 30, 33]


def test_a_track_is_lost_where_it_stays_lost():
    steps = np.array([1, 2, 5, 10])
    distances = np.array([[0, 9, 0, 0], [0, 0, 9, 9], [0, 0, 0, 9], [9, 9, 0, 0.0]])
    np.testing.assert_array_equal(rollouts.lost_at(distances, steps, 5), [0, 5, 10, 1])


@pytest.fixture
def scores_of(model, monkeypatch):
    """Returns the scores of rollouts that show the real frames at `times(decoded)`.

    `draw`, if given, makes generated frames of the last observed and these real ones.
    """
    run, sampled = model[0], []
    sample = run.source.sample

    def remember(*args, **settings):
        sampled.append(sample(*args, **settings))
        return sampled[-1]

    def scores_of(times, judge, draw=lambda last, real: as_float(real)):
        def make_rollout(_run, _state, _predictor, _num_steps, decoded):
            return lambda observed: draw(
                observed[:, -1], run.source.frames("test", sampled[-1], times(decoded))
            )

        monkeypatch.setattr(run.source, "sample", remember)
        monkeypatch.setattr(rollouts, "_make_rollout", make_rollout)
        return rollouts.score(*model, judge, jnp.zeros((16, 16, 3)))

    return scores_of


@pytest.fixture(scope="module")
def model(trained, data_dir):
    """The finished run, with a few short rollouts to score, and its states."""
    config = tiny_config(data_dir)
    config.evaluation.update(rollout_clips=6, rollout_steps=30, judge_steps=60)
    run = create_run(config, trained)
    return run, *run.restore()


@pytest.fixture(scope="module")
def judge(model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "NUM_TRAINING_CLIPS", 500)
        patch.setattr(objects, "NUM_TEST_CLIPS", 100)
        return objects.train(model[0])


def test_the_truth_scores_best(scores_of, judge):
    record = scores_of(lambda decoded: 4 + decoded, judge)
    assert record["prediction"]["model"]["psnr"]["mean"] == pytest.approx(100)
    rollout = record["rollout"]
    np.testing.assert_allclose(rollout["ssim"]["model"]["mean"], 1, rtol=1e-6)
    np.testing.assert_allclose(rollout["sharpness"]["mean_frame"]["mean"], 0)
    assert np.mean(rollout["sharpness"]["model"]["mean"]) == pytest.approx(1)
    for name in ("position_error", "identity", "inception"):
        assert rollout[name]["model"] == rollout[name]["truth"]
    assert 1 < np.min(rollout["inception"]["model"]["mean"]) < 10
    assert np.mean(rollout["position_error"]["model"]["mean"]) < 0.5
    assert np.mean(rollout["position_error"]["another_clip"]["mean"]) > 1
    np.testing.assert_array_equal(rollout["on_track"]["model"]["mean"], 1)
    assert rollout["never_lost"]["mean"] == 1


def test_a_predictor_without_errors_scores_as_the_true_poses(scores_of, model):
    run, state, _ = model

    @jax.jit
    def draw(last, real):
        content = inference.encode_content(run.networks, state.autoencoder, last)
        frames = [
            inference.decode(
                run.networks,
                state.autoencoder,
                content,
                inference.encode_pose(run.networks, state.autoencoder, real[:, t]),
            )
            for t in range(real.shape[1])
        ]
        return jnp.stack(frames, axis=1)

    rollout = scores_of(lambda decoded: 4 + decoded, None, draw)["rollout"]
    errors = rollout["position_error"]
    np.testing.assert_allclose(errors["model"]["mean"], errors["true_poses"]["mean"], atol=0.2)
    assert np.mean(errors["truth"]["mean"]) < np.mean(errors["true_poses"]["mean"])


def test_a_standstill_is_frozen(scores_of):
    rollout = scores_of(lambda decoded: np.full(len(decoded), 4), judge=None)["rollout"]
    np.testing.assert_array_equal(rollout["frozen"]["model"]["mean"], 1)
    assert rollout["frozen_rate"]["truth"]["mean"] < 0.2
    still, model = (rollout["psnr"][name]["mean"] for name in ("copy_last_frame", "model"))
    np.testing.assert_allclose(model, still, rtol=1e-6)
    errors = rollout["position_error"]
    np.testing.assert_allclose(errors["model"]["mean"], errors["copy_last_frame"]["mean"], atol=0.5)
    assert rollout["identity"] is None and rollout["inception"] is None
    on_track = rollout["on_track"]["model"]["mean"]
    assert np.all(np.diff(on_track) <= 0) and on_track[-1] == rollout["never_lost"]["mean"] < 1


def test_scores_of_a_sure_judge_are_those_of_counting():
    rng = np.random.default_rng(0)
    kept, replaced = rng.integers(0, 4, (2, 50, 2))
    sure = np.eye(4)[kept]
    visible = np.ones((50, 2))
    visible[:10, 0] = 0.5
    asked = dict(kept=kept, replaced=replaced, visible=visible, position_error=np.ones((50, 2)))
    uniform = np.full_like(sure, 0.25)
    record = scores.swap_record({"model": sure, "unsure": uniform}, asked, seed=0)
    in_view = visible >= scores.IN_VIEW
    assert record["num_objects"] == in_view.sum() == 90
    chance = np.mean((kept == replaced)[in_view])
    assert record["chance"] == pytest.approx(chance)
    shares = np.bincount(kept[in_view]) / 90
    entropy = -np.sum(shares * np.log(shares))
    expected = {
        "accuracy_kept": 1,
        "accuracy_replaced": chance,
        "entropy": entropy,
        "entropy_given_frame": 0,
        "inception_score": np.exp(entropy),
    }
    means = {name: score["mean"] for name, score in record["model"].items()}
    assert means == pytest.approx(expected)
    assert record["unsure"]["inception_score"]["mean"] == pytest.approx(1)
    assert record["unsure"]["entropy_given_frame"]["mean"] == pytest.approx(np.log(4))


def test_inception_by_step_is_that_of_each_step_alone():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(4), (30, 3, 2))
    counted = rng.random((30, 3, 2)) < 0.7
    by_step = scores.inception(probabilities, counted, seed=0)["inception_score"]
    for step in range(3):
        p = probabilities[:, step][counted[:, step]]
        divergences = np.sum(p * np.log(p / p.mean(axis=0)), axis=1)
        assert by_step["mean"][step] == pytest.approx(np.exp(divergences.mean()))
        assert by_step["low"][step] < by_step["mean"][step] < by_step["high"][step]


def test_the_interval_of_inception_is_around_it():
    # Of classes that are equally frequent in the clips, but in no resample.
    sure = np.full((72, 1, 6), 0.02)
    sure[np.arange(72), 0, np.arange(72) % 6] = 0.9
    record = scores.inception(sure, np.ones((72, 1), bool), seed=0)
    for score in record.values():
        assert score["low"] <= score["mean"] <= score["high"] + 1e-12
    score = record["inception_score"]
    assert score["low"] < score["mean"] < score["high"]


def test_a_judge_learns_and_scores_itself(model, judge):
    # On digits of 8 pixels, after a second of training: far from good, far from chance.
    assert judge.record["accuracy"]["mean"] > 2 * judge.record["chance"]
    source = model[0].source
    clips = source.sample("test", jax.random.key(0), 3)
    probabilities = judge.probabilities(source.frames("test", clips, np.arange(2)))
    assert probabilities.shape == (3, 2, 2, 10)
    np.testing.assert_allclose(np.sum(probabilities, axis=-1), 1, rtol=1e-5)
