"""From what a judge says of frames to scores; NumPy alone."""

from typing import Any

import numpy as np

from drnet_jax.evaluation import metrics

IN_VIEW = 0.9
"""Share of an object's ink that must be to be seen for what the object is to be asked."""


def swap_record(
    probabilities: dict[str, np.ndarray], asked: dict[str, np.ndarray], seed: int
) -> dict[str, Any]:
    """Returns the scores of swapped frames: content of clip A, pose of clip B.

    Args:
      probabilities: `[clips, objects, classes]`, the judge's, of `model` and other answers.
      asked: `kept`, classes `[clips, objects]` of A; `replaced`, those of B; `visible`,
        `[clips, objects]`, how much of each object the truth shows; `position_error`,
        `[clips, objects]` in pixels from B's tracks.
      seed: of the intervals.

    Source: the protocol of C-DSVAE (Bai et al. 2021), for the names and the formulas.
    """
    in_view = asked["visible"] >= IN_VIEW
    same = asked["kept"] == asked["replaced"]
    answers = {
        name: answer(p, asked["kept"], asked["replaced"], in_view, seed)
        for name, p in probabilities.items()
    }
    return answers | {
        "position_error": metrics.bootstrap(asked["position_error"].mean(axis=1), seed),
        # What a perfect swap scores on the replaced identity: how often the two are equal.
        "chance": share(same, in_view, seed)["mean"],
        "in_view": IN_VIEW,
        "num_objects": int(in_view.sum()),
    }


def answer(
    probabilities: np.ndarray,
    kept: np.ndarray,
    replaced: np.ndarray,
    in_view: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Returns accuracies, inception score and entropies (in nats) of one answer."""
    said = probabilities.argmax(axis=-1)
    return {
        "accuracy_kept": share(said == kept, in_view, seed),
        "accuracy_replaced": share(said == replaced, in_view, seed),
        **inception(probabilities, in_view, seed),
    }


def share(right: np.ndarray, counted: np.ndarray, seed: int) -> dict[str, float]:
    """Returns the share of `right` among `counted`, both bool `[clips, objects]`."""
    sums = np.stack([(right & counted).sum(axis=1), counted.sum(axis=1)], axis=1)
    return metrics.bootstrap_statistic(
        lambda means: means[..., 0] / np.maximum(means[..., 1], 1e-12), sums, seed
    )


def inception(probabilities: np.ndarray, counted: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns exp(E KL(p(y|x) || p(y))) and the two entropies behind it, in nats.

    Args:
      probabilities: `[clips, (steps,) objects, classes]`; with steps each has scores of its own.
      counted: bool `[clips, (steps,) objects]`.
      seed: of the intervals.
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
        name: metrics.bootstrap_statistic(statistic, sums, seed, centerd=True)
        for name, statistic in statistics.items()
    }


def _xlogx(p: np.ndarray) -> np.ndarray:
    return p * np.log(np.maximum(p, 1e-30))
