import contextlib
import dataclasses
import json
import shutil
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.base import checked_json
from drnet_jax.base.errors import InputError
from drnet_jax.base.stopping import StoppedError
from drnet_jax.commands import train
from drnet_jax.runs import lock
from drnet_jax.runs import run as run_lib
from drnet_jax.runs.workdir import STAGES


def final_states(config, workdir):
    return run_lib.create_run(config, workdir).restore()


def rows(workdir, stage):
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["stage"] == stage]


def test_a_run_leaves_everything_behind(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        *(
            "config.json",
            "environment.json",
            "metrics.jsonl",
            "evaluation.json",
            "report.html",
            "timings.json",
        ),
        *("checkpoints", "samples", "tensorboard", ".running.lock"),
    }
    samples = {str(p.relative_to(trained / "samples")) for p in trained.rglob("samples/**/*.*")}
    assert samples == {
        *("swap_grid.png", "rollout_strip.png", "rollout.gif", "rollout.mp4", "rollout.npz"),
        *("drnet/step_0000003.png", "drnet/step_0000006.png"),
        *("predictor/step_0000003.png", "predictor/step_0000006.png"),
    }
    for stage in STAGES:
        assert [row["step"] for row in rows(trained, stage)] == [2, 4, 6]
        folders = {p.name for p in (trained / "checkpoints" / stage).iterdir()}
        assert folders == {"2", "4", "6"}


def test_a_finished_run_is_left_alone(trained, config, capsys):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    train.run(config, trained)
    assert "is finished: open" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def stop_in(patch, stage: str, after: int) -> None:
    """Has SIGTERM arrive in the step of `stage` that comes after `after` finished ones."""
    make = getattr(train, f"{stage}_stage")

    def stopping_stage(*args):
        built = make(*args)

        def step(num_steps, state, inputs):
            if int(state.step) == after:
                signal.raise_signal(signal.SIGTERM)
            return built.step(num_steps, state, inputs)

        return dataclasses.replace(built, step=step)

    patch.setattr(train, f"{stage}_stage", stopping_stage)


@pytest.mark.usefixtures("training_only")  # The scores of a killed run are compared elsewhere.
def test_a_stopped_run_resumes_to_the_same_numbers(trained, config, tmp_path, monkeypatch):
    """Stopped by SIGTERM in each stage and started again, a run equals an undisturbed one."""
    for stage in STAGES:
        with monkeypatch.context() as patch:
            stop_in(patch, stage, after=2)
            with pytest.raises(StoppedError, match=f"Stopped after step 3 of {stage}"):
                train.run(config, tmp_path)
    train.run(config, tmp_path)
    chex.assert_trees_all_equal(final_states(config, tmp_path), final_states(config, trained))
    for stage in STAGES:
        assert [row["step"] for row in rows(tmp_path, stage)] == [2, 4, 6]


@pytest.mark.parametrize("stopped", [False, True])
def test_only_the_state_after_the_last_step_is_finished(config, tmp_path, stopped):
    run = run_lib.create_run(config, tmp_path / "run")
    finished = []

    def finish(state):
        finished.append(int(state.step))
        return state.replace(step=state.step + 100)

    stage = dataclasses.replace(train.drnet_stage(run), finish=finish)
    stops = pytest.raises(StoppedError) if stopped else contextlib.nullcontext()
    with stops:
        train.fit_stage(run, stage, run.init_drnet(), stop_requested=lambda: stopped)
    assert finished == ([] if stopped else [config.drnet.num_steps])
    with run.checkpoints("drnet") as checkpoints:
        saved = checkpoints.restore(run.init_drnet())
    assert int(saved.step) == (1 if stopped else config.drnet.num_steps + 100)


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_loss_that_is_not_finite_stops_with_its_step(config, tmp_path, monkeypatch, at_once):
    config.update(steps_at_once=at_once, log_every_steps=3, checkpoint_every_steps=3)
    make = train.drnet_stage

    def broken_stage(run):
        built = make(run)

        def step(num_steps, state, inputs):
            state, metrics = built.step(num_steps, state, inputs)
            steps = state.step - jnp.arange(at_once)[::-1]
            bad = jnp.where(steps == 5, jnp.nan, 0.0)
            return state, metrics | {"reconstruction": metrics["reconstruction"] + bad}

        return dataclasses.replace(built, step=step)

    monkeypatch.setattr(train, "drnet_stage", broken_stage)
    with pytest.raises(FloatingPointError, match="reconstruction of drnet is not finite at step 5"):
        train.run(config, tmp_path)
    # The last checkpoint is from before that step.
    assert [p.name for p in (tmp_path / "checkpoints" / "drnet").iterdir()] == ["3"]


def test_the_workdir_of_another_run_is_refused_and_untouched(trained, config):
    before = (trained / "config.json").read_bytes()
    config.model.pose_dim = 4
    with pytest.raises(InputError, match=r"workdir of another run: config.model.pose_dim is 3"):
        train.run(config, trained)
    assert (trained / "config.json").read_bytes() == before


def test_an_unwritable_workdir_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Cannot write to --workdir=.*file"):
        train.run(config, tmp_path / "file")


def test_a_second_run_in_a_workdir_is_refused(config, tmp_path):
    with lock.hold(tmp_path), pytest.raises(InputError, match="is in use by process"):
        train.run(config, tmp_path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_batches_must_split_evenly_over_the_devices(config, tmp_path, stage):
    config[stage].batch_size = 5
    message = f"config.{stage}.batch_size=5 cannot be split over 2 devices; allowed: multiples of 2"
    with pytest.raises(InputError, match=message):
        train.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_statistics_per_device_need_two_clips_on_each(config, tmp_path):
    config.drnet.update(batch_size=2, batch_stats="per_device")
    message = "config.drnet.batch_size=2 is one clip for each of 2 devices.*; allowed: 4 or more"
    with pytest.raises(InputError, match=message):
        train.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data.image_size": 40, "data.digit_size": 20},
            r"image_size 40; allowed: 4 times a power",
        ),
        (
            {"data.image_size": 8, "data.digit_size": 4},
            r"image_size=8; allowed: whole numbers from 11 to 1,024",
        ),
        ({"data.speeds": (-1.5, 2)}, r"speeds=\[-1.5, 2\]; allowed: a pair of integers"),
        ({"data.max_frame_gap": 2**20}, r"config.data.max_frame_gap=1048576 are together longer"),
        ({"model.discriminator_width": 0}, r"discriminator_width=0; allowed in training: above 0"),
        ({"predictor.num_predicted": 2**20}, r"together longer than a clip; allowed: 1,048,576"),
        ({"rollout.num_steps": 2**20}, r"config.rollout.num_steps=1048576 are together longer"),
        ({"data.digits_dir": "nowhere", "data.digits": "full"}, r"nowhere"),
        ({"model.decoder": "vgg"}, r"config.model.decoder='vgg'; allowed: attention, dcgan, "),
    ],
)
def test_impossible_runs_leave_no_workdir(config, tmp_path, changes, message):
    with config.ignore_type():
        config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        train.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_damaged_settings_of_a_workdir_are_refused(trained, config, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(trained, workdir)
    (workdir / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config.json is damaged"):
        train.run(config, workdir)


def test_a_run_older_than_some_settings_resumes(trained, config, tmp_path, capsys):
    workdir = tmp_path / "copy"
    shutil.copytree(trained, workdir)
    stored = checked_json.read(workdir / "config.json")
    for section, name in (
        ("data", "consecutive"),
        ("data", "validation"),
        ("drnet", "batch_stats"),
        ("evaluation", "judge_steps"),
        ("rollout", "frames_at_once"),
    ):
        del stored[section][name]
    del stored["steps_at_once"]
    (workdir / "config.json").write_text(json.dumps(stored))
    train.run(config, workdir)
    assert "is finished" in capsys.readouterr().out
    config.data.consecutive = True
    with pytest.raises(InputError, match=r"config.data.consecutive is False there and True here"):
        train.run(config, workdir)


@pytest.mark.parametrize(
    ("backend", "expected"), [("cpu", "float32"), ("gpu", "bfloat16"), ("tpu", "bfloat16")]
)
def test_an_open_dtype_is_that_of_the_platform(monkeypatch, backend, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert run_lib.computation_dtype("auto") == expected
    assert run_lib.computation_dtype("float32") == "float32"


def test_a_run_keeps_the_dtype_that_it_started_with(trained, config, tmp_path):
    assert json.loads((trained / "config.json").read_text())["dtype"] == "float32"
    workdir = tmp_path / "copy"
    shutil.copytree(trained, workdir)
    stored = checked_json.read(workdir / "config.json") | {"dtype": "bfloat16"}
    (workdir / "config.json").write_text(json.dumps(stored))
    config.dtype = "auto"
    run = run_lib.create_run(config, workdir)
    assert run.config.dtype == "bfloat16"
    assert run.networks.decoder.dtype == jnp.bfloat16


@pytest.mark.usefixtures("training_only")
def test_losses_fall(config, tmp_path):
    config.drnet.update(num_steps=60, batch_size=16, learning_rate=0.01)
    config.predictor.update(num_steps=60, learning_rate=0.03)
    config.update(log_every_steps=10, sample_every_steps=0, checkpoint_every_steps=0)
    train.run(config, tmp_path)
    for stage, name in (("drnet", "reconstruction"), ("predictor", "prediction")):
        values = np.array([row[name] for row in rows(tmp_path, stage)])
        assert values[-1] < 0.7 * values[0]
