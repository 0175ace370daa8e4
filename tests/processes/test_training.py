"""Several processes that train one model, each with its own devices, as on the hosts of a pod."""

import json
import shutil
import signal
import sys
import time

import chex
import pytest

from drnet_jax.runs import rollbacks
from drnet_jax.runs import run as run_lib
from drnet_jax.runs.workdir import STAGES
from tests.conftest import TINY
from tests.helpers import bucket, process_group
from tests.helpers.process_group import ProcessGroup

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are connected by Gloo"),
]

LONG = {
    "drnet.num_steps": 30,
    "predictor.num_steps": 10,
    "log_every_steps": 1,
    "checkpoint_every_steps": 5,
}
SETTINGS = [f"--config.{name}={value}" for name, value in (TINY | LONG).items()]


def losses(workdir):
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    timed = ("steps_per_second", "input_wait", "crc32")
    return [{k: v for k, v in line.items() if k not in timed} for line in lines]


def checkpoints(workdir, stage):
    folder = workdir / "checkpoints" / stage
    return [int(p.name) for p in folder.iterdir() if p.name.isdigit()] if folder.exists() else []


@pytest.mark.parametrize("data", ["digits", "people"])
def test_two_processes_train_like_one(data, tmp_path, data_dir):
    """The same clips in the same order: losses and states agree up to rounding."""
    settings = (f"--data={data}", f"--data_dir={data_dir}", "--config.log_every_steps=1")
    settings += ("--config.drnet.num_steps=4", "--config.predictor.num_steps=4")
    for num, devices in ((1, 2), (2, 2)):
        outcomes = process_group.run(
            num,
            *settings,
            f"--workdir={tmp_path / f'{num}x{devices}'}",
            devices=devices,
            module="tests.helpers.train_stages",
        )
        assert [code for code, _ in outcomes] == [0] * num, outcomes
        for number in range(num if num > 1 else 0):
            total = num * devices
            assert f" {number} of {num} " in outcomes[number][1]
            assert f"{devices} of {total} devices" in outcomes[number][1]
    expected = losses(tmp_path / "1x2")
    assert len(expected) == 8
    for row, other in zip(losses(tmp_path / "2x2"), expected, strict=True):
        assert (row.pop("stage"), row.pop("step")) == (other.pop("stage"), other.pop("step"))
        chex.assert_trees_all_close(row, other, rtol=1e-3, atol=1e-4)


@pytest.fixture
def start(data_dir):
    """Starts a run of a few steps, by default in two processes with one device each."""

    def start(workdir, *arguments, num=2, module="tests.helpers.only_train"):
        return ProcessGroup(
            num,
            "--config=configs/mnist.py:smoke",
            *SETTINGS,
            f"--config.data.data_dir={data_dir}",
            f"--workdir={workdir}",
            *arguments,
            devices=2 // num,
            module=module,
        )

    return start


def disturb(group, workdir, event):
    """Calls `event` with the processes once they have saved something new.

    Returns their exit codes, how long they took to end, and what they printed.
    """
    newest = [max(checkpoints(workdir, stage), default=0) for stage in STAGES]
    with group:
        group.wait_until(
            lambda: [max(checkpoints(workdir, stage), default=0) for stage in STAGES] > newest
        )
        event(group.processes)
        began = time.monotonic()
        codes = group.wait()
        return codes, time.monotonic() - began, [group.output(n) for n in range(len(codes))]


def test_runs_that_are_stopped_and_killed_end_like_an_undisturbed_one(tmp_path, start, config):
    undisturbed, workdir = tmp_path / "undisturbed", tmp_path / "disturbed"
    with start(undisturbed) as group:
        assert group.wait() == [0, 0], group.output(0)
        assert "Open " in group.output(0)
        assert "Open " not in group.output(1)

    # Ctrl-C in one process, here not the first, stops both after the same step.
    codes, _, texts = disturb(
        start(workdir), workdir, lambda processes: processes[1].send_signal(signal.SIGINT)
    )
    assert codes == [128 + signal.SIGTERM] * 2, texts
    assert "which is saved. The same command resumes from there." in texts[0]
    # When one is killed, the other ends too.
    codes, seconds, texts = disturb(start(workdir), workdir, lambda processes: processes[1].kill())
    assert codes[0] not in (0, 2), texts
    assert codes[1] == -signal.SIGKILL, texts
    assert seconds < 60

    with start(workdir) as group:
        assert group.wait() == [0, 0], group.output(0)
        assert "Resuming drnet after step" in group.output(0)
    assert losses(workdir) == losses(undisturbed)
    config.update_from_flattened_dict(LONG)
    states = [run_lib.create_run(config, path).restore() for path in (workdir, undisturbed)]
    chex.assert_trees_all_equal(*states)


def test_all_processes_roll_back_and_extend_together(tmp_path, start):
    """A loss is NaN at step 23, and the run gets more steps afterwards."""
    group = start(tmp_path, "--config.on_nan=rollback", module="tests.helpers.diverging")
    with group:
        assert group.wait() == [0, 0], group.output(0)
        assert "Training went back to step 20, with other batches." in group.output(0)
    made = rollbacks.read(tmp_path)
    assert [(each.stage, each.step) for each in made] == [("drnet", 20)]
    with start(tmp_path, "--config.drnet.num_steps=35", "--extend") as group:
        assert group.wait() == [0, 0], group.output(0)
        assert "Extending drnet from 30 to 35 steps: it goes on after step 25" in group.output(0)
    assert rollbacks.read(tmp_path) == made
    assert max(checkpoints(tmp_path, "drnet")) == 35
    assert [row["step"] for row in losses(tmp_path)] == [*range(1, 36), *range(1, 11)]


def test_a_run_goes_on_in_another_number_of_processes(tmp_path, start):
    """One process, then two, then one again: losses are those of one, up to rounding."""
    # Adam turns rounding into steps of full size, so steps are small.
    slow = ("--config.drnet.learning_rate=1e-5", "--config.predictor.learning_rate=1e-5")
    with start(tmp_path / "one", *slow, num=1) as group:
        assert group.wait() == [0], group.output(0)
    workdir = tmp_path / "both"
    for num in (1, 2):
        group = start(workdir, *slow, num=num)
        codes, _, texts = disturb(
            group, workdir, lambda processes: processes[0].send_signal(signal.SIGTERM)
        )
        assert codes == [128 + signal.SIGTERM] * num, texts
    with start(workdir, *slow, num=1) as group:
        assert group.wait() == [0], group.output(0)
        assert "Resuming drnet after step" in group.output(0)
    for row, other in zip(losses(workdir), losses(tmp_path / "one"), strict=True):
        assert (row.pop("stage"), row.pop("step")) == (other.pop("stage"), other.pop("step"))
        chex.assert_trees_all_close(row, other, rtol=1e-3, atol=1e-4)


def test_two_processes_score_and_sample_what_one_has_trained(tmp_path, trained):
    shutil.copytree(trained, tmp_path / "run")
    for name in ("evaluation.json", "samples/rollout.npz"):
        (tmp_path / "run" / name).unlink()
    for mode in ("evaluate", "generate"):
        outcomes = process_group.run(
            2, f"--mode={mode}", f"--workdir={tmp_path / 'run'}", slurm=True
        )
        assert [code for code, _ in outcomes] == [0, 0], outcomes
    scores = [json.loads((p / "evaluation.json").read_text()) for p in (tmp_path / "run", trained)]
    assert scores[0] == scores[1]
    rollouts = [(p / "samples" / "rollout.npz").read_bytes() for p in (tmp_path / "run", trained)]
    assert rollouts[0] == rollouts[1]


def test_two_processes_with_everything_in_a_bucket(tmp_path):
    """Each has a home of its own, as on two hosts: only the bucket is common."""
    folders = ("--workdir=gs://bucket/run", "--config.data.data_dir=gs://bucket/data")
    settings = ("--config=configs/mnist.py:smoke", *SETTINGS, "--config.predictor.num_steps=5")
    with bucket.serving() as server:
        each = [server | {"XDG_CACHE_HOME": str(tmp_path / name)} for name in "ab"]
        arguments = (*settings, "--config.drnet.num_steps=5", *folders)
        outcomes = process_group.run(2, *arguments, module="tests.helpers.only_train", each=each)
        assert [code for code, _ in outcomes] == [0, 0], outcomes
        # The same command goes on from what both have written.
        outcomes = process_group.run(2, *arguments, module="tests.helpers.only_train", each=each)
        assert [code for code, _ in outcomes] == [0, 0], outcomes
        assert "gs://bucket/run is finished" in outcomes[0][1]
    for name in "ab":
        assert list((tmp_path / name).rglob("*.array_record*"))
