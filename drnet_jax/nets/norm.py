"""Batch normalisation with the running statistics of PyTorch, and scaling to unit length."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


class BatchNorm(nn.Module):
    """Normalises each channel over all other axes.

    Statistics and normalisation are computed in float32 (float64 for float64 inputs); the output
    has the input's dtype. Normalisation uses the biased variance, the running average the unbiased.
    Under `jit` with a sharded batch the statistics are those of the whole batch.

    Source: PyTorch release; momentum is counted the other way round there (0.1).
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, maps: jax.Array, *, train: bool) -> jax.Array:
        channels = maps.shape[-1:]
        scale = self.param("scale", _scale_init, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        if not train:
            gain = scale * lax.rsqrt(var.value + self.epsilon)
            return (_widen(maps) * gain + (bias - mean.value * gain)).astype(maps.dtype)
        rows = maps.reshape(-1, *channels)
        wide = jnp.promote_types(rows.dtype, jnp.float32)
        rows, batch_mean, batch_var = normalize_rows(
            rows, scale.astype(wide), bias.astype(wide), self.epsilon
        )
        if not self.is_initializing():
            unbiased = batch_var * (len(rows) / max(len(rows) - 1, 1))
            mean.value = self._average(mean.value, batch_mean)
            var.value = self._average(var.value, unbiased)
        return rows.reshape(maps.shape)

    def _average(self, old: jax.Array, new: jax.Array) -> jax.Array:
        return self.momentum * old + (1 - self.momentum) * new.astype(old.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalize_rows(
    rows: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises the columns of `rows` `[num, channels]`, then scales and shifts them.

    `scale` and `bias` are at least float32, and so is what is computed; what is kept for the
    gradient has the dtype of `rows`.

    Returns:
      The normalised rows, and the mean and the biased variance `[channels]` that were used. These
      two are constants to differentiation: they feed running averages only.
    """
    return _forward(rows, scale, bias, epsilon)[0]


def _forward(rows, scale, bias, epsilon):
    narrow, rows = rows, _widen(rows)
    mean = rows.mean(0)
    # Two passes: the mean of squares less the square of the mean cancels badly in float32.
    var = jnp.square(rows - mean).mean(0)
    gain = scale * lax.rsqrt(var + epsilon)
    out = (rows - mean) * gain + bias
    return (out.astype(narrow.dtype), mean, var), (narrow, mean, var, scale)


def _backward(epsilon, residuals, cotangents):
    narrow, mean, var, scale = residuals
    rows, grad = _widen(narrow), _widen(cotangents[0])
    inverse = lax.rsqrt(var + epsilon)
    standard = (rows - mean) * inverse
    grad_bias, grad_scale = _sum_rows(grad), _sum_rows(grad * standard)
    centred = grad - grad_bias / len(rows) - standard * (grad_scale / len(rows))
    return (centred * (scale * inverse)).astype(narrow.dtype), grad_scale, grad_bias


def _widen(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _sum_rows(rows):
    """Sums over axis 0 of `[num, channels]`."""
    return lax.platform_dependent(rows, cpu=_sum_rows_by_dot, default=lambda rows: rows.sum(0))


def _sum_rows_by_dot(rows):
    # XLA:CPU fuses a reduction with the products before it into a loop that is several times slower
    # than this product; eight equal rows because the kernel for one row is slower again.
    return (jnp.ones((8, len(rows)), rows.dtype) @ rows)[0]


normalize_rows.defvjp(_forward, _backward)


def _scale_init(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
    """Source: PyTorch release, utils.py, init_weights."""
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def unit_length(vectors: jax.Array) -> jax.Array:
    """Scales `vectors` `[..., dim]` to Euclidean length 1; a zero vector stays zero."""
    squares = jnp.square(vectors).sum(-1, keepdims=True)
    # The floor stands under the square root, so that the gradient at zero is finite.
    return vectors * lax.rsqrt(jnp.maximum(squares, 1e-24))
