"""A run of version 0.1.0, begun before settings, state fields and scores were renamed.

The archive holds the workdir of a finished run with the settings of `tests.conftest.tiny_config`
on two CPU devices: its settings, log and scores, and the checkpoints of steps 4 and 6 of both
stages.
"""

import json
import pathlib
import shutil
import zipfile

import chex
import numpy as np
import pytest

import drnet_jax
from drnet_jax import report
from drnet_jax.base.errors import InputError
from drnet_jax.commands import evaluate, generate, train
from drnet_jax.runs.run import create_run
from drnet_jax.runs.workdir import STAGES, stored_settings

ARCHIVE = pathlib.Path(__file__).parent / "workdir_0.1.0.zip"


@pytest.fixture
def workdir(tmp_path):
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_the_archive_has_the_old_names(workdir):
    stored = json.loads((workdir / "config.json").read_text())
    assert {"coloured", "max_step"} <= stored["data"].keys()
    assert not {"motion", "blending"} & stored["data"].keys()
    checkpoint = workdir / "checkpoints" / "drnet" / "6" / "default"
    assert '"main"' in (checkpoint / "_METADATA").read_text()


def test_an_old_model_loads(workdir):
    model = drnet_jax.load(workdir)
    assert model.config.data.colored
    assert model.config.data.max_frame_gap == 20
    frames = np.zeros((2, 5, 16, 16, 3), np.uint8)
    assert model.rollout(frames, 3).shape == (2, 3, 16, 16, 3)


def test_an_old_run_is_evaluated_sampled_and_reported(workdir, config):
    before = json.loads((workdir / "evaluation.json").read_text())
    evaluate.run(config, workdir)
    after = json.loads((workdir / "evaluation.json").read_text())
    psnr = [record["swap"]["model"]["psnr"]["mean"] for record in (before, after)]
    np.testing.assert_allclose(*psnr, rtol=1e-4)
    generate.run(config, workdir)
    assert (workdir / "samples" / "rollout.npz").exists()
    assert report.write(workdir).exists()


@pytest.mark.usefixtures("training_only")
def test_an_interrupted_old_run_resumes_to_the_same_result(workdir, config, capsys):
    expected = create_run(config, workdir).restore()
    for stage in STAGES:
        shutil.rmtree(workdir / "checkpoints" / stage / "6")
    train.run(config, workdir)
    out = capsys.readouterr().out
    assert all(f"Resuming {stage} after step 4." in out for stage in STAGES)
    # Processors round differently, and Adam turns rounding of tiny gradients into whole steps.
    chex.assert_trees_all_close(
        create_run(config, workdir).restore(), expected, rtol=1e-2, atol=5e-3
    )
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    assert sorted((row["stage"], row["step"]) for row in rows) == [
        (stage, step) for stage in STAGES for step in (2, 4, 6)
    ]


def test_an_old_run_is_still_compared_with_the_settings_given(workdir, config):
    assert stored_settings(workdir)["data"]["max_frame_gap"] == 20
    config.data.max_frame_gap = 10
    with pytest.raises(InputError, match=r"config.data.max_frame_gap is 20 there and 10 here"):
        train.run(config, workdir)
