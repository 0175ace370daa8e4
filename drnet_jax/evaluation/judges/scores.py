"""Scores of the class probabilities that a judge gives to frames; NumPy arrays only."""

from typing import Any

import numpy as np

from drnet_jax.evaluation import metrics

IN_VIEW = 0.9
"""Objects of which less is visible are not scored."""


def swap_record(
    probabilities: dict[str, np.ndarray], expected: dict[str, np.ndarray], seed: int
) -> dict[str, Any]:
    """Returns the scores of swapped frames: content of clip A, pose of clip B.

    Args:
      probabilities: the judge's, `[clips, objects, classes]`, for the frames of each answer.
      expected: `[clips, objects]` by name: `kept`, the classes in A; `replaced`, those in B;
        `visible`, the visible share of each object in the true frame; `position_error`, the
        distance of each drawn object from B's track in pixels.
      seed: determines the intervals.

    Source: Bai et al. 2021, "Contrastively disentangled sequential variational autoencoder"
    (C-DSVAE), for the names and the formulas.
    """
    kept, replaced = expected["kept"], expected["replaced"]
    in_view = expected["visible"] >= IN_VIEW
    answers = {}
    for name, p in probabilities.items():
        predicted = p.argmax(axis=-1)
        answers[name] = {
            "accuracy_kept": share(predicted == kept, in_view, seed),
            "accuracy_replaced": share(predicted == replaced, in_view, seed),
            **inception(p, in_view, seed),
        }
    return answers | {
        "position_error": metrics.bootstrap(expected["position_error"].mean(axis=1), seed),
        # A perfect swap shows the replaced class only where A and B have the same.
        "chance": share(kept == replaced, in_view, seed)["mean"],
        "in_view": IN_VIEW,
        "num_objects": int(in_view.sum()),
    }


def share(
    correct: np.ndarray, counted: np.ndarray, seed: int, clusters: np.ndarray | None = None
) -> dict[str, Any]:
    """Returns the share of `correct` among `counted`, both bool `[clips, (steps,) objects]`.

    `seed` and `clusters` determine the interval, as for `metrics.bootstrap`.
    """
    # [clips, 2, (steps)]
    values = np.stack([(correct & counted).sum(axis=-1), counted.sum(axis=-1)], axis=1)

    def ratio(means: np.ndarray) -> np.ndarray:
        # Resamples have an axis before that of the two sums.
        hits, total = np.moveaxis(means, 1 - values.ndim, 0)
        return hits / np.maximum(total, 1e-12)

    return metrics.bootstrap(values, seed, ratio, clusters=clusters)


def inception(
    probabilities: np.ndarray, counted: np.ndarray, seed: int, clusters: np.ndarray | None = None
) -> dict[str, Any]:
    """Returns exp(E KL(p(y|x) || p(y))) and the two entropies behind it, in nats.

    Args:
      probabilities: `[clips, (steps,) objects, classes]`; each step is scored alone.
      counted: bool `[clips, (steps,) objects]`, the objects that are scored.
      seed: determines the intervals.
      clusters: int `[clips]`, as for `metrics.bootstrap`.
    """
    entropies = -np.sum(_xlogx(probabilities), axis=-1, keepdims=True)
    features = np.concatenate([np.ones_like(entropies), entropies, probabilities], axis=-1)
    sums = np.sum(features * counted[..., None], axis=-2)  # [clips, (steps,) 2 + classes]

    def conditional(means: np.ndarray) -> np.ndarray:
        return means[..., 1] / np.maximum(means[..., 0], 1e-12)

    def marginal(means: np.ndarray) -> np.ndarray:
        return -np.sum(_xlogx(means[..., 2:] / np.maximum(means[..., :1], 1e-12)), axis=-1)

    statistics = {
        "inception_score": lambda means: np.exp(marginal(means) - conditional(means)),
        "entropy_given_frame": conditional,
        "entropy": marginal,
    }
    return {
        name: metrics.bootstrap(sums, seed, statistic, clusters=clusters, centered=True)
        for name, statistic in statistics.items()
    }


def _xlogx(p: np.ndarray) -> np.ndarray:
    return p * np.log(np.maximum(p, 1e-30))
