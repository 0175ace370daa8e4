"""Table 1: the category of toys, read from content and pose."""

import dataclasses
import json

import numpy as np
import pytest

from drnet_jax.evaluation import leakage
from drnet_jax.runs import metrics_writer as writer
from experiments import table1_norb
from experiments.shared import probed, variations
from tests.experiments.test_experiments import tiny, written
from tests.helpers import finished

ACCURACY = {
    "with": {("content", "linear"): 0.91, ("content", "mlp"): 0.94},
    "without": {("content", "linear"): 0.71, ("content", "mlp"): 0.74},
}
POSE = {"with": 0.23, "without": 0.61}


def probes(name):
    for code in table1_norb.CODES:
        for kind in table1_norb.KINDS:
            unseen = ACCURACY[name].get((code, kind), POSE[name])
            # On toys that were seen it is easier: that is not what the table shows.
            yield finished.probe("category", code, kind, 0.99, unseen)
            yield finished.probe("instance", code, kind, 0.5, None)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Runs with and without an adversarial term."""
    config = tiny("norb", tmp_path_factory.mktemp("toys"))
    folder = tmp_path_factory.mktemp("norb")
    trained = finished.finish(config, folder / "with", finished.scores(*probes("with")))
    variations.without_adversary(config)
    without = finished.finish(config, folder / "without", finished.scores(*probes("without")))
    return trained, without


def real(trained, folder):
    """Returns the run as if its data were those of the paper."""
    del folder

    class Real(type(trained.run.source)):
        stand_in = False

    source = object.__new__(Real)
    source.__dict__.update(vars(trained.run.source) | {"stand_in": False})
    return dataclasses.replace(trained, run=dataclasses.replace(trained.run, source=source))


def test_the_table_shows_toys_that_were_never_seen(pair, tmp_path, capsys):
    table1_norb.draw(tmp_path, *pair)
    printed = capsys.readouterr().out
    lines = [line.split("  ") for line in printed.splitlines() if line.startswith("beta")]
    shown = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert shown == [
        ["beta = 0.1, content", "91.0 [90.0, 93.0]", "94.0 [93.0, 96.0]"],
        ["beta = 0.1, pose", "23.0 [22.0, 25.0]", "23.0 [22.0, 25.0]"],
        ["beta = 0, content", "71.0 [70.0, 73.0]", "74.0 [73.0, 76.0]"],
        ["beta = 0, pose", "61.0 [60.0, 63.0]", "61.0 [60.0, 63.0]"],
    ]
    record, arrays = written(tmp_path, "table1_norb")
    np.testing.assert_allclose(arrays["mean"], [[[91, 94], [23, 23]], [[71, 74], [61, 61]]])
    assert record["percent"]["without"]["pose"]["mlp"]["mean"] == pytest.approx(61)


def test_values_of_the_paper_are_only_shown_for_its_data(pair, tmp_path, capsys):
    table1_norb.draw(tmp_path, *pair)
    printed = capsys.readouterr().out + (tmp_path / "table1_norb.json").read_text()
    assert not any(text in printed for text in ("recalled", "93.3", "60.9", "86.5"))
    assert "STAND-IN, not the data of the paper" in printed
    table1_norb.draw(tmp_path, *(real(each, tmp_path) for each in pair))
    printed = capsys.readouterr().out
    assert "[recalled]" in printed
    for words, value in (("beta = 0.1, pose", "60.9"), ("beta = 0, pose", "80.8")):
        (line,) = (line for line in printed.splitlines() if line.startswith(words))
        assert line.split()[-1] == value
    assert "Mathieu" in printed
    assert json.loads((tmp_path / "table1_norb.json").read_text())["paper_recalled"]


def test_runs_that_are_not_such_a_pair_are_refused(pair, tmp_path):
    trained, without = pair
    with pytest.raises(ValueError, match=r"with has adversarial_weight=0.1; expected 0\.$"):
        table1_norb.draw(tmp_path, trained, trained)
    with pytest.raises(ValueError, match=r"has adversarial_weight=0; expected above 0\.$"):
        table1_norb.draw(tmp_path, without, without)


def test_scores_without_the_probes_are_refused(pair, tmp_path):
    workdir = tmp_path / "few"
    config = pair[0].run.config.copy_and_resolve_references()
    few = finished.finish(
        type(config)(config.to_dict()),
        workdir,
        finished.scores(finished.probe("category", "content", "linear", 0.9, None)),
    )
    with pytest.raises(ValueError, match=r"few/evaluation.json has no linear probe of category in"):
        table1_norb.draw(tmp_path, few, pair[1])


def test_what_is_read_is_what_evaluation_writes(tmp_path, tmp_path_factory):
    config = tiny("norb", tmp_path_factory.mktemp("more toys"))
    config.data.stand_in.update(instances_per_category=8, num_azimuths=4)
    trained = finished.finish(config, tmp_path, {})
    record = leakage.score(trained.run, trained.run.init_drnet())
    writer.write_json(tmp_path / "evaluation.json", record)
    cells = table1_norb.read(trained)
    # Four toys of each of the five categories were never seen.
    assert cells["pose"]["linear"]["chance"] == pytest.approx(20, abs=16)
    assert all(0 <= cell["mean"] <= 100 for kinds in cells.values() for cell in kinds.values())
    assert probed.identity(trained.scores) == "category"
    assert probed.pose_factors(trained.scores) == ["azimuth"]
    assert np.isfinite(probed.score(trained.scores, "azimuth", "pose", "mlp")["mean"])
