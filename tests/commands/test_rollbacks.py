"""Training goes back to a checkpoint after a loss that is not finite."""

import dataclasses
import json
import signal

import chex
import jax
import numpy as np
import pytest

from drnet_jax import report
from drnet_jax.base.errors import InputError
from drnet_jax.base.stopping import StoppedError
from drnet_jax.commands import train
from drnet_jax.runs import rollbacks
from drnet_jax.runs import run as run_lib
from drnet_jax.runs.rollbacks import Rollback
from drnet_jax.runs.workdir import STAGES
from tests.helpers import diverging

pytestmark = pytest.mark.usefixtures("training_only")


def final_states(config, workdir):
    return run_lib.create_run(config, workdir).restore()


def losses(workdir, stage):
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    timed = ("steps_per_second", "input_wait", "crc32")
    return [
        {name: value for name, value in row.items() if name not in timed}
        for row in rows
        if row["stage"] == stage
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_training_goes_on_with_other_batches(stage, config, tmp_path, trained, monkeypatch, caplog):
    config.on_nan = "rollback"
    diverging.diverge(monkeypatch.setattr, stage, {0: 5, 1: 6})
    train.run(config, tmp_path)
    made = rollbacks.read(tmp_path)
    assert [(each.stage, each.step, each.factor) for each in made] == [(stage, 4, 1.0)] * 2
    assert f"of {stage} are not finite at step 5." in made[0].line or stage == "predictor"
    assert "not finite at step 6. Training went back to step 4, with other batches." in made[1].line
    assert [m for m in caplog.messages if "Rollback" in m] == [
        f"{each.line} Rollback {i + 1} of at most 3." for i, each in enumerate(made)
    ]
    # Up to the checkpoint it is the run without faults, and then another one.
    with_faults, without = losses(tmp_path, stage), losses(trained, stage)
    assert [row["step"] for row in with_faults] == [2, 4, 6]
    assert with_faults[:2] == without[:2]
    assert with_faults[2] != without[2]
    page = report.write(tmp_path).read_text()
    assert all(each.line in page for each in made)
    assert "2 rollbacks in training" in page


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", ["stopped", "killed"])
def test_a_run_that_ends_after_a_rollback_resumes_to_the_same_numbers(
    stage, kind, config, tmp_path, monkeypatch
):
    config.update(on_nan="rollback", rollback_learning_rate=0.5)
    bad_steps = {0: 5, 1: 6}
    with monkeypatch.context() as patch:
        diverging.diverge(patch.setattr, stage, bad_steps)
        train.run(config, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        diverging.diverge(patch.setattr, stage, bad_steps)
        make = getattr(train, f"{stage}_stage")

        def make_ending(run, *arguments):
            built = make(run, *arguments)

            def step(num_steps, state, inputs):
                if diverging.order(run) == 2 and int(state.step) == 4:
                    if kind == "killed":
                        raise MemoryError
                    signal.raise_signal(signal.SIGTERM)
                return built.step(num_steps, state, inputs)

            return dataclasses.replace(built, step=step)

        patch.setattr(train, f"{stage}_stage", make_ending)
        # A fresh process may not save before its second program.
        with pytest.raises(MemoryError if kind == "killed" else (StoppedError, KeyboardInterrupt)):
            train.run(config, tmp_path / "ended")
    assert len(rollbacks.read(tmp_path / "ended")) == 2
    diverging.diverge(monkeypatch.setattr, stage, bad_steps)
    train.run(config, tmp_path / "ended")
    pair = [tmp_path / "undisturbed", tmp_path / "ended"]
    assert rollbacks.read(pair[0]) == rollbacks.read(pair[1])
    chex.assert_trees_all_equal(*(final_states(config, path) for path in pair))
    assert losses(pair[0], stage) == losses(pair[1], stage)


def test_rollbacks_lower_the_learning_rate_of_their_stage(config, tmp_path):
    run = run_lib.create_run(config, tmp_path)
    made = [Rollback("predictor", 2, factor, "") for factor in (0.5, 0.1)]
    after = run.after(made)
    rate = config.predictor.learning_rate
    assert after.config.predictor.learning_rate == pytest.approx(0.05 * rate)
    assert after.config.drnet == run.config.drnet
    # Adam's first update is its learning rate, whatever the gradient.
    params = {"w": np.float32([2.0])}
    for each, expected in ((run, rate), (after, 0.05 * rate)):
        state = each.predictor_tx.init(params)
        updates, _ = each.predictor_tx.update(params, state, params)
        np.testing.assert_allclose(updates["w"], [-expected], rtol=1e-5)


@pytest.mark.parametrize("most", [0, 2])
def test_a_run_has_at_most_so_many_rollbacks(most, config, tmp_path, monkeypatch):
    config.update(on_nan="rollback", max_rollbacks=most)
    diverging.diverge(monkeypatch.setattr, "drnet", dict.fromkeys(range(4), 5))
    message = f"not finite at step 5. There have been config.max_rollbacks={most} before."
    with pytest.raises(FloatingPointError, match=message):
        train.run(config, tmp_path)
    assert len(rollbacks.read(tmp_path)) == most


def test_a_stopped_run_can_be_told_to_roll_back(config, tmp_path, monkeypatch):
    diverging.diverge(monkeypatch.setattr, "drnet", {0: 1})
    with pytest.raises(FloatingPointError, match="not finite at step 1"):
        train.run(config, tmp_path)
    assert not (tmp_path / "rollbacks.json").exists()
    config.on_nan = "rollback"
    train.run(config, tmp_path)
    # There was no checkpoint yet.
    assert [each.step for each in rollbacks.read(tmp_path)] == [0]


def test_rollbacks_of_lost_checkpoints_are_made_again(config, tmp_path, monkeypatch):
    config.on_nan = "rollback"
    diverging.diverge(monkeypatch.setattr, "drnet", {0: 5})
    train.run(config, tmp_path)
    expected, made = final_states(config, tmp_path), rollbacks.read(tmp_path)
    (tmp_path / "report.html").unlink()
    for folder in [*(tmp_path / "checkpoints/drnet").iterdir(), tmp_path / "checkpoints/predictor"]:
        if folder.name != "2":
            folder.rename(tmp_path / f"lost_{folder.name}")
    train.run(config, tmp_path)
    assert rollbacks.read(tmp_path) == made
    chex.assert_trees_all_equal(final_states(config, tmp_path), expected)


@pytest.mark.parametrize("damage", ['{"rollbacks', "[]", "changed"])
def test_a_damaged_record_is_refused(damage, config, tmp_path):
    path = tmp_path / "rollbacks.json"
    rollbacks.write(tmp_path, [Rollback("drnet", 4, 0.5, "why")])
    assert rollbacks.read(tmp_path) == [Rollback("drnet", 4, 0.5, "why")]
    path.write_text(path.read_text().replace("4", "6") if damage == "changed" else damage)
    with pytest.raises(InputError, match=r"rollbacks.json is damaged: "):
        train.run(config, tmp_path)


def test_reordered_digits_are_other_batches_of_the_same_clips(config, tmp_path):
    source = run_lib.create_run(config, tmp_path).source
    batches = [
        jax.device_get(each.draw_frames(each.arrays, 3, 4, 2))
        for each in (source, source.reordered(1), source.reordered(2), source.reordered(1))
    ]
    assert not np.array_equal(batches[0], batches[1])
    assert not np.array_equal(batches[1], batches[2])
    np.testing.assert_array_equal(batches[1], batches[3])
    assert source.reordered(1).arrays is source.arrays
