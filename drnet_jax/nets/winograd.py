"""The 4x4 convolution of stride 2, padding 1, with 9 multiplications where 16 are due: for CPUs.

Two steps of algebra (Winograd 1980; Lavin & Gray 2016, "Fast algorithms for convolutional neural
networks"), both exact but for rounding:

1. Blocks. Pad the maps, and call each 2x2 block of pixels one place with four times the channels.
   A stride of 2 pixels is then a stride of one place, and 4x4 taps are 2x2 taps.
2. On one axis, two outputs of a 2-tap filter g on places d0, d1, d2 are

     y0 = d0 g0 + d1 g1        y1 = d1 g0 + d2 g1,         four products, or with
     m0 = (d0 - d1) g0         m1 = d1 (g0 + g1)           m2 = (d1 - d2) g1
     y0 = m0 + m1              y1 = m1 - m2                three.

   Products are of places by filters, so each is a matrix product over all channels; sums are cheap.
   On both axes, 3 x 3 products give 2 x 2 outputs, where 16 were needed.

So the convolution is: maps to 9 matrices (`_spread_maps`), kernel to 9 matrices
(`_spread_kernel`), 9 matrix products, and sums of these (`_gather`). Each of the three is linear;
the gradients are the same products between the transposes of these maps. In bfloat16 the products
are summed and gathered in float32, which is also what CPUs have the fast instruction for.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

MIN_CHANNELS = 16
"""Of the larger maps. With fewer, the sums cost more than the products save."""

MIN_BATCH = 32
"""With fewer, the kernel's sums weigh more; and where BatchNorm divides by the spread of a handful
of values it magnifies rounding, of which this form has a little more than the plain one."""


def fits(large_shape: tuple[int, ...]) -> bool:
    """Returns whether maps of `large_shape`, `[batch, height, width, channels]`, can use this."""
    batch, height, width, channels = large_shape
    return batch >= MIN_BATCH and channels >= MIN_CHANNELS and height % 4 == 0 and width % 4 == 0


def convolve(large: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns `[batch, height / 2, width / 2, small]`.

    Args:
      large: `[batch, height, width, large]`, height and width multiples of 4.
      kernel: `[4, 4, large, small]`.
    """
    batch, height, width, _ = large.shape
    matrices = zip(_spread_maps(large), _spread_kernel(kernel), strict=True)
    products = [_product(maps, taps, (1, 0)) for maps, taps in matrices]
    return _gather(products, batch, height // 4, width // 4).astype(large.dtype)


def input_gradient(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve` in `large`, applied to `small`."""
    batch, height, width, _ = small.shape
    matrices = zip(_transpose_gather(small), _spread_kernel(kernel), strict=True)
    products = [_product(maps, taps, (1, 1)) for maps, taps in matrices]
    return _transpose_spread(products, batch, height // 2, width // 2).astype(small.dtype)


def kernel_gradient(large: jax.Array, small: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve(large, kernel)` in `kernel`, applied to `small`."""
    matrices = zip(_spread_maps(large), _transpose_gather(small), strict=True)
    products = [_product(maps, sums, (0, 0)) for maps, sums in matrices]
    shape = (4, 4, large.shape[3], small.shape[3])
    kernel = jax.ShapeDtypeStruct(shape, products[0].dtype)
    (gradient,) = jax.linear_transpose(_spread_kernel, kernel)(products)
    return gradient.astype(small.dtype)


def _product(left: jax.Array, right: jax.Array, axes: tuple[int, int]) -> jax.Array:
    """Returns the matrix product over one axis of each, summed in at least float32."""
    (one, other), wide = axes, jnp.promote_types(left.dtype, jnp.float32)
    return lax.dot_general(left, right, (((one,), (other,)), ((), ())), preferred_element_type=wide)


def _spread_maps(large: jax.Array) -> list[jax.Array]:
    """Returns 9 matrices `[tiles, 4 * channels]`: (d0 - d1, d1, d1 - d2) on both axes.

    A tile is what makes 2 x 2 outputs: 3 x 3 blocks, the last shared with the next tile.
    """
    batch, height, width, channels = large.shape
    rows, columns = height // 4, width // 4
    # Written into zeros: XLA would fuse a pad into every reader, as a comparison for each element.
    padded = jnp.zeros((batch, height + 4, width + 4, channels), large.dtype)
    padded = lax.dynamic_update_slice(padded, large, (0, 1, 1, 0))
    # [batch, tile row, block row, pixel row, tile column, block column, pixels of a row]
    blocks = padded.reshape(batch, rows + 1, 2, 2, columns + 1, 2, 2 * channels)
    # Each pixel row of a block by itself, and beside each other at the end: a transpose of the
    # whole would be a pass of its own over all 9 matrices.
    halves = [_spread_axes(blocks[:, :, :, pixel]) for pixel in (0, 1)]
    return [
        jnp.concatenate(pair, axis=-1).reshape(batch * rows * columns, 4 * channels)
        for pair in zip(*halves, strict=True)
    ]


def _spread_axes(blocks: jax.Array) -> list[jax.Array]:
    """Returns the 9 differences `[batch, rows, columns, depth]`.

    `blocks` are `[batch, rows + 1, 2, columns + 1, 2, depth]`.
    """
    d0, d1, d2 = blocks[:, :-1, 0], blocks[:, :-1, 1], blocks[:, 1:, 0]
    places = []
    for row in (d0 - d1, d1, d1 - d2):
        e0, e1, e2 = row[:, :, :-1, 0], row[:, :, :-1, 1], row[:, :, 1:, 0]
        places += [e0 - e1, e1, e1 - e2]
    return places


def _transpose_spread(matrices: list[jax.Array], batch: int, rows: int, columns: int) -> jax.Array:
    """Returns the transpose of `_spread_maps`, applied to 9 matrices `[tiles, 4 * channels]`.

    Automatic transposition gives the same sums, each term padded by itself: more passes.
    """
    depth = matrices[0].shape[1] // 2
    places = [m.reshape(batch, rows, columns, 2, depth).swapaxes(2, 3) for m in matrices]
    # [batch, rows, pixel row, columns + 1, block column, pixels of a row] each, then all rows.
    lines = [_transpose_axis(places[i : i + 3], axis=3) for i in (0, 3, 6)]
    blocks = _transpose_axis([jnp.moveaxis(line, 2, 1) for line in lines], axis=2)
    # [batch, pixel row, rows + 1, block row, columns + 1, block column, pixels of a row]
    blocks = jnp.moveaxis(blocks, 1, 3)
    padded = blocks.reshape(batch, 4 * (rows + 1), 4 * (columns + 1), depth // 2)
    return padded[:, 1 : 4 * rows + 1, 1 : 4 * columns + 1]


def _transpose_axis(differences: list[jax.Array], axis: int) -> jax.Array:
    """Returns the blocks that gave (d0 - d1, d1, d1 - d2) of every tile along `axis`.

    The first block of a tile is its d0 and the d2 of the tile before. `axis` grows by 1, and the
    two blocks of a tile are an axis after it.
    """
    a, b, c = differences
    after, before = [(0, 0)] * a.ndim, [(0, 0)] * a.ndim
    after[axis], before[axis] = (0, 1), (1, 0)
    first = jnp.pad(a, after) - jnp.pad(c, before)
    second = jnp.pad(b + c - a, after)
    return jnp.stack([first, second], axis=axis + 1)


def _spread_kernel(kernel: jax.Array) -> list[jax.Array]:
    """Returns 9 matrices `[4 * large, small]`: (g0, g0 + g1, g1) on both axes."""
    _, _, large, small = kernel.shape
    taps = kernel.reshape(2, 2, 2, 2, large, small)  # Block row, pixel row, block column, ...
    matrices = []
    for row in (taps[0], taps[0] + taps[1], taps[1]):  # [pixel row, block column, ...]
        for tap in (row[:, 0], row[:, 0] + row[:, 1], row[:, 1]):
            matrices.append(tap.reshape(4 * large, small))
    return matrices


def _gather(products: list[jax.Array], batch: int, rows: int, columns: int) -> jax.Array:
    """Returns outputs `[batch, 2 * rows, 2 * columns, small]`: (m0 + m1, m1 - m2) on both axes."""
    small = products[0].shape[1]
    m = [product.reshape(batch, rows, columns, small) for product in products]
    halves = [
        jnp.stack([a + b, b - c], axis=3)  # [batch, rows, columns, 2, small]
        for a, b, c in (
            [m[column] + m[3 + column] for column in range(3)],
            [m[3 + column] - m[6 + column] for column in range(3)],
        )
    ]
    return jnp.stack(halves, axis=2).reshape(batch, 2 * rows, 2 * columns, small)


def _transpose_gather(small: jax.Array) -> list[jax.Array]:
    """Returns the transpose of `_gather`, applied to `small`: 9 matrices `[tiles, small]`."""
    batch, height, width, channels = small.shape
    rows, columns = height // 2, width // 2
    product = jax.ShapeDtypeStruct((batch * rows * columns, channels), small.dtype)
    gather = functools.partial(_gather, batch=batch, rows=rows, columns=columns)
    (products,) = jax.linear_transpose(gather, [product] * 9)(small)
    return products
