"""Scores of content and pose as two blocks of a code: what is where, and is it there alone?

NumPy alone. A perfect code scores 1 in all of them, a code that says nothing 0.
"""

import numpy as np

NUM_CODE_BINS, NUM_FACTOR_BINS = 20, 10
"""Equal parts of the range of a code's axis, and of a factor that is a number."""


def to_bins(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Returns int `[clips]`: in which of equal parts of its range each of `values` lies."""
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(len(values), int)
    return np.minimum((values - low) / (high - low) * num_bins, num_bins - 1).astype(int)


def entropy(classes: np.ndarray) -> float:
    """Returns the entropy of int `[clips]` in nats."""
    shares = np.unique(classes, return_counts=True)[1] / len(classes)
    return float(-np.sum(shares * np.log(shares)))


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Returns what `a` and `b`, both int `[clips]` from 0 on, say of one another, in nats."""
    joint = a * (b.max() + 1) + b
    return max(0.0, entropy(a) + entropy(b) - entropy(joint))


def information_gap(own: np.ndarray, other: np.ndarray, factor: np.ndarray) -> float:
    """Returns the mutual information gap between two blocks, as a share of a factor's entropy.

    A block knows what the best of its axes knows, an axis being cut into `NUM_CODE_BINS`. Above 0
    where the block that ought to know the factor does know more.

    Args:
      own: codes that ought to know, `[clips, dims]`.
      other: codes that ought not, `[clips, other_dims]`.
      factor: int `[clips]`, from 0 on.

    Source: Chen et al. 2018, "Isolating sources of disentanglement in VAEs", eq. 6; there the gap
    is between the two best axes.
    """

    def known(codes: np.ndarray) -> float:
        return max(mutual_information(to_bins(axis, NUM_CODE_BINS), factor) for axis in codes.T)

    return (known(own) - known(other)) / max(entropy(factor), 1e-12)


def disentanglement_completeness(importance: np.ndarray) -> tuple[float, float]:
    """Returns (disentanglement, completeness) of two blocks and two kinds of factor.

    Args:
      importance: `[2, 2]`, how much each block, a row, matters for each kind of factor, a column.

    Source: Eastwood & Williams 2018, "A framework for the quantitative evaluation of disentangled
    representations"; theirs has an axis of the code in each row and a factor in each column.
    """
    return _purity(importance), _purity(importance.T)


def _purity(rows: np.ndarray) -> float:
    """Returns one minus the entropy of each row, to base 2, weighted by the rows' sums."""
    total = rows.sum()
    if total == 0:
        return 0.0
    shares = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-12)
    entropies = -np.sum(shares * np.log2(np.maximum(shares, 1e-12)), axis=1)
    return float(np.sum(rows.sum(axis=1) / total * (1 - entropies)))
