"""Scores of pictures and their uncertainty. Conventions: data range 1, one value per frame."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
MAX_PSNR = 100.0
"""What two equal frames score, in dB: a finite stand-in for infinity."""

NUM_RESAMPLES = 1000
"""Of a bootstrap."""


def psnr(predicted: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the peak signal-to-noise ratio in dB, one value per frame.

    Both are floats `[..., height, width, channels]` in [0, 1]; the mean square goes over pixels
    and channels.
    """
    mse = jnp.mean(jnp.square(predicted - target), axis=(-3, -2, -1))
    return -10 * jnp.log10(jnp.maximum(mse, 10 ** (-MAX_PSNR / 10)))


def picture_scores(predicted: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
    """Returns every score of a picture by name, one value per frame.

    Both are floats `[..., height, width, channels]` in [0, 1] of one shape. `mse` and `mae` are
    means over pixels and channels, `mse_sum` and `mae_sum` the sums that other repositories print.
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

    Both are floats `[..., height, width, channels]` in [0, 1]. Gaussian window of 11 pixels and
    standard deviation 1.5, population covariance, averaged over the places where the window lies
    inside the frame, and over channels.

    Raises:
      ValueError: for frames smaller than the window.

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
    """Returns the Gaussian-weighted mean around every place that has a whole window."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-0.5 * np.square(offsets / SSIM_SIGMA))
    weights /= weights.sum()
    for axis in (-3, -2):
        # A product with a band matrix: as fast as a convolution at this size, and on any device.
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
    return bootstrap_statistic(lambda means: means, np.asarray(values, np.float64), seed)


def bootstrap_statistic(
    statistic: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    seed: int,
    *,
    centerd: bool = False,
) -> dict[str, Any]:
    """Returns a statistic and the ends of its 95 % bootstrap interval over clips.

    Args:
      statistic: maps means over clips `[..., features]` to `[...]`, or any other shape.
      values: `[clips, features]`, or `[clips]`.
      seed: the same one gives the same interval.
      centerd: whether the interval is moved to where the mean of the resampled statistics is the
        statistic itself. For those that resampling biases, as it does an entropy, which falls with
        every clip that is missing: the interval may lie beside the statistic otherwise.
    """
    values = np.asarray(values, np.float64)
    num_clips = len(values)
    rng = np.random.default_rng(seed)
    rows = rng.integers(num_clips, size=(NUM_RESAMPLES, num_clips))
    counts = np.stack([np.bincount(row, minlength=num_clips) for row in rows])
    resampled = statistic(np.tensordot(counts / num_clips, values, axes=1))
    mean = np.asarray(statistic(values.mean(axis=0)))
    bias = resampled.mean(axis=0) - mean if centerd else 0.0
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0) - bias
    return {"mean": mean.tolist(), "low": low.tolist(), "high": high.tolist()}


def bootstrap_median(values: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns the median of `values` `[clips]` as `mean`, and its interval as `bootstrap` does."""
    rows = np.random.default_rng(seed).integers(len(values), size=(NUM_RESAMPLES, len(values)))
    low, high = np.percentile(np.median(values[rows], axis=1), [2.5, 97.5])
    return {"mean": float(np.median(values)), "low": float(low), "high": float(high)}
