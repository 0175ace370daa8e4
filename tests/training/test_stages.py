"""Stages of training: batches from devices, several steps in one program."""

import itertools

import chex
import jax
import numpy as np
import pytest

from drnet_jax.runs import run as run_lib
from drnet_jax.training import stages


@pytest.fixture
def run(config, tmp_path):
    config.dtype = "float32"
    return run_lib.create(config, tmp_path / "run")


@pytest.mark.parametrize("name", run_lib.STAGES)
def test_several_steps_in_one_program_equal_single_ones(run, name):
    drnet = run.init_drnet()
    stage = {
        "drnet": lambda: stages.drnet_stage(run),
        "predictor": lambda: stages.predictor_stage(run, drnet),
    }[name]()
    start = {"drnet": run.init_drnet, "predictor": run.init_predictor}[name]

    def train(lengths):
        state, rows = start(), []
        for num_steps in lengths:
            state, metrics = stage.step(state, num_steps)
            rows.append(jax.tree.map(np.atleast_1d, jax.device_get(metrics)))
        return state, jax.tree.map(lambda *values: np.concatenate(values), *rows)

    singles, together = train([1, 1, 1]), train([3])
    assert int(together[0].step) == 3
    # Adam turns the rounding of tiny gradients into moves of up to a step's size.
    chex.assert_trees_all_close(together[1], singles[1], rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(together[0], singles[0], rtol=1e-2, atol=5e-3)


def test_what_is_kept_has_the_statistics_of_its_weights(run):
    stage = stages.drnet_stage(run)
    starts = []
    for factor in (1, 3):
        state = run.init_drnet()
        stats = jax.tree.map(lambda x, factor=factor: factor * x, state.autoencoder.batch_stats)
        starts.append(state.replace(autoencoder=state.autoencoder.replace(batch_stats=stats)))
    step, params = int(starts[0].step), jax.device_get(starts[0].autoencoder.params)
    kept = [stage.finish(start) for start in starts]
    assert int(kept[0].step) == step
    chex.assert_trees_all_equal(kept[0].autoencoder.params, params)
    # 0.9^50 of the difference between 1 and 3 is left.
    stats = [state.autoencoder.batch_stats for state in kept]
    chex.assert_trees_all_close(*stats, rtol=0, atol=2 * 0.9**stages.SETTLING_BATCHES * 1.01)
    variances = kept[0].autoencoder.batch_stats["pose_encoder"]["trunk"]["stage0"]["norm"]["var"]
    assert np.all(np.asarray(variances) < 0.5)


def test_the_second_stage_keeps_its_state_as_it_is(run):
    state = run.init_predictor()
    assert stages.predictor_stage(run, run.init_drnet()).finish(state) is state


@pytest.mark.parametrize(
    ("backend", "changes", "first", "expected"),
    [
        ("cpu", {}, 0, 1),
        ("gpu", {}, 0, 100),
        ("tpu", {}, 90_200, 100),
        ("gpu", {}, 90_203, 1),
        ("gpu", {"steps_at_once": 30}, 0, 25),
        ("cpu", {"steps_at_once": 30}, 0, 25),
        ("gpu", {"log_every_steps": 15}, 0, 5),
        ("gpu", {"checkpoint_every_steps": 0, "sample_every_steps": 0}, 0, 100),
        ("gpu", {"log_every_steps": 7_000}, 0, 100),
    ],
)
def test_as_many_steps_at_once_as_fit(config, monkeypatch, backend, changes, first, expected):
    config.drnet.num_steps = 120_000
    config.update(log_every_steps=100, sample_every_steps=5_000, checkpoint_every_steps=5_000)
    config.update(changes)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert stages.steps_at_once(config, "drnet", first) == expected


def test_batches_on_devices_are_numbers_of_steps(run):
    assert list(itertools.islice(stages.drnet_stage(run).batches(0), 2)) == [1, 1]


def test_batches_are_split_over_the_devices(run):
    stage = stages.drnet_stage(run)
    text = jax.jit(lambda state: stage.step(state, 1)).lower(run.init_drnet()).as_text()
    # Frames, and the two arrays of the pairs.
    assert text.count("sdy.sharding_constraint") >= 3
