"""Scores of a code's two blocks, content and pose; NumPy arrays only.

A perfect code scores 1, a code without information 0.
"""

import numpy as np

NUM_CODE_BINS, NUM_FACTOR_BINS = 20, 10
"""Numbers of bins for an axis of a code and for a continuous factor."""


def to_bins(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Returns int `[clips]`, the bin of each of `values`; bins divide their range evenly."""
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(len(values), int)
    return np.minimum((values - low) / (high - low) * num_bins, num_bins - 1).astype(int)


def entropy(classes: np.ndarray) -> float:
    """Returns the entropy of int `[clips]` in nats."""
    shares = np.unique(classes, return_counts=True)[1] / len(classes)
    return float(-np.sum(shares * np.log(shares)))


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the mutual information of `a` and `b` in nats; both are int `[clips]` from 0 on."""
    joint = a * (b.max() + 1) + b
    return max(0.0, entropy(a) + entropy(b) - entropy(joint))


def information_gap(own: np.ndarray, other: np.ndarray, factor: np.ndarray) -> float:
    """Returns the mutual information gap between two blocks, as a share of the factor's entropy.

    The information of a block is that of its best axis. The gap is positive if the block that
    should carry the factor carries more of it than the other block.

    Args:
      own: codes `[clips, dims]` that should carry the factor.
      other: codes `[clips, other_dims]` that should not.
      factor: int `[clips]`, from 0 on.

    Source: Chen et al. 2018, "Isolating sources of disentanglement in VAEs", eq. 6; there the gap
    is between the two best axes.
    """

    def information(codes: np.ndarray) -> float:
        return max(mutual_information(to_bins(axis, NUM_CODE_BINS), factor) for axis in codes.T)

    return (information(own) - information(other)) / max(entropy(factor), 1e-12)


def purity(importance: np.ndarray) -> float:
    """Returns how nearly each row of a table has a single entry, from 0 to 1.

    This is one minus the entropy of each row, to base 2, weighted by the rows' sums.

    Args:
      importance: `[2, 2]`, how much each block (row) matters for each kind of factor (column). Its
        purity is the disentanglement, that of its transpose the completeness.

    Source: Eastwood & Williams 2018, "A framework for the quantitative evaluation of disentangled
    representations"; there the rows are axes of the code and the columns single factors.
    """
    sums = importance.sum(axis=1)
    if not sums.any():
        return 0.0
    shares = importance / np.maximum(sums[:, None], 1e-12)
    entropies = -np.sum(shares * np.log2(np.maximum(shares, 1e-12)), axis=1)
    return float(np.sum(sums / importance.sum() * (1 - entropies)))
