"""A run whose workdir, data and compiled programs are in a bucket."""

import io
import json

import chex
import fsspec
import numpy as np
import pytest

import drnet_jax
from tests.conftest import TINY
from tests.helpers import command_line
from tests.runs.test_checkpoint import restore, saved, state
from tests.runs.test_writer import lines, points


@pytest.mark.slow
def test_a_damaged_checkpoint_in_a_bucket_is_set_aside(bucket, caplog):
    saved(bucket, steps=(1, 2))
    assert {p.name for p in bucket.iterdir()} == {"1", "2"}
    (bucket / "2" / "default" / "_METADATA").unlink()
    chex.assert_trees_all_equal(restore(bucket, state(0)), state(1))
    assert "damaged_2" in caplog.text
    assert {p.name for p in bucket.iterdir()} == {"1", "damaged_2"}


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_one_line_and_exit_code_2(bucket_server):
    smoke, workdir = "--config=configs/mnist.py:smoke", "--workdir=gs://absent/run"
    answers = {
        (smoke,): f"{workdir} cannot be used: there is no such bucket.",
        ("--mode=evaluate",): "No config.json in gs://absent/run: nothing has been trained there.",
        ("--mode=generate",): "No config.json in gs://absent/run: nothing has been trained there.",
    }
    found = command_line.run_each([[workdir, *arguments] for arguments in answers])
    for (status, stdout, stderr), line in zip(found, answers.values(), strict=True):
        assert (status, stdout, stderr) == (2, "", f"drnet_jax: {line}\n")


def logged(workdir):
    return [(line["stage"], line["step"]) for line in lines(workdir)]


@pytest.mark.slow
def test_a_bucket_holds_a_run_from_a_kill_to_the_finished_model(bucket, tmp_path):
    workdir = bucket / "run"
    tiny = TINY | {"checkpoint_every_steps": 3}
    command = [f"--config.{name}={value}" for name, value in tiny.items()]
    command += [
        "--config=configs/mnist.py:smoke",
        f"--workdir={workdir}",
        f"--config.data.data_dir={bucket / 'data'}",
    ]
    # The cache of another host: everything that is needed has to come from the bucket.
    first, second = ({"XDG_CACHE_HOME": str(tmp_path / name)} for name in "ab")

    result = command_line.run(
        "predictor", "5", "9", *command, program=command_line.SIGNALED_IN_STEP, **first
    )
    assert result.returncode == -9, result.stderr
    steps = [(stage, step) for stage in ("drnet", "predictor") for step in (2, 4, 6)]
    assert logged(workdir)[:3] == steps[:3]  # Everything up to the checkpoint at the end.
    assert (workdir / "running.json").exists()

    result = command_line.run(*command, **second)
    assert result.returncode == 0, result.stderr
    assert "Resuming drnet after step 6." in result.stdout
    assert f"Fetching {bucket / 'data'}" in result.stdout
    assert logged(workdir) == steps
    for stage in ("drnet", "predictor"):
        assert {step for _, step, _ in points(workdir, stage)} == {2, 4, 6}

    for arguments in (["--mode=evaluate"], ["--mode=generate", "--config.rollout.num_steps=500"]):
        result = command_line.run(f"--workdir={workdir}", *arguments, **second)
        assert result.returncode == 0, result.stderr
    with np.load(io.BytesIO((workdir / "samples" / "rollout.npz").read_bytes())) as arrays:
        frames = arrays["frames"]
    observed = frames.shape[1] - 500
    model = drnet_jax.load(str(workdir))
    rollout = np.asarray(model.rollout(frames[:, :observed], 500))
    np.testing.assert_allclose(rollout.astype(int), frames[:, observed:].astype(int), atol=1)
    check_listing(workdir)


def check_listing(workdir):
    """Every object is one that belongs to a run, and is complete."""
    found, root = fsspec.url_to_fs(str(workdir))
    contents = {path.removeprefix(f"{root}/"): found.cat_file(path) for path in found.find(root)}
    names = {name for name in contents if name.split("/")[0] not in ("checkpoints", "tensorboard")}
    assert names == {
        *(
            "config.json",
            "environment.json",
            "evaluation.json",
            "metrics.jsonl",
            "report.html",
            "timings.json",
        ),
        *(
            f"samples/{stage}/step_000000{n}.png"
            for stage in ("drnet", "predictor")
            for n in (3, 6)
        ),
        *(f"samples/rollout{end}" for end in (".gif", ".mp4", ".npz", "_strip.png")),
        "samples/swap_grid.png",
    }
    for name in ("config.json", "environment.json", "evaluation.json"):
        json.loads(contents[name])
    assert contents["report.html"].strip().endswith(b"</html>")
    for name in names:
        if name.endswith(".png"):
            assert contents[name].startswith(b"\x89PNG")
            assert contents[name].endswith(b"IEND\xaeB`\x82")
    assert contents["samples/rollout.gif"].startswith(b"GIF89a")
    assert contents["samples/rollout.gif"].endswith(b";")
    assert contents["samples/rollout.mp4"][4:8] == b"ftyp"
    checkpoints = {name for name in contents if name.startswith("checkpoints/")}
    for stage in ("drnet", "predictor"):
        for step in (3, 6):
            assert f"checkpoints/{stage}/{step}/commit_success.txt" in checkpoints
