"""Closest training frames, against a plain search and of a whole run."""

import numpy as np
import pytest

from drnet_jax.evaluation import held_out, neighbors
from drnet_jax.runs import run as run_lib
from tests.evaluation.test_evaluate import check_documented


def brute_force(queries, training):
    """Returns root mean square differences `[queries, training]` of uint8 frames."""
    differences = queries[:, None] / 255 - training / 255
    return np.sqrt(np.mean(differences**2, axis=tuple(range(2, differences.ndim))))


def test_neighbors_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    queries, training = (rng.integers(0, 256, (n, 4, 4, 3), np.uint8) for n in (5, 30))
    frames, distances = neighbors.find(queries, iter(np.split(training, 6)), 3)
    for i, expected in enumerate(brute_force(queries, training)):
        order = np.argsort(expected)[:3]
        np.testing.assert_allclose(distances[i], expected[order], rtol=1e-12)
        np.testing.assert_array_equal(frames[i], training[order])


def test_all_training_frames_are_searched_or_random_ones(people, monkeypatch):
    run = people[0]
    everything = np.concatenate(list(neighbors.training_frames(run)))
    store = run.source.stores["train"]
    assert neighbors.num_training_frames(run) == (len(everything), store.lengths.sum())
    clips = [
        store.gather(np.array([i]), np.arange(n)[None])[0] for i, n in enumerate(store.lengths)
    ]
    np.testing.assert_array_equal(everything, np.concatenate(clips))
    monkeypatch.setattr(neighbors, "MOST_FRAMES", 50)
    monkeypatch.setattr(neighbors, "_FRAMES_AT_ONCE", 20)
    batches = list(neighbors.training_frames(run))
    assert [len(batch) for batch in batches] == [17, 17, 16]
    assert neighbors.num_training_frames(run) == (50, len(everything))
    closest = brute_force(np.concatenate(batches)[:, ::4, ::4], everything[:, ::4, ::4])
    np.testing.assert_array_equal(closest.min(axis=1), 0)
    # Not the first ones: from everywhere in the split, in order.
    assert closest.argmin(axis=1).max() > len(everything) / 2


def test_endless_training_frames_are_sampled(config, tmp_path, monkeypatch):
    monkeypatch.setattr(neighbors, "MOST_FRAMES", 80)
    monkeypatch.setattr(neighbors, "_FRAMES_AT_ONCE", 40)
    run = run_lib.create_run(config, tmp_path)
    batches = list(neighbors.training_frames(run))
    assert [batch.shape for batch in batches] == [(40, 16, 16, 3)] * 2
    assert not np.array_equal(*batches)
    assert neighbors.num_training_frames(run) == (80, None)


def test_distances_of_a_run(people, monkeypatch):
    """Real ones are those of plain arithmetic; a repeated training frame is at distance 0."""
    run, state, predictor = people
    training = np.concatenate(list(neighbors.training_frames(run)))
    clips, step = neighbors.sample(run), run.config.evaluation.horizon
    last = run.config.predictor.num_observed + step - 1
    truth = run.source.frames("test", clips, np.array([last]))[:, 0]

    def roll_out(_run, _state, _predictor, _clips, num_steps):
        assert num_steps == step
        made = np.broadcast_to(training[7], (len(truth), num_steps, *truth.shape[1:]))
        return None, made, np.repeat(truth[:, None], num_steps, axis=1)

    monkeypatch.setattr(neighbors, "roll_out", roll_out)
    record = neighbors.score(run, state, predictor)
    check_documented({"neighbors": record})
    # All clips are of one person, which leaves nothing to resample.
    assert record["generated"]["median"] == {"mean": 0, "low": None, "high": None}
    closest = brute_force(truth, training).min(axis=1)
    real = record["real"]
    assert real["median"]["mean"] == real["percentiles"]["50"] == pytest.approx(np.median(closest))
    assert real["percentiles"]["95"] == pytest.approx(np.percentile(closest, 95))
    assert record["num_clips"] == run.config.evaluation.rollout_clips
    assert record["num_independent"] == 1


def test_rollouts_go_on_from_the_last_observed_frame(people, monkeypatch):
    run, state, predictor = people

    def repeat_last(_networks, _predictor, num_steps, _at_once):
        return lambda _states, _variables, observed: np.repeat(observed[:, -1:], num_steps, axis=1)

    monkeypatch.setattr(held_out, "compiled_rollout", repeat_last)
    clips, num_observed = neighbors.sample(run), run.config.predictor.num_observed
    observed, repeated, truth = held_out.roll_out(run, state, predictor, clips, 4)
    frames = run.source.frames("test", clips, np.arange(num_observed + 4))
    np.testing.assert_array_equal(observed, frames[:, :num_observed])
    np.testing.assert_array_equal(truth, frames[:, num_observed:])
    np.testing.assert_array_equal(repeated, np.repeat(observed[:, -1:], 4, axis=1))
