"""The sweep over the pose's dimension and beta, and the baselines' table."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest

from experiments import baselines
from experiments import sweep_pose_dim_beta as sweep
from experiments.shared import probed, variations
from tests.conftest import ROOT
from tests.helpers import finished
from tests.test_configs import load

CELLS = [(2, 0.0), (2, 0.1), (3, 0.0), (3, 0.1)]


def scores(dim, beta):
    """Returns scores that identify their cell."""
    return finished.scores(
        finished.probe("category", "content", "linear", 0.99, 0.7 + dim / 100),
        finished.probe("category", "pose", "linear", 0.99, 0.3 + beta),
        finished.probe("azimuth", "pose", "linear", 0.9, 0.1, of="pose", chance=0.0),
        finished.probe("azimuth", "pose", "mlp", 0.9, 0.5 + dim / 10, of="pose", chance=0.0),
        swap=15.0 + dim + beta,
        auc=0.9 - beta,
    )


@pytest.fixture(scope="module")
def swept(data_dir, tmp_path_factory):
    """The finished runs of a sweep, in no order."""
    config, folder = finished.tiny("norb", data_dir), tmp_path_factory.mktemp("sweep")
    runs = []
    for dim, beta in reversed(CELLS):
        config.model.pose_dim = dim
        config.drnet.adversarial_weight = beta
        runs.append(finished.finish(config, folder / f"{dim} {beta}", scores(dim, beta)))
    return runs


def test_scores_are_in_their_cells(swept):
    (figure,) = sweep.draw(*swept)
    assert figure.name == "sweep_pose_dim_beta_norb"
    expected = {
        "pose_dims": [2, 3],
        "betas": [0, 0.1],
        "swap": [[17, 17.1], [18, 18.1]],
        "class_from_pose": [[0.3, 0.4], [0.3, 0.4]],
        "auc": [[0.9, 0.8], [0.9, 0.8]],
        "pose_from_pose": [[0.7, 0.7], [0.8, 0.8]],
        "class_from_content": [[0.72, 0.72], [0.73, 0.73]],
    }
    assert set(figure.arrays) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(figure.arrays[name], values)
    cells = figure.numbers["cells"]
    assert [(cell["pose_dim"], cell["beta"]) for cell in cells] == CELLS
    assert cells[1]["swap"]["high"] == pytest.approx(17.12)
    rows = {row[0]: row[1:] for row in figure.tables[0].rows}
    assert rows["3, 0.1"][0] == "18.10 [18.09, 18.12]"
    best = rows["chance; best trivial answer"]
    assert best == ["17.00", "0.200", "0.500", "0.200", "0.000"]
    (figure,) = sweep.draw(*swept[:3])  # One cell was not run.
    np.testing.assert_allclose(figure.arrays["swap"], [[np.nan, 17.1], [18, 18.1]])


def test_the_command_line_finishes_every_cell_once_and_writes_what_is_drawn(tmp_path):
    """Each run has a workdir of its own, and errors are one line."""
    code = """
import types
import numpy as np
from absl import flags
from experiments import sweep_pose_dim_beta as sweep
from experiments.shared import figure, runs, script
runs.check_same_data = lambda trained: None
def finish(config, workdir):
    assert config.data.data_dir == "d"
    print(workdir, config.model.pose_dim)
    return types.SimpleNamespace(record={"note": str(workdir), "stand_in": False})
runs.finish = finish
def draw(*trained):
    yield figure.Figure("name", np.zeros((9, 9, 3), np.uint8), "caption", [], {}, {})
    raise ValueError("What is\\nwrong.")
flags.DEFINE_integer("num_seeds", 1, "")
script.start(draw, "norb", variations=sweep.cells)
"""
    command = [sys.executable, "-c", code, "--preset=smoke", "--workdir=w", "--num_seeds=2"]
    command += ["--data_dir=d", f"--out={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    expected = [
        f"w_sweep/pose_{dim}_beta_{beta:g}{seed} {dim}"
        for seed in ("", "_seed_2")
        for dim, beta in CELLS
    ]
    assert done.stdout.splitlines()[:8] == expected
    assert done.stderr.splitlines() == ["What is"]
    assert done.returncode == 2
    assert len(json.loads((tmp_path / "name.json").read_text())["runs"]) == 8


@pytest.mark.parametrize("preset", sweep.GRIDS)
def test_every_cell_and_seed_is_a_run_of_its_own(preset):
    dims, betas = sweep.GRIDS[preset]
    cells = sweep.cells(types.SimpleNamespace(preset=preset, num_seeds=2))
    assert len(cells) == 2 * len(dims) * len(betas)
    settings = set()
    for suffix, change in cells.items():
        config = load("norb", preset)
        change(config)
        dim, beta = config.model.pose_dim, config.drnet.adversarial_weight
        assert suffix.startswith(f"_sweep/pose_{dim}_beta_{beta:g}")
        assert suffix.endswith("_seed_2") == (config.seed == 2)
        settings.add((dim, beta, config.seed))
    assert len(settings) == len(cells)


def test_several_seeds_give_the_mean_and_the_range():
    score = sweep.over_seeds([finished.interval(mean, 0.2) for mean in (0.5, 0.9, 0.4)])
    assert (score["low"], score["high"], score["chance"]) == (0.4, 0.9, 0.2)
    assert score["mean"] == pytest.approx(0.6)
    assert sweep.over_seeds([finished.interval(0.5), None]) is None
    assert sweep.over_seeds([finished.interval(0.5)]) == finished.interval(0.5)


def test_factors_without_intervals_have_a_mean():
    unknown = finished.interval(0.7, 0.3) | {"low": None, "high": None}
    score = sweep.over_factors([finished.interval(0.5, 0.2), None, unknown])
    assert (score["low"], score["high"]) == (None, None)
    assert (score["mean"], score["chance"]) == pytest.approx((0.6, 0.25))


def test_scores_depend_on_the_factors_of_the_data():
    digits = finished.scores(
        finished.probe("digit 1", "pose", "linear", 0.3, 0.1),
        finished.probe("position 1", "pose", "mlp", 0.9, 0.8, of="pose"),
        finished.probe("position 2", "pose", "mlp", 0.9, 0.6, of="pose"),
    )
    assert sweep.read(digits)["class_from_pose"]["mean"] == 0.1
    assert sweep.read(digits)["pose_from_pose"]["mean"] == pytest.approx(0.7)
    chairs = finished.scores(finished.probe("identity", "pose", "linear", 0.3, None))
    assert sweep.read(chairs)["class_from_pose"]["on"] == "held_out_clips"
    unknown = finished.scores()
    unknown["leakage"]["probes"] = unknown["swap"] = None
    assert sweep.read(unknown) == dict.fromkeys(sweep.SCORES) | {
        "auc": unknown["leakage"]["discriminator"]["same_clip"]
    }
    assert probed.identity(unknown) is None
    assert sweep.trivial(unknown) is None


@pytest.fixture(scope="module")
def methods(data_dir, tmp_path_factory):
    """A run of each of the methods."""
    folder, runs = tmp_path_factory.mktemp("methods"), []
    for i, (suffix, change) in enumerate(variations.ALL.items()):
        config = finished.tiny("norb", data_dir)
        if change:
            change(config)
        probe = finished.probe("category", "pose", "linear", 0.9, 0.3 + i / 10)
        record = finished.scores(probe, swap=20.0 + i, auc=0.5 + i / 10)
        runs.append(finished.finish(config, folder / f"norb{suffix}", record))
    return runs


def test_baselines_are_beside_the_method(methods):
    (figure,) = baselines.draw(*methods)
    assert figure.name == "baselines_norb"
    means = {name: [cell.split(" ")[0] for cell in row] for name, *row in figure.tables[0].rows}
    assert means == {
        "DrNET, beta = 0.1": ["22.00", "20.00", "21.00", "0.500", "0.300"],
        "beta = 0": ["23.00", "21.00", "22.00", "0.600", "0.400"],
        "consecutive frames": ["24.00", "22.00", "23.00", "0.700", "0.500"],
        # With one code there is nothing to swap.
        "one encoder": ["25.00", "-", "24.00", "0.800", "0.600"],
        "copy last frame": ["17.00", "17.00", "15.50", "-", "-"],
        "chance": ["-", "-", "-", "0.500", "0.200"],
    }
    assert figure.arrays["methods"].tolist() == list(means)[:5]
    np.testing.assert_allclose(figure.arrays["swap"], [20, 21, 22, np.nan, 17])
    assert figure.numbers["scores"]["one encoder"]["swap"] is None
    with pytest.raises(ValueError, match=r"is another run of DrNET, beta = 0.1; expected one"):
        next(baselines.draw(methods[0], methods[0]))
    row = baselines.read(finished.scores(auc=0.9, same_objects=0.52), has_content=True)
    assert row["auc"]["mean"] == 0.52  # Pairs of the same objects are preferred.


def test_methods_are_named_by_their_settings():
    config = load("mnist", "quick")
    del config.data["consecutive"]  # As in older runs.
    variations.without_adversary(config)
    assert baselines.method(config) == "beta = 0"
