"""The command line as a user meets it: in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import chex
import numpy as np
import pytest

from tests.conftest import ROOT

SMOKE = "--config=configs/mnist.py:smoke"
TINY = (
    *("--config.data.image_size=16", "--config.data.digit_size=8", "--config.model.width=2"),
    *("--config.evaluation.num_clips=10", "--config.evaluation.batch_size=10"),
    *("--config.rollout.num_clips=2", "--config.rollout.num_steps=12"),
)


def command(*arguments):
    return [sys.executable, "-m", "drnet_jax.main", *arguments]


def environment(tmp_path):
    return os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "programs")}


def run(tmp_path, *arguments):
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--config is missing; give a file of settings, such as --config=configs/mnist.py"),
        (
            (SMOKE, "--mode=draw"),
            "value should be one of <train|evaluate|generate|prepare|import_torch>",
        ),
        ((SMOKE, "--wokdir=x"), "Unknown command line flag 'wokdir'. Did you mean: workdir"),
        ((SMOKE, "more"), "Unexpected arguments: more."),
        (("--config=configs/nist.py",), "There is no file 'configs/nist.py'"),
        (("--config=configs/mnist.py:fast",), "Unknown variant 'fast' of configs/mnist.py; known:"),
        (
            (SMOKE, "--config.drnet.steps=3"),
            "there is no 'steps'; known: adversarial_weight, batch",
        ),
        ((SMOKE, "--config.model.width.x=3"), "there is no 'x'; known: none below"),
        ((SMOKE, "--config.drnet.num_steps=many"), "invalid literal for int"),
        ((SMOKE, "--config.drnet.num_steps=0"), "config.drnet.num_steps=0; allowed: above 0."),
        ((SMOKE, "--mode=generate"), "nothing has been trained there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, arguments, message):
    workdir = tmp_path / "run"
    result = run(tmp_path, f"--workdir={workdir}", *arguments)
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("drnet_jax: ")
    assert message in line
    assert not workdir.exists()


def test_help_names_every_flag_and_is_quick(tmp_path):
    started = time.monotonic()
    result = run(tmp_path, "--help")
    assert time.monotonic() - started < 10
    for text in ("--config:", "--mode:", "--workdir:", "configs/mnist.py:quick"):
        assert text in result.stdout


def test_data_are_prepared_ahead_once(tmp_path):
    arguments = (
        *("--config=configs/suncg.py:smoke", "--mode=prepare", "--config.data.image_size=16"),
        *("--config.data.stand_in.num_identities=2", "--config.data.stand_in.num_azimuths=2"),
        f"--config.data.data_dir={tmp_path / 'data'}",
    )
    result = run(tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    assert "STAND-IN" in result.stderr
    files = [tmp_path / line.strip() for line in result.stdout.splitlines() if line[:2] == "  "]
    assert [path.name for path in files] == ["card.md", "contact_sheet.png"]
    before = {path: path.stat().st_mtime_ns for path in files[0].parent.iterdir()}
    result = run(tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    assert before == {path: path.stat().st_mtime_ns for path in files[0].parent.iterdir()}


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    config = ("--config=configs/video_folder.py:smoke", "--config.data.folder=no where")
    for mode in ("train", "prepare"):
        result = run(tmp_path, *config, f"--mode={mode}", f"--workdir={tmp_path / 'run'}")
        assert result.returncode == 2
        (line,) = result.stderr.strip().splitlines()
        assert (
            line == "drnet_jax: There is no folder no where: set config.data.folder to the files."
        )
    assert not (tmp_path / "run").exists()


def arrays(workdir):
    """Returns every array of the finished run, read by a process that knows nothing of this one."""
    code = (
        "import sys, jax, numpy, drnet_jax\n"
        "variables = drnet_jax.load(sys.argv[1]).variables\n"
        "leaves, _ = jax.tree_util.tree_flatten_with_path(variables)\n"
        "numpy.savez(sys.argv[2], **{jax.tree_util.keystr(k): v for k, v in leaves})\n"
    )
    target = workdir / "arrays.npz"
    subprocess.run(
        [sys.executable, "-c", code, str(workdir), str(target)], cwd=ROOT, timeout=300, check=True
    )
    with np.load(target) as stored:
        return dict(stored)


def kill_after(tmp_path, workdir, stage, step, arguments):
    """Starts a run and kills it, without warning, once `stage` has logged `step`."""
    with subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        metrics = workdir / "metrics.jsonl"
        reached = f'"stage": "{stage}", "step": {step},'
        deadline = time.monotonic() + 300
        while not (metrics.exists() and reached in metrics.read_text()):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_run_started_again_equals_one_that_was_not(tmp_path):
    """`kill -9` in each stage, then the same command: the same parameters, bit for bit."""
    steps = ("--config.drnet.num_steps=60", "--config.predictor.num_steps=60")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    settings = (SMOKE, *TINY, *steps)
    result = run(tmp_path, f"--workdir={whole}", *settings)
    assert result.returncode == 0, result.stderr
    assert (whole / "report.html").exists()
    again = (f"--workdir={killed}", *settings)
    kill_after(tmp_path, killed, "drnet", 30, again)
    kill_after(tmp_path, killed, "predictor", 30, again)
    result = run(tmp_path, *again)
    assert result.returncode == 0, result.stderr
    assert "Resuming predictor after step" in result.stdout
    chex.assert_trees_all_equal(arrays(killed), arrays(whole))
    scores = [json.loads((w / "evaluation.json").read_text()) for w in (whole, killed)]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_one_device_and_eight_have_the_same_losses(tmp_path):
    steps = ("--config.drnet.num_steps=5", "--config.predictor.num_steps=5")
    every = ("--config.log_every_steps=1", "--config.sample_every_steps=0")
    losses = []
    for devices in ("1", "8"):
        workdir = tmp_path / devices
        result = subprocess.run(
            command(f"--workdir={workdir}", SMOKE, *TINY, *steps, *every),
            cwd=ROOT,
            env=environment(tmp_path) | {"JAX_NUM_CPU_DEVICES": devices},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert json.loads((workdir / "environment.json").read_text())["devices"][0] == devices
        rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
        losses.append([row | {"steps_per_second": 0} for row in rows])
    chex.assert_trees_all_close(
        [[v for v in row.values() if not isinstance(v, str)] for row in losses[1]],
        [[v for v in row.values() if not isinstance(v, str)] for row in losses[0]],
        rtol=1e-4,
        atol=1e-5,
    )
