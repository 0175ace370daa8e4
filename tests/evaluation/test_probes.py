"""Probes against scikit-learn called directly."""

import numpy as np
import pytest
import threadpoolctl
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.neural_network import MLPClassifier

from drnet_jax.evaluation import probes

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 4, 300)
CODES = np.eye(4)[CLASSES] * [1, 5, 0.2, 3] + RNG.normal(0, 0.8, (300, 4))
VALUES = CODES @ RNG.normal(0, 1, (4, 2)) + RNG.normal(0, 0.3, (300, 2))


REFERENCES = [
    (CLASSES, LogisticRegression(max_iter=1000), accuracy_score),
    (VALUES, Ridge(), r2_score),
]


@pytest.mark.parametrize(("targets", "reference", "metric"), REFERENCES, ids=["classes", "values"])
def test_linear_probes_equal_scikit_learn(targets, reference, metric):
    mean, deviation = CODES[:200].mean(axis=0), CODES[:200].std(axis=0)
    reference.fit((CODES[:200] - mean) / deviation, targets[:200])
    expected = metric(targets[200:], reference.predict((CODES[200:] - mean) / deviation))
    model = probes.fit("linear", CODES[:200], targets[:200], seed=0)
    score = probes.score(model, CODES[200:], targets[200:], seed=0)
    assert score["mean"] == pytest.approx(expected)
    assert 0.5 < score["low"] < score["mean"] < score["high"] <= 1
    most_frequent = np.bincount(CLASSES[200:]).max() / 100
    assert score["chance"] == (most_frequent if targets is CLASSES else 0)


@pytest.mark.parametrize(
    ("kind", "estimator"), [("linear", LogisticRegression), ("mlp", MLPClassifier)]
)
def test_probes_are_fitted_on_one_thread(kind, estimator, monkeypatch):
    seen, fit = [], estimator.fit

    def num_threads():
        pools = threadpoolctl.threadpool_info()
        return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}

    def watched(self, *arguments):
        seen.append(num_threads())
        return fit(self, *arguments)

    monkeypatch.setattr(estimator, "fit", watched)
    with threadpoolctl.threadpool_limits(2):
        before = num_threads()
        probes.fit(kind, CODES, CLASSES, seed=0)
        assert num_threads() == before
    # No pool at all where NumPy uses Accelerate, as on a Mac.
    assert before in ({2}, set()) and seen == [{1} if before else set()]


@pytest.mark.parametrize("kind", probes.KINDS)
def test_probes_find_nothing_in_noise(kind):
    noise = RNG.normal(0, 1, (300, 4))
    accuracy, r_squared = (
        probes.score(probes.fit(kind, noise[:200], t[:200], seed=0), noise[200:], t[200:], seed=0)
        for t in (CLASSES, VALUES)
    )
    assert abs(accuracy["mean"] - 0.25) < 0.15
    assert r_squared["mean"] < 0.1


def test_a_hidden_layer_reads_what_a_line_cannot():
    codes = RNG.uniform(-1, 1, (1500, 2))
    classes = (codes[:, 0] * codes[:, 1] > 0).astype(int)
    scores = {}
    for kind in probes.KINDS:
        model = probes.fit(kind, codes[:1000], classes[:1000], seed=0)
        scores[kind] = probes.score(model, codes[1000:], classes[1000:], seed=0)["mean"]
    assert scores["linear"] < 0.6 and scores["mlp"] > 0.9


def test_area_under_curve_equals_scikit_learn():
    positive, negative = RNG.normal(1, 1, 80).round(1), RNG.normal(0, 1, 80).round(1)
    expected = roc_auc_score(np.repeat([1, 0], 80), np.concatenate([positive, negative]))
    score = probes.area_under_curve(positive, negative, seed=0)
    assert score["mean"] == pytest.approx(expected)
    assert score["low"] < score["mean"] < score["high"]


@pytest.mark.parametrize(("alike", "low", "high"), [(True, 0.95, 1), (False, 0.4, 0.6)])
def test_a_fresh_discriminator_finds_what_pairs_share(alike, low, high):
    first, other = RNG.normal(0, 1, (2, 1200, 2))
    second = first + 0.1 * other if alike else other
    pairs = np.stack([first, second], axis=1)
    apart = np.stack([first, np.roll(second, 1, axis=0)], axis=1)
    model = probes.fit_pair_classifier(pairs[:800], apart[:800], seed=0)
    scores = [model.predict_proba(probes.pair_features(p[800:]))[:, 1] for p in (pairs, apart)]
    assert low < probes.area_under_curve(*scores, seed=0)["mean"] <= high
