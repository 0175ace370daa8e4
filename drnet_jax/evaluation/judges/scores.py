"""Turns the class probabilities that a judge gives frames into scores, with NumPy alone."""

from typing import Any

import numpy as np

from drnet_jax.evaluation import metrics

IN_VIEW = 0.9
"""Objects less visible than this are not scored."""


def swap_record(
    probabilities: dict[str, np.ndarray], expected: dict[str, np.ndarray], seed: int
) -> dict[str, Any]:
    """Returns the scores of swapped frames: content of clip A, pose of clip B.

    Args:
      probabilities: the judge's, `[clips, objects, classes]`, for `model` and other answers.
      expected: `kept`, the classes `[clips, objects]` in A; `replaced`, those in B; `visible`,
        `[clips, objects]`, the visible share of each object in the true frame; `position_error`,
        `[clips, objects]`, distance from B's tracks in pixels.
      seed: determines the intervals.

    Source: the protocol of C-DSVAE (Bai et al. 2021), for the names and the formulas.
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
        # A perfect swap gets the replaced identity right exactly where the two are equal.
        "chance": share(kept == replaced, in_view, seed)["mean"],
        "in_view": IN_VIEW,
        "num_objects": int(in_view.sum()),
    }


def share(correct: np.ndarray, counted: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns the share of `correct` among `counted`, both bool `[clips, (steps,) objects]`."""
    return metrics.bootstrap_ratio((correct & counted).sum(axis=-1), counted.sum(axis=-1), seed)


def inception(probabilities: np.ndarray, counted: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns exp(E KL(p(y|x) || p(y))) and the two entropies behind it, in nats.

    Args:
      probabilities: `[clips, (steps,) objects, classes]`; each step gets scores of its own.
      counted: bool `[clips, (steps,) objects]`.
      seed: determines the intervals.
    """
    entropies = -np.sum(_xlogx(probabilities), axis=-1)
    features = np.concatenate([np.ones_like(entropies)[..., None], entropies[..., None]], axis=-1)
    features = np.concatenate([features, probabilities], axis=-1) * counted[..., None]
    sums = features.sum(axis=-2)  # [clips, (steps,) 2 + classes]

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
        name: metrics.bootstrap_statistic(statistic, sums, seed, centered=True)
        for name, statistic in statistics.items()
    }


def _xlogx(p: np.ndarray) -> np.ndarray:
    return p * np.log(np.maximum(p, 1e-30))
