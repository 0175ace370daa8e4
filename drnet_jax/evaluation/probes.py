"""Small models that read factors off codes: what they find is in the code. NumPy arrays only."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from drnet_jax.evaluation import metrics

KINDS = ("linear", "mlp")

_FEWEST_PER_CLASS = 10
_MLP = {"hidden_layer_sizes": (128,), "early_stopping": True, "max_iter": 100, "alpha": 1e-3}


def fit_classifier(kind: str, codes: np.ndarray, classes: np.ndarray, seed: int) -> Pipeline:
    """Returns a fitted scikit-learn classifier of standardized codes.

    Args:
      kind: `linear`, multinomial logistic regression with scikit-learn's default regularization, or
        `mlp`, a network with one hidden layer.
      codes: `[clips, dims]`.
      classes: int `[clips]`, at least two different ones.
      seed: determines the weights of the hidden layer.
    """
    if kind == "linear":
        return _fit(LogisticRegression(max_iter=1000), codes, classes)
    # Early stopping sets clips aside, and needs some of every class among them.
    enough = np.unique(classes, return_counts=True)[1].min() >= _FEWEST_PER_CLASS
    settings = _MLP | {"early_stopping": bool(enough)}
    return _fit(MLPClassifier(**settings, random_state=seed), codes, classes)


def fit_regressor(kind: str, codes: np.ndarray, values: np.ndarray, seed: int) -> Pipeline:
    """Returns a fitted scikit-learn regressor of standardized codes.

    Args:
      kind: `linear`, ridge regression with scikit-learn's default regularization, or `mlp`, a
        network with one hidden layer.
      codes: `[clips, dims]`.
      values: `[clips, values]`, of about unit size.
      seed: determines the weights of the hidden layer.
    """
    if kind == "linear":
        return _fit(Ridge(), codes, values)
    # scikit-learn warns of a single column.
    targets = values[:, 0] if values.shape[1] == 1 else values
    return _fit(MLPRegressor(**_MLP, random_state=seed), codes, targets)


def _fit(model: Any, codes: np.ndarray, targets: np.ndarray) -> Pipeline:
    with warnings.catch_warnings():
        # A probe that has not converged by then has had enough steps.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), model).fit(codes, targets)


def accuracy(model: Pipeline, codes: np.ndarray, classes: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns the accuracy with its interval; `chance` is the share of the most frequent class."""
    correct = model.predict(codes) == classes
    return metrics.bootstrap(correct, seed) | {"chance": metrics.majority_share(classes)}


def r_squared(model: Pipeline, codes: np.ndarray, values: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns R^2, the mean over the columns of `values` `[clips, values]`; `chance` is 0."""
    predicted = model.predict(codes).reshape(values.shape)
    features = np.stack([(predicted - values) ** 2, (values - values.mean(axis=0)) ** 2], axis=1)

    def statistic(means: np.ndarray) -> np.ndarray:
        ratios = means[..., 0, :] / np.maximum(means[..., 1, :], 1e-12)
        return np.mean(1 - ratios, axis=-1)

    return metrics.bootstrap_statistic(statistic, features, seed) | {"chance": 0.0}


def fit_pair_classifier(same: np.ndarray, different: np.ndarray, seed: int) -> Pipeline:
    """Returns a fresh discriminator of pairs, trained until it stops improving.

    Args:
      same: pairs of codes that belong together, `[pairs, 2, dims]`.
      different: pairs of codes that do not.
      seed: determines its weights.
    """
    pairs = np.concatenate([same, different])
    labels = np.repeat([1, 0], [len(same), len(different)])
    settings = _MLP | {"hidden_layer_sizes": (100, 100), "n_iter_no_change": 8}
    return _fit(MLPClassifier(**settings, random_state=seed), pair_features(pairs), labels)


def pair_features(pairs: np.ndarray) -> np.ndarray:
    """Returns both codes of pairs `[pairs, 2, dims]` and their distance on each axis."""
    distance = np.abs(pairs[:, 0] - pairs[:, 1])
    return np.concatenate([pairs[:, 0], pairs[:, 1], distance], axis=1)


def area_under_curve(positive: np.ndarray, negative: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns how often a positive score exceeds a negative one; ties count half.

    `positive` and `negative` are `[clips]`, one pair of each kind for every clip. The interval is
    that of the linearized statistic.

    Source: DeLong et al. 1988, "Comparing the areas under two or more correlated ROC curves".
    """
    ordered_negative, ordered_positive = np.sort(negative), np.sort(positive)

    def below(ordered: np.ndarray, scores: np.ndarray) -> np.ndarray:
        sides = [np.searchsorted(ordered, scores, side) for side in ("left", "right")]
        return np.mean(sides, axis=0) / len(ordered)

    above_negatives = below(ordered_negative, positive)
    under_positives = 1 - below(ordered_positive, negative)
    values = above_negatives + under_positives - above_negatives.mean()
    return metrics.bootstrap(values, seed) | {"chance": 0.5}
