"""Probes against scikit-learn called directly."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

from drnet_jax.evaluation import probes

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 4, 300)
CODES = np.eye(4)[CLASSES] * [1, 5, 0.2, 3] + RNG.normal(0, 0.8, (300, 4))
VALUES = CODES @ RNG.normal(0, 1, (4, 2)) + RNG.normal(0, 0.3, (300, 2))


def standardized(codes):
    return (codes - CODES[:200].mean(axis=0)) / CODES[:200].std(axis=0)


def test_linear_classifier_equals_scikit_learn():
    model = probes.fit_classifier("linear", CODES[:200], CLASSES[:200], seed=0)
    reference = LogisticRegression(max_iter=1000).fit(standardized(CODES[:200]), CLASSES[:200])
    expected = reference.predict(standardized(CODES[200:]))
    score = probes.accuracy(model, CODES[200:], CLASSES[200:], seed=0)
    assert score["mean"] == pytest.approx(accuracy_score(CLASSES[200:], expected))
    assert 0.5 < score["low"] < score["mean"] < score["high"]
    assert score["chance"] == np.bincount(CLASSES[200:]).max() / 100


def test_linear_regressor_equals_scikit_learn():
    model = probes.fit_regressor("linear", CODES[:200], VALUES[:200], seed=0)
    reference = Ridge().fit(standardized(CODES[:200]), VALUES[:200])
    expected = reference.predict(standardized(CODES[200:]))
    score = probes.r_squared(model, CODES[200:], VALUES[200:], seed=0)
    assert score["mean"] == pytest.approx(r2_score(VALUES[200:], expected))
    assert score["low"] < score["mean"] < score["high"] <= 1


@pytest.mark.parametrize("kind", probes.KINDS)
def test_what_is_not_there_is_not_found(kind):
    noise = RNG.normal(0, 1, (300, 4))
    model = probes.fit_classifier(kind, noise[:200], CLASSES[:200], seed=0)
    score = probes.accuracy(model, noise[200:], CLASSES[200:], seed=0)
    assert abs(score["mean"] - 0.25) < 0.15
    model = probes.fit_regressor(kind, noise[:200], VALUES[:200], seed=0)
    assert probes.r_squared(model, noise[200:], VALUES[200:], seed=0)["mean"] < 0.1


def test_a_hidden_layer_reads_what_a_line_cannot():
    codes = RNG.uniform(-1, 1, (1500, 2))
    classes = (codes[:, 0] * codes[:, 1] > 0).astype(int)
    scores = {}
    for kind in probes.KINDS:
        model = probes.fit_classifier(kind, codes[:1000], classes[:1000], seed=0)
        scores[kind] = probes.accuracy(model, codes[1000:], classes[1000:], seed=0)["mean"]
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
