"""The two stages: batches made on devices, several steps in one program."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.commands import train
from drnet_jax.runs import checks, limits
from drnet_jax.runs.run import create_run
from drnet_jax.training import batch_stats
from drnet_jax.training.due import Intervals, steps_per_call
from tests.conftest import tiny_config
from tests.helpers.finished import people_config


@pytest.fixture
def run(config, tmp_path):
    config.dtype = "float32"
    return create_run(config, tmp_path / "run")


KEEP_TRACK = dict(
    scheduled_sampling=0.5, residual=True, use_content=False, max_grad_norm=0.1, passes_per_set=2
)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("drnet", {}),
        ("drnet", {"batch_stats": "per_device"}),
        ("predictor", {}),
        ("predictor", KEEP_TRACK),
    ],
)
def test_several_steps_in_one_program_equal_single_ones(config, tmp_path, name, changes):
    config.dtype = "float32"
    config[name].update(changes)
    run = create_run(config, tmp_path / "run")
    drnet = run.init_drnet()
    stage = {
        "drnet": lambda: train.drnet_stage(run),
        "predictor": lambda: train.predictor_stage(run, drnet),
    }[name]()
    start = {"drnet": run.init_drnet, "predictor": run.init_predictor}[name]

    def advance(lengths):
        state, rows = start(), []
        for num_steps, inputs in zip(lengths, stage.inputs(0, max(lengths)), strict=False):
            state, metrics = stage.step(num_steps, state, inputs)
            rows.append(jax.device_get(metrics))
        return state, jax.tree.map(lambda *values: np.concatenate(values), *rows)

    singles, together = advance([1, 1, 1]), advance([3])
    assert int(together[0].step) == 3
    # Adam turns the rounding of tiny gradients into moves of up to a step's size.
    chex.assert_trees_all_close(together[1], singles[1], rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(together[0], singles[0], rtol=1e-2, atol=5e-3)


def test_the_finished_state_has_statistics_of_its_own_weights(run):
    stage = train.drnet_stage(run)
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
    chex.assert_trees_all_close(*stats, rtol=0, atol=2 * 0.9**batch_stats.NUM_BATCHES * 1.01)
    variances = kept[0].autoencoder.batch_stats["pose_encoder"]["trunk"]["stage0"]["norm"]["var"]
    assert np.all(np.asarray(variances) < 0.5)


def test_the_second_stage_keeps_its_state_as_it_is(run):
    state = run.init_predictor()
    assert train.predictor_stage(run, run.init_drnet()).finish(state) is state


@pytest.mark.parametrize(
    ("changes", "most", "first", "expected"),
    [
        ({}, 1, 0, 1),
        ({}, 100, 0, 100),
        ({}, 100, 90_200, 100),
        ({}, 100, 90_203, 1),
        ({}, 30, 0, 25),
        ({"log": 15}, 100, 0, 5),
        ({"checkpoint": 0, "sample": 0}, 100, 0, 100),
        ({"log": 7_000}, 100, 0, 100),
        ({"input": 1}, 100, 0, 1),
        ({"input": 250}, 100, 0, 50),
        ({"input": 250}, 100, 250, 50),
    ],
)
def test_a_call_runs_as_many_steps_as_fit(changes, most, first, expected):
    changes = dict(changes)
    steps_per_input = changes.pop("input", 0)
    intervals = Intervals(**{"log": 100, "sample": 5_000, "checkpoint": 5_000} | changes)
    steps = steps_per_call(first, 120_000, intervals, most=most, steps_per_input=steps_per_input)
    assert steps == expected


@pytest.mark.parametrize(
    ("backend", "setting", "expected"),
    [("cpu", 0, 1), ("gpu", 0, 100), ("tpu", 0, 100), ("gpu", 30, 30), ("cpu", 30, 30)],
)
def test_devices_decide_how_many_steps_a_call_may_run(
    config, tmp_path, monkeypatch, backend, setting, expected
):
    config.update(steps_at_once=setting, dtype="float32")
    run = create_run(config, tmp_path)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert train.drnet_stage(run).max_steps_per_call == expected


def test_batches_are_split_over_the_devices(run):
    stage = train.drnet_stage(run)
    step = jax.jit(lambda state: stage.step(1, state, run.source.arrays))
    # Frames, and the two arrays of the pairs.
    assert step.lower(run.init_drnet()).as_text().count("sdy.sharding_constraint") >= 3


@pytest.mark.parametrize("make", [tiny_config, people_config])
def test_the_last_steps_that_settings_allow(make, data_dir, tmp_path):
    """No number of a step or a batch is too large for its type, on devices and on the host."""
    config = make(data_dir)
    config.drnet.num_steps = config.predictor.num_steps = most = limits.MAX_STEPS
    config.predictor.batches_per_set = 3
    checks.check(config.to_dict())
    config.update(checkpoint_every_steps=0, sample_every_steps=0)
    run = create_run(config, tmp_path / "run")

    def last_steps(stage, state):
        return train.fit_stage(run, stage, state.replace(step=jnp.int32(most - 2)))

    drnet = last_steps(train.drnet_stage(run), run.init_drnet())
    predictor = last_steps(train.predictor_stage(run, drnet), run.init_predictor())
    assert [int(drnet.step), int(predictor.step)] == [most, most]
    assert run.restore()[0].step == most
