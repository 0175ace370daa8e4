"""Maximum over windows that move by two pixels, with a gradient that is also fast on CPUs."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from drnet_jax.ops import forms

_STRIDE = 2


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def max_pool(maps: jax.Array, size: int, padding: int) -> jax.Array:
    """Returns the largest pixel of every window of `size` x `size`, at steps of two.

    The gradient of a window goes to its first largest pixel, row by row, as in PyTorch.

    Args:
      maps: `[batch, height, width, channels]`.
      size: side of the windows, 2 or 3.
      padding: on each of the four sides, of pixels that are never the largest.

    Returns:
      `[batch, height', width', channels]`; `height' = (height + 2 padding - size) // 2 + 1`.

    Raises:
      ValueError: `size` is neither 2 nor 3.
    """
    if size not in (2, 3):
        raise ValueError(f"Impossible size {size} of pooled windows; allowed: 2, 3.")
    on_cpu = lambda maps: functools.reduce(jnp.maximum, _slices(maps, size, padding))  # noqa: E731
    default = functools.partial(_by_windows, size=size, padding=padding)
    return forms.by_platform(maps, cpu=on_cpu, default=default)


def _forward(maps, size, padding):
    largest = max_pool(maps, size, padding)
    return largest, (maps, largest)


def _backward(size, padding, residuals, cotangent):
    def default(maps, _, cotangent):
        window = functools.partial(_by_windows, size=size, padding=padding)
        return jax.vjp(window, maps)[1](cotangent)[0]

    # The gradient of a window reduction is a scatter, which XLA:CPU runs pixel by pixel.
    on_cpu = functools.partial(_scatter, size=size, padding=padding)
    return (forms.by_platform(*residuals, cotangent, cpu=on_cpu, default=default),)


max_pool.defvjp(_forward, _backward)


def _by_windows(maps: jax.Array, size: int, padding: int) -> jax.Array:
    pads = ((padding, padding), (padding, padding))
    return nn.max_pool(maps, (size, size), strides=(_STRIDE, _STRIDE), padding=pads)


def _slices(maps: jax.Array, size: int, padding: int) -> list[jax.Array]:
    """Returns pixel (i, j) of every window, `[batch, height', width', channels]`, by (i, j)."""
    batch, height, width, channels = maps.shape
    if padding:
        shape = (batch, height + 2 * padding, width + 2 * padding, channels)
        outside = jnp.full(shape, -jnp.inf, maps.dtype)
        maps = lax.dynamic_update_slice(outside, maps, (0, padding, padding, 0))
    rows, columns = ((side - size) // _STRIDE + 1 for side in maps.shape[1:3])
    return [
        maps[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2]
        for i in range(size)
        for j in range(size)
    ]


def _scatter(maps, largest, cotangent, *, size: int, padding: int) -> jax.Array:
    """Returns the gradient of `maps`: each `cotangent` at its window's first `largest` pixel."""
    taken, shares = jnp.zeros(largest.shape, bool), []
    for pixel in _slices(maps, size, padding):
        first = (pixel == largest) & ~taken
        shares.append(jnp.where(first, cotangent, 0))
        taken |= first
    lines = [_interleave(shares[i : i + size], 2) for i in range(0, size * size, size)]
    gradient = _interleave(lines, 1)
    # Cut what the padding received, and add the pixels that no window covers.
    ends = [
        (-padding, side + padding - covered)
        for side, covered in zip(maps.shape[1:3], gradient.shape[1:3], strict=True)
    ]
    zero = jnp.zeros((), gradient.dtype)
    return lax.pad(gradient, zero, [(0, 0, 0), *((*end, 0) for end in ends), (0, 0, 0)])


def _interleave(taps: list[jax.Array], axis: int) -> jax.Array:
    """Returns the sum of taps 0, 1, (2), each spread over every second place from its number on."""
    even, odd = taps[:2]
    if len(taps) == 3:  # Tap 2 of a window is tap 0 of the next.
        after, before = [(0, 0)] * even.ndim, [(0, 0)] * even.ndim
        after[axis], before[axis] = (0, 1), (1, 0)
        even = jnp.pad(even, after) + jnp.pad(taps[2], before)
        odd = jnp.pad(odd, after)
    shape = list(even.shape)
    shape[axis] *= 2  # Even and odd places in turn.
    return jnp.stack([even, odd], axis=axis + 1).reshape(shape)
