"""Small models that read factors from codes; NumPy arrays only."""

import functools
import warnings
from typing import Any

import numpy as np
import threadpoolctl
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from drnet_jax.evaluation import metrics

KINDS = ("linear", "mlp")

_FEWEST_PER_CLASS = 10
_MLP = {"hidden_layer_sizes": (128,), "early_stopping": True, "max_iter": 100, "alpha": 1e-3}


def fit(kind: str, codes: np.ndarray, targets: np.ndarray, seed: int) -> Pipeline:
    """Returns a scikit-learn model of standardized codes, fitted to classes or to values.

    Args:
      kind: `linear`, multinomial logistic regression or ridge regression with scikit-learn's
        default regularization, or `mlp`, a network with one hidden layer.
      codes: `[clips, dims]`.
      targets: classes, int `[clips]`, at least two different ones; or values,
        float `[clips, values]`, of about unit size.
      seed: determines the weights of the hidden layer.
    """
    if targets.ndim == 1:
        # Early stopping sets clips aside and needs some of every class among them.
        enough = np.unique(targets, return_counts=True)[1].min() >= _FEWEST_PER_CLASS
        settings = _MLP | {"early_stopping": bool(enough), "random_state": seed}
        linear, mlp = LogisticRegression(max_iter=1000), MLPClassifier(**settings)
    else:
        linear, mlp = Ridge(), MLPRegressor(**_MLP, random_state=seed)
        if targets.shape[1] == 1 and kind == "mlp":
            targets = targets[:, 0]  # scikit-learn warns of a single column.
    return _fit(linear if kind == "linear" else mlp, codes, targets)


def _fit(model: Any, codes: np.ndarray, targets: np.ndarray) -> Pipeline:
    # More threads would wait for each other, as the products are small, and another number of them
    # would round otherwise. The limit is that of the process; only one thread fits probes.
    with _thread_pools().limit(limits=1), warnings.catch_warnings():
        # A probe that has not converged after its last step has learned enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), model).fit(codes, targets)


@functools.cache
def _thread_pools() -> threadpoolctl.ThreadpoolController:
    """Returns the thread pools of BLAS and OpenMP, looked up once."""
    return threadpoolctl.ThreadpoolController()


def score(
    model: Pipeline,
    codes: np.ndarray,
    targets: np.ndarray,
    seed: int,
    clusters: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns the score of a fitted probe with its interval, and `chance`.

    `seed` and `clusters`, int `[clips]`, determine the interval, as for `metrics.bootstrap`.
    For classes this is the accuracy, and chance the share of the most frequent class; for values
    it is R^2, the mean over columns, and chance is 0.
    """
    predicted = model.predict(codes).reshape(targets.shape)
    if targets.ndim == 1:
        chance = metrics.majority_share(targets)
        return metrics.bootstrap(predicted == targets, seed, clusters=clusters) | {"chance": chance}
    # [clips, 2, values]
    squares = np.stack([(predicted - targets) ** 2, (targets - targets.mean(axis=0)) ** 2], axis=1)

    def r_squared(means: np.ndarray) -> np.ndarray:
        ratios = means[..., 0, :] / np.maximum(means[..., 1, :], 1e-12)
        return np.mean(1 - ratios, axis=-1)

    return metrics.bootstrap(squares, seed, r_squared, clusters=clusters) | {"chance": 0.0}


def fit_pair_classifier(same: np.ndarray, different: np.ndarray, seed: int) -> Pipeline:
    """Returns a fresh discriminator of pairs of codes, trained until it stops improving.

    Args:
      same: pairs that belong together, `[pairs, 2, dims]`.
      different: pairs that do not, `[other_pairs, 2, dims]`.
      seed: determines the weights.
    """
    pairs = np.concatenate([same, different])
    labels = np.repeat([1, 0], [len(same), len(different)])
    settings = _MLP | {"hidden_layer_sizes": (100, 100), "n_iter_no_change": 8}
    return _fit(MLPClassifier(**settings, random_state=seed), pair_features(pairs), labels)


def pair_features(pairs: np.ndarray) -> np.ndarray:
    """Returns `[pairs, 3 * dims]`, both codes of each pair and their distance on each axis."""
    distance = np.abs(pairs[:, 0] - pairs[:, 1])
    return np.concatenate([pairs[:, 0], pairs[:, 1], distance], axis=1)


def area_under_curve(
    positive: np.ndarray, negative: np.ndarray, seed: int, clusters: np.ndarray | None = None
) -> dict[str, Any]:
    """Returns how often a positive score exceeds a negative one; a tie counts as half.

    `positive` and `negative` are `[clips]`, the scores of one pair of each kind for every clip. The
    interval is that of the linearized statistic. `clusters` are int `[clips, 2]`, those of both
    clips of the negative pairs, as for `metrics.bootstrap`.

    Source: DeLong et al. 1988, "Comparing the areas under two or more correlated ROC curves".
    """

    def below(others: np.ndarray, scores: np.ndarray) -> np.ndarray:
        sides = [np.searchsorted(np.sort(others), scores, side) for side in ("left", "right")]
        return np.mean(sides, axis=0) / len(others)

    above_negatives = below(negative, positive)
    values = above_negatives + (1 - below(positive, negative)) - above_negatives.mean()
    return metrics.bootstrap(values, seed, clusters=clusters) | {"chance": 0.5}
