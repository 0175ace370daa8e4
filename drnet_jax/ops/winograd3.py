"""The 3x3 convolution of stride 1, padding 1, with 16 multiplications where 36 are due: for CPUs.

The same idea as in `winograd`, where the sources are named, with three taps. On one axis, two
outputs of a filter g on the four pixels d0, d1, d2, d3 are

  y0 = d0 g0 + d1 g1 + d2 g2        y1 = d1 g0 + d2 g1 + d3 g2,        six products, or with
  m0 = (d0 - d2) g0                 m1 = (d1 + d2) (g0 + g1 + g2) / 2
  m3 = (d1 - d3) g2                 m2 = (d2 - d1) (g0 - g1 + g2) / 2
  y0 = m0 + m1 + m2                 y1 = m1 - m2 - m3                  four.

A product is of pixels by taps, so it is a matrix product over all channels. On both axes, 4 x 4
products give the 2 x 2 outputs of a tile, where 36 were needed. Exact but for rounding.

The convolution is `_spread_maps`, `_spread_kernel`, 16 matrix products, `_gather`. The kernel
gradient is the same products between the transposes of `_gather` and `_spread_kernel`. The input
gradient is a convolution again, with the kernel reversed and its channels swapped. Reversal
exchanges g0 and g2, hence m0's taps and m3's, and leaves those of m1 and m2.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from drnet_jax.ops.product import product

MIN_TILES = 64
"""Each of 2 x 2 pixels, over the whole batch. With fewer, the kernel's sums cost too much."""

MIN_CHANNELS = 192
"""Of both sides together. With fewer, the maps' sums cost more than the products save."""

MIN_GRADIENT_CHANNELS = 128
"""Of either side, for the kernel gradient, which has the sums of both maps."""

_REVERSED = (3, 1, 2, 0)


def fits(large_shape: tuple[int, ...], num_small: int) -> bool:
    """Returns whether this pays for maps `[batch, height, width, channels]` and `num_small`."""
    batch, height, width, channels = large_shape
    even = height % 2 == 0 and width % 2 == 0
    tiles = batch * height * width // 4
    return even and tiles >= MIN_TILES and channels + num_small >= MIN_CHANNELS


def fits_kernel_gradient(large_shape: tuple[int, ...], num_small: int) -> bool:
    """Returns whether this pays for the kernel gradient too."""
    narrow = min(large_shape[3], num_small)
    return fits(large_shape, num_small) and narrow >= MIN_GRADIENT_CHANNELS


def convolve(large: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns `[batch, height, width, small]`.

    Args:
      large: `[batch, height, width, large]`, height and width even.
      kernel: `[3, 3, large, small]`.
    """
    matrices = zip(_spread_maps(large), _spread_kernel(kernel), strict=True)
    products = [product(maps, taps, (1, 0)) for maps, taps in matrices]
    return _gather(products, *large.shape[:3]).astype(large.dtype)


def input_gradient(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve` in `large`, applied to `small`."""
    taps = _spread_kernel(kernel)
    taps = [taps[4 * row + column] for row in _REVERSED for column in _REVERSED]
    matrices = zip(_spread_maps(small), taps, strict=True)
    products = [product(maps, taps, (1, 1)) for maps, taps in matrices]
    return _gather(products, *small.shape[:3]).astype(small.dtype)


def kernel_gradient(large: jax.Array, small: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve(large, kernel)` in `kernel`, applied to `small`."""
    matrices = zip(_spread_maps(large), _transpose_gather(small), strict=True)
    products = [product(maps, sums, (0, 0)) for maps, sums in matrices]
    kernel = jax.ShapeDtypeStruct((3, 3, large.shape[3], small.shape[3]), products[0].dtype)
    (gradient,) = jax.linear_transpose(_spread_kernel, kernel)(products)
    return gradient.astype(small.dtype)


def _spread_maps(large: jax.Array) -> list[jax.Array]:
    """Returns 16 matrices `[tiles, channels]`: (d0 - d2, d1 + d2, d2 - d1, d1 - d3), both axes."""
    batch, height, width, channels = large.shape
    rows, columns = height // 2, width // 2
    # Written into zeros: XLA would fuse a pad into every reader, as a comparison for each element.
    padded = jnp.zeros((batch, height + 2, width + 2, channels), large.dtype)
    padded = lax.dynamic_update_slice(padded, large, (0, 1, 1, 0))
    # A tile is a pair of rows and the next pair, which it shares with the next tile.
    pairs = padded.reshape(batch, rows + 1, 2, columns + 1, 2, channels)
    matrices = []
    for row in _spread(pairs[:, :-1, 0], pairs[:, :-1, 1], pairs[:, 1:, 0], pairs[:, 1:, 1]):
        places = row[:, :, :-1, 0], row[:, :, :-1, 1], row[:, :, 1:, 0], row[:, :, 1:, 1]
        matrices += [x.reshape(batch * rows * columns, channels) for x in _spread(*places)]
    return matrices


def _spread(d0, d1, d2, d3) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _spread_kernel(kernel: jax.Array) -> list[jax.Array]:
    """Returns 16 matrices `[large, small]`: (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2)."""

    def spread(g0, g1, g2):
        outer, inner = (g0 + g2) / 2, g1 / 2
        return g0, outer + inner, outer - inner, g2

    return [matrix for row in spread(*kernel) for matrix in spread(*row)]


def _gather(products: list[jax.Array], batch: int, height: int, width: int) -> jax.Array:
    """Returns `[batch, height, width, small]`: (m0 + m1 + m2, m1 - m2 - m3) on both axes."""
    rows, columns = height // 2, width // 2
    m = [product.reshape(batch, rows, columns, -1) for product in products]

    def gather(m0, m1, m2, m3):
        return m0 + m1 + m2, m1 - m2 - m3

    lines = zip(*(gather(*m[column::4]) for column in range(4)), strict=True)
    halves = [jnp.stack(gather(*line), axis=3) for line in lines]
    return jnp.stack(halves, axis=2).reshape(batch, height, width, -1)


def _transpose_gather(small: jax.Array) -> list[jax.Array]:
    """Returns the transpose of `_gather`, applied to `small`: 16 matrices `[tiles, small]`."""
    batch, height, width, channels = small.shape
    product = jax.ShapeDtypeStruct((batch * height * width // 4, channels), small.dtype)
    gather = functools.partial(_gather, batch=batch, height=height, width=width)
    (products,) = jax.linear_transpose(gather, [product] * 16)(small)
    return products
