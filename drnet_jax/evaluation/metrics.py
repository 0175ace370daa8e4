"""Picture scores, one per frame with values in [0, 1], and the bootstrap behind every interval."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
MAX_PSNR = 100.0
"""The score of two equal frames in dB, in place of infinity."""

NUM_RESAMPLES = 1000
"""Bootstrap resamples behind an interval."""

FEWEST_CLUSTERS = 10
"""With 8, an interval that should cover the truth in 95 % of all cases does so in 86 %; source:
docs/evaluation.md."""


def picture_scores(predicted: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
    """Returns every picture score by name, one value per frame.

    Both are floats `[..., height, width, channels]` in [0, 1] of one shape. `psnr` is in dB; `mse`
    and `mae` are means over pixels and channels; some papers report their sums, `mse_sum` and
    `mae_sum`.
    """
    difference = predicted - target
    squared = jnp.mean(jnp.square(difference), axis=(-3, -2, -1))
    absolute = jnp.mean(jnp.abs(difference), axis=(-3, -2, -1))
    count = math.prod(difference.shape[-3:])
    return {
        "psnr": psnr(squared),
        "ssim": ssim(predicted, target),
        "mse": squared,
        "mae": absolute,
        "mse_sum": squared * count,
        "mae_sum": absolute * count,
    }


def psnr(squared: jax.Array) -> jax.Array:
    """Returns the PSNR in dB of mean squared errors of frames in [0, 1], at most `MAX_PSNR`."""
    return -10 * jnp.log10(jnp.maximum(squared, 10 ** (-MAX_PSNR / 10)))


def sharpness(frames: jax.Array) -> jax.Array:
    """Returns the variance of the Laplacian of frames `[..., height, width, channels]`."""
    center = frames[..., 1:-1, 1:-1, :]
    around = (
        frames[..., :-2, 1:-1, :]
        + frames[..., 2:, 1:-1, :]
        + frames[..., 1:-1, :-2, :]
        + frames[..., 1:-1, 2:, :]
    )
    return jnp.mean(jnp.var(around - 4 * center, axis=(-3, -2)), axis=-1)


def ssim(predicted: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the structural similarity, one value per frame.

    Both are floats `[..., height, width, channels]` in [0, 1]. The window is a Gaussian of 11
    pixels with standard deviation 1.5, and the covariance is that of a population. The score is
    the mean over channels and over all positions of the window inside the frame.

    Raises:
      ValueError: if the frames are smaller than the window.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural
    similarity", eq. 13, with K1 = 0.01, K2 = 0.03.
    """
    if min(predicted.shape[-3:-1]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM of {predicted.shape[-3:-1]} frames; allowed: {SSIM_WINDOW} and more."
        )
    mean_p, mean_t = _window(predicted), _window(target)
    var_p = _window(jnp.square(predicted)) - jnp.square(mean_p)
    var_t = _window(jnp.square(target)) - jnp.square(mean_t)
    covariance = _window(predicted * target) - mean_p * mean_t
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_p * mean_t + c1) / (jnp.square(mean_p) + jnp.square(mean_t) + c1)
    contrast = (2 * covariance + c2) / (var_p + var_t + c2)
    return jnp.mean(luminance * contrast, axis=(-3, -2, -1))


def _window(frames: jax.Array) -> jax.Array:
    """Returns the Gaussian-weighted mean of each window that lies inside the frame."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-0.5 * np.square(offsets / SSIM_SIGMA))
    weights /= weights.sum()
    for axis in (-3, -2):
        # At this size a product with a band matrix is as fast as a convolution on every device.
        size = frames.shape[axis]
        band = np.zeros((size - SSIM_WINDOW + 1, size), frames.dtype)
        for row in range(len(band)):
            band[row, row : row + SSIM_WINDOW] = weights
        frames = jnp.moveaxis(
            jnp.tensordot(frames, band, axes=(axis, 1), precision="highest"), -1, axis
        )
    return frames


def bootstrap(
    values: np.ndarray,
    seed: int,
    statistic: Callable[[np.ndarray], np.ndarray] = lambda means: means,
    *,
    clusters: np.ndarray | None = None,
    centered: bool = False,
) -> dict[str, Any]:
    """Returns a statistic of the mean sample and the ends of its 95 % bootstrap interval.

    Args:
      values: `[samples, ...]`.
      seed: determines the resamples.
      statistic: a function of means over samples, `[..., *values.shape[1:]]`; by default the means
        themselves.
      clusters: what is independent, and so what is resampled. None if all samples are; int
        `[samples]`, equal for samples that may depend on each other; or int `[samples, 2]`, the
        clusters of both clips of a pair.
      centered: whether to shift the interval so that the mean of the resampled statistics is the
        statistic itself. Resampling biases some statistics: an entropy falls with every clip that
        a resample misses, and the interval could miss the entropy itself.

    Returns:
      `mean` (the statistic), `low` and `high`: floats, or lists if the statistic has axes. The ends
      are None if there are too few clusters for any interval: one, or two of pairs.
    """
    values = np.asarray(values, np.float64)
    mean = np.asarray(statistic(values.mean(axis=0)))
    weights = _weights(len(values), seed, clusters)
    if weights is None:
        return _without_interval(mean)
    resampled = statistic(np.tensordot(weights, values, axes=1))
    bias = resampled.mean(axis=0) - mean if centered else 0.0
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0) - bias
    return {"mean": mean.tolist(), "low": low.tolist(), "high": high.tolist()}


def _weights(num_samples: int, seed: int, clusters: np.ndarray | None) -> np.ndarray | None:
    """Returns the weights of samples in each resample, `[resamples, num_samples]`; each sums to 1.

    None if there are too few clusters. A cluster is drawn with all its samples. The weight of a
    pair is the product of those of its clusters, as pairs that share one depend on each other.

    Source: Field & Welsh 2007, "Bootstrapping clustered data"; for pairs, Owen 2007, "The
    pigeonhole bootstrap".
    """
    if clusters is None:
        return _resample(num_samples, seed) if num_samples > 1 else None
    names, numbers = np.unique(clusters, return_inverse=True)
    # Whatever resample of two clusters has a pair at all has all pairs, equally often.
    if len(names) <= clusters.ndim:
        return None
    drawn, numbers = _resample(len(names), seed), numbers.reshape(num_samples, -1)
    weights = drawn[:, numbers[:, 0]]
    if clusters.ndim == 2:
        # A pair within one cluster comes with it. It weighs as much as others on average.
        within = (1 - 1 / len(names)) / len(names)
        weights *= np.where(np.equal(*numbers.T), within, drawn[:, numbers[:, 1]])
    sums = weights.sum(axis=1, keepdims=True)
    kept = sums[:, 0] > 0  # A resample of few clusters may have no pair.
    return weights[kept] / sums[kept]


@functools.lru_cache(maxsize=8)  # An evaluation uses the same resamples hundreds of times.
def _resample(num_clusters: int, seed: int) -> np.ndarray:
    """Returns the weights of clusters in each resample, `[NUM_RESAMPLES, num_clusters]`."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(num_clusters, size=(NUM_RESAMPLES, num_clusters))
    return np.stack([np.bincount(row, minlength=num_clusters) for row in rows]) / num_clusters


def _without_interval(mean: np.ndarray) -> dict[str, Any]:
    ends = np.full(mean.shape, None).tolist()
    return {"mean": mean.tolist(), "low": ends, "high": ends}


def bootstrap_median(
    values: np.ndarray, seed: int, *, clusters: np.ndarray | None = None
) -> dict[str, Any]:
    """Returns the medians over samples of `values`, `[samples, ...]`, and their intervals.

    `mean` is the median; if `values` have more axes, each entry is a list. `clusters` are int
    `[samples]`, and the ends may be None, as for `bootstrap`.
    """
    median = np.median(values, axis=0)
    clusters = np.arange(len(values)) if clusters is None else clusters
    members = [np.flatnonzero(clusters == name) for name in np.unique(clusters)]
    if len(members) < 2:
        return _without_interval(median)
    rng = np.random.default_rng(seed)
    resamples = rng.integers(len(members), size=(NUM_RESAMPLES, len(members)))
    rows = (np.concatenate([members[i] for i in resample]) for resample in resamples)
    medians = np.stack([np.median(values[each], axis=0) for each in rows])
    low, high = np.percentile(medians, [2.5, 97.5], axis=0)
    return {"mean": median.tolist(), "low": low.tolist(), "high": high.tolist()}


def majority_share(classes: np.ndarray) -> float:
    """Returns the share of the most frequent class in int `[n]`: what always guessing it scores."""
    return float(np.unique(classes, return_counts=True)[1].max() / len(classes))
