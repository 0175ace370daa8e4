"""The 4x4 convolution of stride 2, padding 1, as one matrix product over patches of 4x4 pixels.

The same numbers as the plain form, with as many multiplications, in an order that suits GPUs where
cuDNN has no fast kernel: maps of few channels, such as frames, and the kernel gradient of maps that
are little larger than the kernel. Every pixel of the larger maps is in four patches.
"""

import jax
import jax.numpy as jnp

MAX_CHANNELS = 4
"""Of the larger maps: with more, cuDNN's kernels fill the matrix units by themselves."""

MAX_GRADIENT_SIDE = 8
"""Of the larger maps: XLA turns their kernel gradient into a dilated convolution, which is slow."""


def fits(large_shape: tuple[int, ...]) -> bool:
    """Returns whether this pays for maps `[batch, height, width, channels]`, in all passes."""
    return large_shape[3] <= MAX_CHANNELS


def fits_kernel_gradient(large_shape: tuple[int, ...]) -> bool:
    """Returns whether this pays for the kernel gradient of such maps."""
    return fits(large_shape) or max(large_shape[1:3]) <= MAX_GRADIENT_SIDE


def convolve(large: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns `[batch, height / 2, width / 2, small]`.

    Args:
      large: `[batch, height, width, large]`, height and width even.
      kernel: `[4, 4, large, small]`.
    """
    small = product(_patches(large), kernel.reshape(-1, kernel.shape[3]))
    return small.astype(large.dtype)


def input_gradient(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve` in its first argument: patches that are added up.

    On a CPU it costs the same as the convolution, and keeps its speed inside `lax.scan` and
    `lax.map`, where a convolution loses more than ten times.
    """
    batch, height, width, channels = small.shape
    large = kernel.shape[2]
    patches = product(small, kernel.reshape(-1, channels).T)
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


def kernel_gradient(large: jax.Array, small: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve(large, kernel)` in `kernel`, applied to `small`."""
    # Clip by clip, then summed: one product has few outputs, each a sum over the whole batch.
    subscripts = "bhwk,bhws->bks" if fits(large.shape) else "bhwk,bhws->ks"
    wide = jnp.promote_types(small.dtype, jnp.float32)
    gradient = jnp.einsum(subscripts, _patches(large), small, preferred_element_type=wide)
    if gradient.ndim == 3:
        gradient = gradient.sum(0)
    return gradient.reshape(4, 4, large.shape[3], small.shape[3]).astype(small.dtype)


def product(left: jax.Array, right: jax.Array) -> jax.Array:
    """Returns the matrix product, summed in at least float32: from bfloat16 it costs no more."""
    wide = jnp.promote_types(left.dtype, jnp.float32)
    return jnp.matmul(left, right, preferred_element_type=wide)


def _patches(large: jax.Array) -> jax.Array:
    """Returns `[batch, height / 2, width / 2, 16 * channels]`, each in the order of a kernel."""
    batch, height, width, channels = large.shape
    padded = jnp.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0)))
    pixels = [
        padded[:, row : row + height - 1 : 2, column : column + width - 1 : 2]
        for row in range(4)
        for column in range(4)
    ]
    return jnp.stack(pixels, axis=3).reshape(batch, height // 2, width // 2, 16 * channels)
