"""Table 1: the category of toys, read from content and pose."""

import dataclasses
import types

import numpy as np
import pytest

from drnet_jax.evaluation import leakage
from drnet_jax.runs import metrics_writer as writer
from experiments import table1_norb
from experiments.shared import probed, variations
from tests.helpers import finished


def scores(content_linear, content_mlp, pose):
    probes = []
    for code, *unseen in (("content", content_linear, content_mlp), ("pose", pose, pose)):
        for kind, accuracy in zip(table1_norb.KINDS, unseen, strict=True):
            # On toys that were seen it is easier: that is not what the table shows.
            probes.append(finished.probe("category", code, kind, 0.99, accuracy))
            probes.append(finished.probe("instance", code, kind, 0.5, None))
    return finished.scores(*probes)


@pytest.fixture(scope="module")
def pair(data_dir, tmp_path_factory):
    """Runs with and without an adversarial term."""
    config, folder = finished.tiny("norb", data_dir), tmp_path_factory.mktemp("norb")
    trained = finished.finish(config, folder / "with", scores(0.91, 0.94, 0.23))
    variations.without_adversary(config)
    return trained, finished.finish(config, folder / "without", scores(0.71, 0.74, 0.61))


def test_the_table_shows_toys_that_were_never_seen(pair):
    (figure,) = table1_norb.draw(*pair)
    assert figure.tables[0].rows[:4] == [
        ["beta = 0.1, content", "91.0 [90.0, 93.0]", "94.0 [93.0, 96.0]"],
        ["beta = 0.1, pose", "23.0 [22.0, 25.0]", "23.0 [22.0, 25.0]"],
        ["beta = 0, content", "71.0 [70.0, 73.0]", "74.0 [73.0, 76.0]"],
        ["beta = 0, pose", "61.0 [60.0, 63.0]", "61.0 [60.0, 63.0]"],
    ]
    expected = [[[91, 94], [23, 23]], [[71, 74], [61, 61]]]
    np.testing.assert_allclose(figure.arrays["mean"], expected)
    assert figure.numbers["percent"]["without"]["pose"]["mlp"]["mean"] == pytest.approx(61)


def test_intervals_may_be_unknown(pair, tmp_path):
    record = pair[0].scores
    for probe in record["leakage"]["probes"]:
        if probe["held_out_objects"]:
            probe["held_out_objects"] |= {"low": None, "high": None}
    writer.write_json(tmp_path / "evaluation.json", record)
    few = dataclasses.replace(pair[0], run=dataclasses.replace(pair[0].run, workdir=tmp_path))
    (figure,) = table1_norb.draw(few, pair[1])
    assert figure.tables[0].rows[1] == ["beta = 0.1, pose", *["23.0 [no interval]"] * 2]
    assert np.isnan(figure.arrays["low"][0]).all() and figure.arrays["low"][1, 0, 0] == 70


def test_values_of_the_paper_are_only_shown_for_its_data(pair):
    (figure,) = table1_norb.draw(*pair)
    shown = f"{figure.tables[0]} {figure.numbers} {figure.caption}"
    assert not any(text in shown for text in ("recalled", "93.3", "60.9", "86.5"))
    source = types.SimpleNamespace(stand_in=False)
    real = (dataclasses.replace(t, run=dataclasses.replace(t.run, source=source)) for t in pair)
    (figure,) = table1_norb.draw(*real)
    (table,) = figure.tables
    assert "[recalled]" in table.heads[-1]
    last = {row[0]: row[-1] for row in table.rows}
    assert (last["beta = 0.1, pose"], last["beta = 0, pose"]) == ("60.9", "80.8")
    assert last["Mathieu et al. 2016"] == "86.5"
    assert figure.numbers["paper_recalled"]


def test_runs_that_do_not_differ_in_beta_are_refused(pair):
    trained, without = pair
    with pytest.raises(ValueError, match=r"with has adversarial_weight=0.1; expected 0\.$"):
        next(table1_norb.draw(trained, trained))
    with pytest.raises(ValueError, match=r"has adversarial_weight=0; expected above 0\.$"):
        next(table1_norb.draw(without, without))


def test_scores_without_the_probes_are_refused(pair, data_dir, tmp_path):
    probe = finished.probe("category", "content", "linear", 0.9, None)
    config = finished.tiny("norb", data_dir)
    few = finished.finish(config, tmp_path / "few", finished.scores(probe))
    with pytest.raises(ValueError, match=r"few/evaluation.json has no linear probe of category in"):
        next(table1_norb.draw(few, pair[1]))


def test_what_is_read_is_what_evaluation_writes(data_dir, tmp_path):
    config = finished.tiny("norb", data_dir)
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
