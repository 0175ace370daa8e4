"""Scores of pictures and their uncertainty. Pictures have data range 1 and one score per frame."""

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


def psnr(predicted: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the peak signal-to-noise ratio in dB, one value per frame.

    Both are floats `[..., height, width, channels]` in [0, 1]; the mean squared error is over
    pixels and channels.
    """
    mse = jnp.mean(jnp.square(predicted - target), axis=(-3, -2, -1))
    return -10 * jnp.log10(jnp.maximum(mse, 10 ** (-MAX_PSNR / 10)))


def picture_scores(predicted: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
    """Returns every score of a picture by name, one value per frame.

    Both are floats `[..., height, width, channels]` in [0, 1] of one shape. `mse` and `mae` are
    means over pixels and channels; `mse_sum` and `mae_sum` are the sums that some papers report.
    """
    difference = predicted - target
    squared = jnp.mean(jnp.square(difference), axis=(-3, -2, -1))
    absolute = jnp.mean(jnp.abs(difference), axis=(-3, -2, -1))
    count = math.prod(difference.shape[-3:])
    return {
        "psnr": psnr(predicted, target),
        "ssim": ssim(predicted, target),
        "mse": squared,
        "mae": absolute,
        "mse_sum": squared * count,
        "mae_sum": absolute * count,
    }


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
    pixels with standard deviation 1.5, the covariance that of a population; the mean is over
    channels and over the positions at which the window lies inside the frame.

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
    """Returns the Gaussian-weighted mean around each pixel that has a whole window."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-0.5 * np.square(offsets / SSIM_SIGMA))
    weights /= weights.sum()
    for axis in (-3, -2):
        # A product with a band matrix: as fast as a convolution at this size, on any device.
        size = frames.shape[axis]
        band = np.zeros((size - SSIM_WINDOW + 1, size), frames.dtype)
        for row in range(len(band)):
            band[row, row : row + SSIM_WINDOW] = weights
        frames = jnp.moveaxis(
            jnp.tensordot(frames, band, axes=(axis, 1), precision="highest"), -1, axis
        )
    return frames


def bootstrap(values: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns the mean of `values` over clips and the ends of its 95 % bootstrap interval.

    `values` are `[clips, ...]`; `mean`, `low` and `high` are floats, or lists for more axes.
    """
    return bootstrap_statistic(lambda means: means, values, seed)


def bootstrap_ratio(numerators: np.ndarray, denominators: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns the ratio of two sums over clips, both `[clips, ...]`, with its interval."""
    values = np.stack([numerators, denominators], axis=1)

    def ratio(means: np.ndarray) -> np.ndarray:
        # The axis of the two is the second of `values`, the first but for resamples of `means`.
        numerator, denominator = np.moveaxis(means, 1 - values.ndim, 0)
        return numerator / np.maximum(denominator, 1e-12)

    return bootstrap_statistic(ratio, values, seed)


def bootstrap_statistic(
    statistic: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    seed: int,
    *,
    centered: bool = False,
) -> dict[str, Any]:
    """Returns a statistic and the ends of its 95 % bootstrap interval over clips.

    Args:
      statistic: maps means over clips `[..., features]` to `[...]`, or to any other shape.
      values: `[clips, features]`, or `[clips]`.
      seed: determines the resamples.
      centered: whether to shift the interval so that the mean of the resampled statistics is the
        statistic itself. Resampling biases some statistics: an entropy falls with every clip that
        a resample misses, and the interval could lie beside it.
    """
    values = np.asarray(values, np.float64)
    resampled = statistic(np.tensordot(_resample(len(values), seed), values, axes=1))
    mean = np.asarray(statistic(values.mean(axis=0)))
    bias = resampled.mean(axis=0) - mean if centered else 0.0
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0) - bias
    return {"mean": mean.tolist(), "low": low.tolist(), "high": high.tolist()}


@functools.lru_cache(maxsize=8)  # An evaluation asks for the same ones hundreds of times.
def _resample(num_clips: int, seed: int) -> np.ndarray:
    """Returns the weights of clips in each resample, `[NUM_RESAMPLES, num_clips]`."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(num_clips, size=(NUM_RESAMPLES, num_clips))
    return np.stack([np.bincount(row, minlength=num_clips) for row in rows]) / num_clips


def bootstrap_median(values: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns the median of `values`, `[clips]`, as `mean`, with its interval."""
    rows = np.random.default_rng(seed).integers(len(values), size=(NUM_RESAMPLES, len(values)))
    low, high = np.percentile(np.median(values[rows], axis=1), [2.5, 97.5])
    return {"mean": float(np.median(values)), "low": float(low), "high": float(high)}


def majority_share(classes: np.ndarray) -> float:
    """Returns the share of the most frequent of `classes`, int `[n]`: the accuracy of chance."""
    return float(np.unique(classes, return_counts=True)[1].max() / len(classes))
