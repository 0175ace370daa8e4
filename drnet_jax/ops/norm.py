"""Batch normalization with the running statistics of PyTorch, and scaling to unit length."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

MOMENTUM = 0.9
"""Share of the old value in a running average. Source: PyTorch release, whose 0.1 is the new's."""


class BatchNorm(nn.Module):
    """Normalizes each channel over all other axes.

    Statistics and normalization are computed in float32 (float64 for float64 inputs); the output
    has the input's dtype. Normalization uses the biased variance, the running average the unbiased.
    Under `jit` with a sharded batch the statistics are those of the whole batch.

    A call may hold several passes of every clip: maps are then `[batch * num_passes, ...]`, the
    passes of a clip one after the other. Each pass is normalized by its own statistics, and the
    running averages after each pass alone are returned as `[num_passes, channels]`.
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, maps: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        channels = maps.shape[-1:]
        scale = self.param("scale", _scale_init, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        if not train:
            gain = scale * lax.rsqrt(var.value + self.epsilon)
            return (_widen(maps) * gain + (bias - mean.value * gain)).astype(maps.dtype)
        # [batch, num_passes, ...], then pixels in one axis: batches are split over devices, and
        # XLA keeps an array split only through reshapes of one axis at a time.
        by_pass = maps.reshape(-1, num_passes, *maps.shape[1:])
        rows = by_pass.reshape(*by_pass.shape[:2], math.prod(maps.shape[1:-1]), *channels)
        wide = jnp.promote_types(rows.dtype, jnp.float32)
        guess = jnp.broadcast_to(mean.value, (num_passes, *channels)).astype(wide)
        rows, batch_mean, batch_var = normalize_rows(
            rows, scale.astype(wide), bias.astype(wide), guess, self.epsilon
        )
        if not self.is_initializing():
            num = _num_rows(rows)
            unbiased = batch_var * (num / max(num - 1, 1))
            if num_passes == 1:
                batch_mean, unbiased = batch_mean[0], unbiased[0]
            mean.value = _average(mean.value, batch_mean)
            var.value = _average(var.value, unbiased)
        return rows.reshape(by_pass.shape).reshape(maps.shape)


def _average(old: jax.Array, new: jax.Array) -> jax.Array:
    return MOMENTUM * old + (1 - MOMENTUM) * new.astype(old.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def normalize_rows(
    rows: jax.Array, scale: jax.Array, bias: jax.Array, guess: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalizes each pass and channel over all clips and pixels, then scales and shifts channels.

    Args:
      rows: `[batch, passes, pixels, channels]`; the gradient keeps them in their dtype.
      scale: `[channels]`, float32 or wider, the dtype of the computation.
      bias: `[channels]`, likewise.
      guess: `[passes, channels]`, an estimate of the means, without influence on the result.
      epsilon: added to variances.

    Returns:
      The normalized rows, and the means and biased variances `[passes, channels]` behind them.
      No gradient flows through these two, which only feed running averages.
    """
    return _forward(rows, scale, bias, guess, epsilon)[0]


def _forward(rows, scale, bias, guess, epsilon):
    narrow, rows = rows, _widen(rows)
    mean, var = lax.platform_dependent(
        rows, guess, cpu=moments_by_two_reads, default=moments_by_one_read
    )
    gain = scale * lax.rsqrt(var + epsilon)
    out = (rows - mean[:, None]) * gain[:, None] + bias
    return (out.astype(narrow.dtype), mean, var), (narrow, mean, var, scale)


def _backward(epsilon, residuals, cotangents):
    narrow, mean, var, scale = residuals
    rows, grad = _widen(narrow), _widen(cotangents[0])
    num, inverse = _num_rows(rows), lax.rsqrt(var + epsilon)
    standard = (rows - mean[:, None]) * inverse[:, None]
    grad_bias, grad_scale = _sums(grad, grad * standard)
    centered = grad - (grad_bias / num)[:, None] - standard * (grad_scale / num)[:, None]
    grad_rows = (centered * (scale * inverse)[:, None]).astype(narrow.dtype)
    # The result does not depend on the guess.
    return grad_rows, grad_scale.sum(0), grad_bias.sum(0), jnp.zeros_like(mean)


def _num_rows(rows: jax.Array) -> int:
    """Returns the number of values behind each mean."""
    return rows.shape[0] * rows.shape[2]


def moments_by_two_reads(rows, guess):
    """Returns means and biased variances `[passes, channels]` of `rows`."""
    del guess  # Nothing cancels here.
    mean = rows.mean((0, 2))
    return mean, jnp.square(rows - mean[:, None]).mean((0, 2))


def moments_by_one_read(rows, guess):
    """Returns the same from both sums at once; between devices they are one message.

    The mean of squares minus the square of the mean cancels badly in float32 where the mean is far
    from zero. With a guess of the mean taken off first, the relative error of the variance only
    grows with the square of (mean - guess) / deviation.
    """
    rows = rows - guess[:, None]
    mean, squares = _sums_together(rows, jnp.square(rows)) / _num_rows(rows)
    return mean + guess, jnp.maximum(squares - jnp.square(mean), 0)


def _widen(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _sums(*rows):
    """Returns the sums by pass and channel, `[len(rows), passes, channels]`."""
    by_dot = _sums_by_dot if rows[0].shape[1] == 1 else _sums_together
    return lax.platform_dependent(*rows, cpu=by_dot, default=_sums_together)


def _sums_together(*rows):
    # Clip by clip, then over clips: XLA splits long sums on a GPU anyway, but would end each of
    # them in a separate kernel.
    return jnp.stack([r.sum(2) for r in rows]).sum(1)


def _sums_by_dot(*rows):
    # XLA:CPU fuses a reduction with the products before it into a loop that is several times slower
    # than this matrix product. Eight equal rows, because its kernel for one row is slow too.
    rows = [r.reshape(-1, r.shape[-1]) for r in rows]
    return jnp.stack([(jnp.ones((8, len(r)), r.dtype) @ r)[:1] for r in rows])


normalize_rows.defvjp(_forward, _backward)


def _scale_init(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
    """Returns N(1, 0.02). Source: PyTorch release, utils.py, init_weights."""
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def unit_length(vectors: jax.Array) -> jax.Array:
    """Scales `vectors` `[..., dim]` to Euclidean length 1; a zero vector stays zero."""
    squares = jnp.square(vectors).sum(-1, keepdims=True)
    # The floor is under the square root, so that the gradient at zero is finite.
    return vectors * lax.rsqrt(jnp.maximum(squares, 1e-24))
