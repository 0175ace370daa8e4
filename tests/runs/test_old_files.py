"""Files of released versions, as tests/helpers/old_files.py has written them, are still opened.

Those of version 0.1.0 have other names and are in test_old_workdir.py.
"""

import json
import pathlib
import shutil
import zipfile

import chex
import numpy as np
import pytest

import drnet_jax
from drnet_jax.commands import evaluate, train
from drnet_jax.runs.run import create_run
from drnet_jax.runs.workdir import STAGES
from tests.helpers import old_files

ARCHIVES = sorted(pathlib.Path(__file__).parent.glob("files_*.zip"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def folder(request, tmp_path):
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def made(folder):
    with np.load(folder / "made.npz") as arrays:
        return dict(arrays)


def test_every_release_has_its_files():
    versions = {path.stem.removeprefix("files_") for path in ARCHIVES}
    assert drnet_jax.__version__ in versions


@pytest.mark.parametrize(
    ("name", "rollout"), [("run", "rollout"), ("exported", "exported_rollout")]
)
def test_models_generate_the_same_frames(folder, made, name, rollout):
    found = drnet_jax.load(folder / name).rollout(old_files.SHOWN, 6)
    assert found.shape == made[rollout].shape
    assert np.abs(found.astype(int) - made[rollout]).max() <= 2


def test_a_run_has_the_same_scores(folder, config):
    before = json.loads((folder / "run" / "evaluation.json").read_text())
    evaluate.run(config, folder / "run")
    after = json.loads((folder / "run" / "evaluation.json").read_text())
    for part in ("prediction", "swap"):
        psnr = [record[part]["model"]["psnr"]["mean"] for record in (before, after)]
        np.testing.assert_allclose(*psnr, rtol=1e-4)


@pytest.mark.usefixtures("training_only")
def test_an_interrupted_run_comes_to_the_same_result(folder, config, capsys):
    expected = create_run(config, folder / "run").restore()
    for stage in STAGES:
        shutil.rmtree(folder / "run" / "checkpoints" / stage / "6")
    train.run(config, folder / "run")
    out = capsys.readouterr().out
    assert all(f"Resuming {stage} after step 4." in out for stage in STAGES)
    # Processors round differently, and Adam turns rounding of tiny gradients into whole steps.
    chex.assert_trees_all_close(
        create_run(config, folder / "run").restore(), expected, rtol=1e-2, atol=5e-3
    )


def test_prepared_clips_are_not_prepared_again(folder, made, capsys):
    np.testing.assert_array_equal(old_files.clips_of_test(folder / "data"), made["clips"])
    assert "Preparing" not in capsys.readouterr().out
