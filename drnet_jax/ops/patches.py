"""The 4x4 convolution of stride 2, padding 1, and its gradients as one matrix product of patches.

A patch is what one output sees: 4x4 pixels, or 2x2 blocks of 2x2. Every pixel of the larger maps is
in four patches. The multiplications are those of the plain forms, in an order for platforms without
a fast kernel for these cases.
"""

import jax
import jax.numpy as jnp

from drnet_jax.ops.product import product

MAX_GRADIENT_SIDE = 8
"""Largest side of the larger maps. On GPUs XLA makes their kernel gradient a dilated convolution,
whose layout made the optimizer's update several times slower (docs/performance.md)."""


def fits_kernel_gradient(large_shape: tuple[int, ...]) -> bool:
    """Returns whether this pays on GPUs for maps `[batch, height, width, channels]`."""
    return max(large_shape[1:3]) <= MAX_GRADIENT_SIDE


def convolve(large: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the convolution; fastest for few channels on GPUs.

    Args:
      large: `[batch, height, width, large]`, height and width even.
      kernel: `[4, 4, large, small]`.

    Returns:
      `[batch, height / 2, width / 2, small]`.
    """
    batch, height, width, _ = large.shape
    # Not `product`: a GPU sums in float32 whatever it returns, and a float32 result of these, the
    # largest maps of all, would be twice as large.
    small = _cut(large) @ kernel.reshape(-1, kernel.shape[3])
    return small.reshape(batch, height // 2, width // 2, -1)


def kernel_gradient(large: jax.Array, small: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve(large, kernel)` in `kernel`, applied to `small`.

    Args:
      large: `[batch, height, width, large]`, height and width even.
      small: `[batch, height / 2, width / 2, small]`.

    Returns:
      `[4, 4, large, small]`.
    """
    gradient = product(_cut(large), small.reshape(-1, small.shape[3]), (0, 0))
    return gradient.reshape(4, 4, large.shape[3], -1).astype(small.dtype)


def _cut(large: jax.Array) -> jax.Array:
    """Returns all patches of `large`, `[batch * height / 2 * width / 2, 4 * 4 * large]`."""
    padded = jnp.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # Output row h sees pixel rows 2h to 2h + 3, and so do columns.
    rows, columns = (2 * jnp.arange(n // 2)[:, None] + jnp.arange(4) for n in large.shape[1:3])
    # [batch, output row, output column, patch row, patch column, large]
    patches = padded[:, rows[:, None, :, None], columns[None, :, None, :]]
    return patches.reshape(-1, 16 * large.shape[3])


def input_gradient(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve` in its first argument: patches that are added up.

    For few channels on CPUs. It costs the same as the convolution, and stays as fast inside
    `lax.scan` and `lax.map`, where a convolution is more than ten times slower.

    Args:
      small: `[batch, height, width, small]`.
      kernel: `[4, 4, large, small]`.

    Returns:
      `[batch, 2 * height, 2 * width, large]`.
    """
    batch, height, width, channels = small.shape
    large = kernel.shape[2]
    patches = product(small, kernel.reshape(-1, channels), (3, 1))
    # Kernel row 2i + p adds to row 2(h + i) + p of the padded output: `i` moves by whole blocks.
    patches = patches.reshape(batch, height, width, 2, 2, 2, 2, large)  # [.., i, p, j, q, large]
    total = 0.0
    for i in (0, 1):
        for j in (0, 1):
            shift = ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0), (0, 0), (0, 0))
            total += jnp.pad(patches[:, :, :, i, :, j], shift)
    # [batch, height + 1, width + 1, p, q, large]: interleave the blocks, then cut the padding.
    total = total.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height + 2, 2 * width + 2, large)
    return total[:, 1:-1, 1:-1].astype(small.dtype)
