"""Block scores against scikit-learn and SciPy, and those of perfect and random codes."""

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from drnet_jax.evaluation import disentanglement as blocks
from drnet_jax.evaluation import leakage

RNG = np.random.default_rng(0)


def test_mutual_information_equals_scikit_learn():
    a = RNG.integers(0, 5, 400)
    b = (a + RNG.integers(0, 3, 400)) % 5
    assert blocks.mutual_information(a, b) == pytest.approx(mutual_info_score(a, b))
    assert blocks.mutual_information(a, a) == pytest.approx(blocks.entropy(a))


def test_information_gap_equals_scikit_learn():
    factor = RNG.integers(0, 6, 500)
    own = np.stack([RNG.normal(0, 1, 500), factor + RNG.normal(0, 0.5, 500)], axis=1)
    other = np.stack([factor % 2 + RNG.normal(0, 0.3, 500)], axis=1)

    def known(codes):
        edges = [np.linspace(axis.min(), axis.max(), 21)[1:-1] for axis in codes.T]
        bins = map(np.digitize, codes.T, edges)
        return max(mutual_info_score(axis, factor) for axis in bins)

    expected = (known(own) - known(other)) / entropy(np.bincount(factor))
    assert blocks.information_gap(own, other, factor) == pytest.approx(expected)
    assert blocks.information_gap(other, own, factor) == pytest.approx(-expected)


def test_purity_is_the_plain_formula():
    table = np.array([[0.8, 0.1], [0.2, 0.6]])

    for rows in (table, table.T):
        shares = rows.sum(axis=1) / rows.sum()
        expected = np.sum(shares * (1 - entropy(rows, base=2, axis=1)))
        assert blocks.purity(rows) == pytest.approx(expected)
    assert blocks.purity(np.eye(2)) == pytest.approx(1)
    assert blocks.purity(np.ones((2, 2))) == pytest.approx(0, abs=1e-12)
    assert blocks.purity(np.zeros((2, 2))) == 0


def make_codes(num, kind):
    classes, values = RNG.integers(0, 2, num), RNG.uniform(0, 1, (num, 2))
    content, pose = classes[:, None] + np.zeros(3), values
    if kind == "random":
        content, pose = RNG.normal(0, 1, (num, 3)), RNG.normal(0, 1, (num, 2))
    elif kind == "entangled":
        content = pose = np.concatenate([content, pose], axis=1)
    factors = {"place": values, "object": classes}
    return leakage.Codes({"content": content, "pose": pose}, factors, np.arange(num))


@pytest.mark.parametrize(("kind", "expected"), [("perfect", 1), ("random", 0), ("entangled", 0)])
def test_block_scores_of_perfect_random_and_entangled_codes(kind, expected):
    fit, test = make_codes(2000, kind), make_codes(500, kind)
    scores = leakage.score_blocks(fit, test, seed=0)
    for name in ("mig", "disentanglement", "completeness"):
        assert scores[name] == pytest.approx(expected, abs=0.06), name


@pytest.mark.parametrize(("kind", "own", "other"), [("perfect", 1, 0), ("random", 0, 0)])
def test_probe_scores_of_perfect_and_random_codes(kind, own, other):
    fit, test = make_codes(1000, kind), make_codes(500, kind)
    for probe in leakage.probe_all(fit, {"held_out_clips": test}, seed=0):
        score = probe["held_out_clips"]
        skill = (score["mean"] - score["chance"]) / (1 - score["chance"])
        expected = own if probe["code"] == probe["of"] else other
        assert skill == pytest.approx(expected, abs=0.16), probe


def test_classes_that_were_never_seen_are_not_scored():
    fit, test = make_codes(100, "perfect"), make_codes(50, "perfect")
    test.factors["object"][0] = 7
    records = leakage.probe_all(fit, {"held_out_objects": test}, seed=0)
    scores = {record["factor"]: record["held_out_objects"] for record in records}
    assert scores["object"] is None and scores["place"] is not None
