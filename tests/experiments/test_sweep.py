"""The sweep over the pose's dimension and beta, and the baselines' table."""

import subprocess
import sys

import numpy as np
import pytest
from absl import flags

from experiments import baselines
from experiments import sweep_pose_dim_beta as sweep
from experiments.shared import probed, variations
from tests.conftest import ROOT
from tests.experiments.test_experiments import tiny, written
from tests.helpers import finished
from tests.test_configs import load

CELLS = [(2, 0.0), (2, 0.1), (3, 0.0), (3, 0.1)]


def scores(dim, beta):
    """Returns scores that tell the cell they are of."""
    return finished.scores(
        finished.probe("category", "content", "linear", 0.99, 0.7 + dim / 100),
        finished.probe("category", "pose", "linear", 0.99, 0.3 + beta),
        finished.probe("azimuth", "pose", "linear", 0.9, 0.1, of="pose", chance=0.0),
        finished.probe("azimuth", "pose", "mlp", 0.9, 0.5 + dim / 10, of="pose", chance=0.0),
        swap=15.0 + dim + beta,
        auc=0.9 - beta,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The finished runs of a sweep, in no order."""
    config, folder = tiny("norb", tmp_path_factory.mktemp("toys")), tmp_path_factory.mktemp("sweep")
    found = []
    for dim, beta in reversed(CELLS):
        config.model.pose_dim = dim
        config.drnet.adversarial_weight = beta
        found.append(finished.finish(config, folder / f"{dim} {beta}", scores(dim, beta)))
    return found


def test_scores_are_in_their_cells(trained, tmp_path, capsys):
    sweep.draw(tmp_path, *trained)
    printed = capsys.readouterr().out.splitlines()
    record, arrays = written(tmp_path, "sweep_pose_dim_beta_norb")
    np.testing.assert_array_equal(arrays["pose_dims"], [2, 3])
    np.testing.assert_array_equal(arrays["betas"], [0, 0.1])
    np.testing.assert_allclose(arrays["swap"], [[17, 17.1], [18, 18.1]])
    np.testing.assert_allclose(arrays["class_from_pose"], [[0.3, 0.4], [0.3, 0.4]])
    np.testing.assert_allclose(arrays["auc"], [[0.9, 0.8], [0.9, 0.8]])
    np.testing.assert_allclose(arrays["pose_from_pose"], [[0.7, 0.7], [0.8, 0.8]])
    np.testing.assert_allclose(arrays["class_from_content"], [[0.72, 0.72], [0.73, 0.73]])
    assert [(cell["pose_dim"], cell["beta"]) for cell in record["cells"]] == CELLS
    assert record["cells"][1]["swap"]["high"] == pytest.approx(17.12)
    assert len(record["runs"]) == 4
    (line,) = (line for line in printed if line.startswith("3, 0.1 "))
    assert line.split()[2] == "18.10"
    (line,) = (line for line in printed if line.startswith("chance"))
    assert line.split()[-5:] == ["17.00", "0.200", "0.500", "0.200", "0.000"]


def test_a_cell_that_was_not_run_is_a_dash(trained, tmp_path):
    sweep.draw(tmp_path, *trained[:3])
    _, arrays = written(tmp_path, "sweep_pose_dim_beta_norb")
    np.testing.assert_allclose(arrays["swap"], [[np.nan, 17.1], [18, 18.1]])


def test_every_cell_is_finished_once(tmp_path):
    """The command line asks for each run by a workdir of its own, in which it finds it again."""
    code = """
from absl import flags
from experiments import runs, sweep_pose_dim_beta as sweep
runs.check_same_data = lambda trained: None
runs.finish = lambda config, workdir: f"{workdir} {config.model.pose_dim}"
flags.DEFINE_integer("num_seeds", 1, "")
runs.start(lambda out, *trained: print(*trained, sep="\\n"), "norb", variations=sweep.cells)
"""
    command = [sys.executable, "-c", code, "--preset=smoke", "--workdir=w", "--num_seeds=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    expected = [
        f"w_sweep/pose_{dim}_beta_{beta:g}{seed} {dim}"
        for seed in ("", "_seed_2")
        for dim, beta in CELLS
    ]
    assert done.stdout.splitlines() == expected


@pytest.fixture
def given(monkeypatch):
    """Flags as if they were parsed."""
    values = flags.FlagValues()
    flags.DEFINE_string("preset", "quick", "", flag_values=values)
    flags.DEFINE_integer("num_seeds", 2, "", flag_values=values)
    values.mark_as_parsed()
    monkeypatch.setattr(flags, "FLAGS", values)
    return values


@pytest.mark.parametrize("preset", sweep.GRIDS)
def test_every_cell_and_seed_is_a_run_of_its_own(given, preset):
    given.preset = preset
    dims, betas = sweep.GRIDS[preset]
    cells = sweep.cells()
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


def test_of_several_seeds_the_mean_and_the_ends_are_shown():
    score = sweep.over_seeds([finished.interval(mean, 0.2) for mean in (0.5, 0.9, 0.4)])
    assert (score["low"], score["high"], score["chance"]) == (0.4, 0.9, 0.2)
    assert score["mean"] == pytest.approx(0.6)
    assert sweep.over_seeds([finished.interval(0.5), None]) is None
    assert sweep.over_seeds([finished.interval(0.5)]) == finished.interval(0.5)


def test_digits_have_two_positions_and_chairs_no_class_of_their_own():
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
def methods(tmp_path_factory):
    """A run of each of the methods."""
    folder, data = tmp_path_factory.mktemp("methods"), tmp_path_factory.mktemp("data")
    found = []
    for i, (suffix, change) in enumerate(variations.ALL.items()):
        config = tiny("norb", data)
        if change:
            change(config)
        record = finished.scores(
            finished.probe("category", "pose", "linear", 0.9, 0.3 + i / 10),
            swap=20.0 + i,
            auc=0.5 + i / 10,
        )
        found.append(finished.finish(config, folder / f"norb{suffix}", record))
    return found


def test_baselines_are_beside_the_method(methods, tmp_path, capsys):
    baselines.draw(tmp_path, *methods)
    lines = capsys.readouterr().out.splitlines()
    shown = {line[:20].strip(): line[20:].split("]") for line in lines[1:7]}
    means = {name: [cell.split("[")[0].split() for cell in row] for name, row in shown.items()}
    assert list(shown) == [
        "DrNET, beta = 0.1",
        "beta = 0",
        "consecutive frames",
        "one encoder",
        "copy last frame",
        "chance",
    ]
    assert means["beta = 0"] == [["23.00"], ["21.00"], ["22.00"], ["0.600"], ["0.400"], []]
    # What has one code has nothing to swap.
    assert means["one encoder"] == [["25.00"], ["-", "24.00"], ["0.800"], ["0.600"], []]
    assert means["copy last frame"] == [["17.00"], ["17.00"], ["15.50"], ["-", "-"]]
    record, arrays = written(tmp_path, "baselines_norb")
    assert arrays["methods"].tolist() == list(shown)[:5]
    np.testing.assert_allclose(arrays["swap"], [20, 21, 22, np.nan, 17])
    assert record["scores"]["one encoder"]["swap"] is None
    assert len(record["runs"]) == 4


def test_pairs_of_the_same_objects_are_preferred():
    row = baselines.read(finished.scores(auc=0.9, same_objects=0.52), has_content=True)
    assert row["auc"]["mean"] == 0.52


def test_two_runs_of_one_method_are_refused(methods, tmp_path):
    with pytest.raises(ValueError, match=r"is another run of DrNET, beta = 0.1; expected one"):
        baselines.draw(tmp_path, methods[0], methods[0])


def test_methods_are_named_by_their_settings():
    config = load("mnist", "quick")
    del config.data["consecutive"]  # As in older runs.
    variations.without_adversary(config)
    assert baselines.method(config) == "beta = 0"
