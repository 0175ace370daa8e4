"""What clips show, read off their codes by a classifier that has seen few of them labelled.

Arrays in, records out.
"""

from typing import Any

import numpy as np

from drnet_jax import metrics
from drnet_jax.evaluation import probes

NUM_LABELLED = (1, 2, 5, 10, 20)
"""Labelled clips of each class, as far as there are more of the rarest one."""

NUM_DRAWS = 10
"""How often labelled clips are drawn."""


def score(
    codes: np.ndarray,
    classes: np.ndarray,
    test_codes: np.ndarray,
    test_classes: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Returns the accuracy of multinomial logistic regression over the number of labelled clips.

    Args:
      codes: of the training clips, `[clips, dims]`.
      classes: theirs, int `[clips]`, at least two different ones.
      test_codes: of other clips.
      test_classes: theirs.
      seed: decides which clips are labelled; the same for all codes that are to be compared. A
        draw with more labelled clips contains that with fewer.

    Returns:
      Lists over `num_labelled`, clips of each class; the last is their mean where all are labelled.
      `mean`, `low` and `high` are over draws: the mean and the middle 95 %; `draws` are all of
      them. Where all are labelled nothing is drawn. `over_clips` has the 95 % bootstrap interval
      over the test clips of the same means. `chance` is the share of the most frequent class.
    """
    rarest = np.unique(classes, return_counts=True)[1].min()
    counts = [count for count in NUM_LABELLED if count < rarest]
    orders = [_orders(classes, seed, draw) for draw in range(NUM_DRAWS)]

    def right(rows: np.ndarray) -> np.ndarray:
        model = probes.fit_classifier("linear", codes[rows], classes[rows], seed)
        return model.predict(test_codes) == test_classes

    answers = [
        np.array([right(np.concatenate([rows[:count] for rows in order])) for order in orders])
        for count in counts
    ]  # Each [draws, test clips].
    answers.append(right(np.arange(len(codes)))[None])
    draws = [answer.mean(axis=1) for answer in answers]
    low, high = np.transpose([np.percentile(draw, [2.5, 97.5]) for draw in draws])
    per_clip = np.stack([answer.mean(axis=0) for answer in answers], axis=1)
    return {
        "num_labelled": [*counts, len(classes) / len(np.unique(classes))],
        "mean": [float(draw.mean()) for draw in draws],
        "low": low.tolist(),
        "high": high.tolist(),
        "draws": [draw.tolist() for draw in draws],
        "over_clips": metrics.bootstrap(per_clip, seed),
        "chance": float(np.unique(test_classes, return_counts=True)[1].max() / len(test_classes)),
    }


def _orders(classes: np.ndarray, seed: int, draw: int) -> list[np.ndarray]:
    """Returns the clips of each class in random order."""
    rng = np.random.default_rng([seed, draw])
    return [rng.permutation(np.flatnonzero(classes == value)) for value in np.unique(classes)]
