"""Block scores against loops over counts, and what perfect and random codes get."""

import math

import numpy as np
import pytest

from drnet_jax.evaluation import disentanglement as blocks
from drnet_jax.evaluation import leakage

RNG = np.random.default_rng(0)


def counted_information(a, b):
    total, information = len(a), 0.0
    for i in set(a.tolist()):
        for j in set(b.tolist()):
            joint = np.sum((a == i) & (b == j)) / total
            if joint:
                information += joint * math.log(joint / (np.mean(a == i) * np.mean(b == j)))
    return information


def test_mutual_information_equals_counting():
    a = RNG.integers(0, 5, 400)
    b = (a + RNG.integers(0, 3, 400)) % 5
    assert blocks.mutual_information(a, b) == pytest.approx(counted_information(a, b))
    assert blocks.mutual_information(a, a) == pytest.approx(blocks.entropy(a))


def test_information_gap_equals_counting():
    factor = RNG.integers(0, 6, 500)
    own = np.stack([RNG.normal(0, 1, 500), factor + RNG.normal(0, 0.5, 500)], axis=1)
    other = np.stack([factor % 2 + RNG.normal(0, 0.3, 500)], axis=1)

    def known(codes):
        best = 0
        for axis in codes.T:
            edges = np.linspace(axis.min(), axis.max(), 21)
            best = max(best, counted_information(np.digitize(axis, edges[1:-1]), factor))
        return best

    entropy = -sum(p * math.log(p) for p in np.bincount(factor) / 500)
    expected = (known(own) - known(other)) / entropy
    assert blocks.information_gap(own, other, factor) == pytest.approx(expected)
    assert blocks.information_gap(other, own, factor) == pytest.approx(-expected)


def test_disentanglement_and_completeness_equal_plain_formulas():
    table = np.array([[0.8, 0.1], [0.2, 0.6]])

    def purity(rows):
        score = 0
        for row in rows:
            entropy = -sum(value / sum(row) * math.log2(value / sum(row)) for value in row)
            score += sum(row) / np.sum(rows) * (1 - entropy)
        return score

    scores = blocks.disentanglement_completeness(table)
    np.testing.assert_allclose(scores, [purity(table), purity(table.T)])
    np.testing.assert_allclose(blocks.disentanglement_completeness(np.eye(2)), 1)
    np.testing.assert_allclose(blocks.disentanglement_completeness(np.ones((2, 2))), 0, atol=1e-12)
    assert blocks.disentanglement_completeness(np.zeros((2, 2))) == (0, 0)


def make_codes(num, kind):
    classes, values = RNG.integers(0, 2, num), RNG.uniform(0, 1, (num, 2))
    content, pose = classes[:, None] + np.zeros(3), values
    if kind == "random":
        content, pose = RNG.normal(0, 1, (num, 3)), RNG.normal(0, 1, (num, 2))
    elif kind == "entangled":
        content = pose = np.concatenate([content, pose], axis=1)
    return leakage.Codes(content, pose, {"object": classes}, {"place": values}, np.arange(num))


@pytest.mark.parametrize(("kind", "expected"), [("perfect", 1), ("random", 0), ("entangled", 0)])
def test_codes_get_the_block_scores_they_must(kind, expected):
    fit, test = make_codes(2000, kind), make_codes(500, kind)
    scores = leakage.score_blocks(fit, test, seed=0)
    for name in ("mig", "disentanglement", "completeness"):
        assert scores[name] == pytest.approx(expected, abs=0.06), name


@pytest.mark.parametrize(("kind", "own", "other"), [("perfect", 1, 0), ("random", 0, 0)])
def test_codes_get_the_probe_scores_they_must(kind, own, other):
    fit, test = make_codes(1000, kind), make_codes(500, kind)
    for probe in leakage.probe_all(fit, {"held_out_clips": test}, seed=0):
        score = probe["held_out_clips"]
        skill = (score["mean"] - score["chance"]) / (1 - score["chance"])
        expected = own if probe["code"] == probe["of"] else other
        assert skill == pytest.approx(expected, abs=0.16), probe


def test_objects_never_seen_are_not_asked_for():
    fit, test = make_codes(100, "perfect"), make_codes(50, "perfect")
    test.classes["object"][0] = 7
    records = leakage.probe_all(fit, {"held_out_objects": test}, seed=0)
    scores = {record["factor"]: record["held_out_objects"] for record in records}
    assert scores["object"] is None and scores["place"] is not None
