"""The 4x4 convolution of stride 2, padding 1, with 25 products in place of 64: for CPUs.

Two steps of algebra (Winograd 1980; Lavin & Gray 2016, "Fast algorithms for convolutional neural
networks"), both exact up to rounding:

1. Blocks. Pad the maps, and call each 2x2 block of pixels one place with four times the channels.
   A stride of 2 pixels is then a stride of one place, and 4x4 taps are 2x2 taps.
2. Tiles. On one axis, `size` outputs of a 2-tap filter g on `size + 1` places d are
   y_i = d_i g_0 + d_(i+1) g_1: twice `size` products. With three small matrices, `size + 1`:

     m = (taps g) * (places d)          y = outputs m

   Products are of places by filters, so each is a matrix product over all channels; sums are cheap.
   On both axes, 5 x 5 products give 4 x 4 outputs in place of 64. Where tiles are few, or numbers
   short, 3 x 3 give 2 x 2 in place of 16.

So the convolution is: maps to 25 matrices (`_spread_maps`), kernel to 25 matrices
(`_spread_kernel`), 25 matrix products, and sums of these (`_gather`). Each of the three is linear;
the gradients are the same products between their transposes. In bfloat16 the products are summed
and gathered in float32, for which CPUs also have the fast instruction.

The three convolutions are jitted, so that all layers and passes of one shape are traced once: each
is some hundreds of sums.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from drnet_jax.ops.product import product

MIN_CHANNELS = 16
"""Fewest channels of the larger maps. With fewer, the sums cost more than the products save."""

MIN_BATCH = 32
"""Fewest clips. With fewer, the kernel's sums weigh more; and where BatchNorm divides by the spread
of a handful of values it magnifies rounding, and this form rounds a little more than the plain
one."""

_MIN_LARGE_TILES = 64
"""Fewest tiles of the batch. With fewer, the kernel's 25 matrices cost more than those of maps."""


@dataclasses.dataclass(frozen=True)
class _Tiles:
    """The algebra of one axis for `size` outputs, as the docstring of this module explains it.

    Polynomials of `size` and of 2 coefficients are multiplied by evaluating both at `size + 1`
    points, multiplying, and solving for the coefficients of the product (Toom & Cook). In the first
    this is a linear map; its transpose is the filter. So `outputs` are the powers of the points,
    `taps` those up to the first, and `places` is the transposed inverse; a factor of each row of
    `places` is moved to `taps`. The point "infinity" takes the last coefficient.

    Attributes:
      places: `[size + 1, size + 1]`.
      taps: `[size + 1, 2]`.
      outputs: `[size, size + 1]`.
    """

    places: np.ndarray
    taps: np.ndarray
    outputs: np.ndarray

    @property
    def size(self) -> int:
        """Outputs of a tile, on one axis."""
        return len(self.outputs)


# At 0, 1, infinity.
_SMALL = _Tiles(
    places=np.array([[1, -1, 0], [0, 1, 0], [0, 1, -1]]),
    taps=np.array([[1, 0], [1, 1], [0, 1]]),
    outputs=np.array([[1, 1, 0], [0, 1, -1]]),
)

# At 0, 1, -1/2, -2, infinity: errors are half of those at 0, 1, -1, 2, infinity.
_LARGE = _Tiles(
    places=np.array(
        [
            [-1, -1.5, 1.5, 1, 0],
            [0, 1, 2.5, 1, 0],
            [0, -2, 1, 1, 0],
            [0, -0.5, -0.5, 1, 0],
            [0, -1, -1.5, 1.5, 1],
        ]
    ),
    taps=np.array([[-9, 0], [2, 2], [8, -4], [-1, 2], [0, 9]]) / 9,
    outputs=np.array(
        [[1, 1, 1, 1, 0], [0, 1, -1 / 2, -2, 0], [0, 1, 1 / 4, 4, 0], [0, 1, -1 / 8, -8, 1]]
    ),
)


def fits(large_shape: tuple[int, ...]) -> bool:
    """Returns whether maps of `large_shape`, `[batch, height, width, channels]`, can use this."""
    batch, height, width, channels = large_shape
    return batch >= MIN_BATCH and channels >= MIN_CHANNELS and height % 4 == 0 and width % 4 == 0


def _choose(small_shape: tuple[int, ...], dtype: jnp.dtype) -> _Tiles:
    """Returns the tiles for outputs of `small_shape`, `[batch, height, width, ...]`."""
    batch, height, width = small_shape[:3]
    whole = height % _LARGE.size == 0 and width % _LARGE.size == 0
    many = batch * height * width >= _MIN_LARGE_TILES * _LARGE.size**2
    # In bfloat16 the weights of large tiles cost one more of its eight bits.
    exact = jnp.finfo(dtype).bits >= 32
    return _LARGE if whole and many and exact else _SMALL


@jax.jit
def convolve(large: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns `[batch, height / 2, width / 2, small]`.

    Args:
      large: `[batch, height, width, large]`, height and width multiples of 4.
      kernel: `[4, 4, large, small]`.
    """
    shape = large.shape[0], large.shape[1] // 2, large.shape[2] // 2
    tiles = _choose(shape, large.dtype)
    matrices = zip(_spread_maps(large, tiles), _spread_kernel(kernel, tiles), strict=True)
    products = [product(maps, taps, (1, 0)) for maps, taps in matrices]
    return _gather(products, shape, tiles).astype(large.dtype)


@jax.jit
def input_gradient(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve` in `large`, applied to `small`."""
    tiles = _choose(small.shape, small.dtype)
    matrices = zip(_transpose_gather(small, tiles), _spread_kernel(kernel, tiles), strict=True)
    products = [product(maps, taps, (1, 1)) for maps, taps in matrices]
    return _transpose_spread(products, small.shape[:3], tiles).astype(small.dtype)


@jax.jit
def kernel_gradient(large: jax.Array, small: jax.Array) -> jax.Array:
    """Returns the transpose of `convolve(large, kernel)` in `kernel`, applied to `small`."""
    tiles = _choose(small.shape, small.dtype)
    matrices = zip(_spread_maps(large, tiles), _transpose_gather(small, tiles), strict=True)
    products = [product(maps, sums, (0, 0)) for maps, sums in matrices]
    return _fold_kernel(products, tiles).astype(small.dtype)


def _combine(weights: np.ndarray, terms: list[jax.Array]) -> jax.Array:
    """Returns the sum of `terms` times `weights`, without those of weight 0."""
    total = None
    for weight, term in zip(weights.tolist(), terms, strict=True):
        if weight == -1 and total is not None:
            total = total - term  # One operation to compile in place of four.
        elif weight:
            term = term if weight == 1 else weight * term
            total = term if total is None else total + term
    return total


def _spread_maps(large: jax.Array, tiles: _Tiles) -> list[jax.Array]:
    """Returns the matrices `[tiles, 4 * channels]`: `places` of both axes, applied to the blocks.

    A tile has the blocks that its outputs see; the last is also the first of the next tile.
    """
    batch, height, width, channels = large.shape
    size, rows, columns = tiles.size, height // (2 * tiles.size), width // (2 * tiles.size)
    # Blocks by rows: [batch, block rows, pixel row, block columns, pixels of a row]
    blocks = _frame(large).reshape(batch, height // 2 + 1, 2, width // 2 + 1, 2 * channels)
    # Rows by a product: XLA would fuse sums of both axes into each of the matrices.
    lines = _multiply_rows(_band(rows, tiles), blocks)
    # [batch, place, tile row, pixel row, block columns, pixels of a row]
    lines = lines.reshape(batch, size + 1, rows, *blocks.shape[2:])
    last = size * (columns - 1) + 1  # End of the tiles' first blocks.
    matrices = []
    for row in range(size + 1):
        # The two pixel rows of a block apart, and side by side only at the end: transposing the
        # whole would be another pass over memory.
        halves = [
            [lines[:, row, :, pixel, i : i + last : size] for i in range(size + 1)]
            for pixel in (0, 1)
        ]
        for weights in tiles.places:
            sums = [_combine(weights, half) for half in halves]
            matrices.append(jnp.stack(sums, axis=3).reshape(-1, 4 * channels))
    return matrices


def _frame(maps: jax.Array) -> jax.Array:
    """Returns `maps` with a zero on each of the four sides.

    By concatenation, which is a copy on CPUs: XLA would fuse a pad into its readers, as a
    comparison for each element.
    """
    batch, height, width, channels = maps.shape
    side = jnp.zeros((batch, height, 1, channels), maps.dtype)
    maps = jnp.concatenate([side, maps, side], axis=2)
    line = jnp.zeros((batch, 1, width + 2, channels), maps.dtype)
    return jnp.concatenate([line, maps, line], axis=1)


def _band(rows: int, tiles: _Tiles) -> np.ndarray:
    """Returns `places` of all tiles of a column as one matrix, `[(size + 1) * rows, blocks]`."""
    band = np.zeros((tiles.size + 1, rows, tiles.size * rows + 1))
    for row in range(rows):
        first = tiles.size * row
        band[:, row, first : first + tiles.size + 1] = tiles.places
    return band.reshape(-1, band.shape[2])


def _multiply_rows(matrix: np.ndarray, maps: jax.Array) -> jax.Array:
    """Returns `matrix` times each clip's `maps`, `[batch, rows, ...]`."""
    # As a batch of products, for which no axis has to move.
    copies = jnp.broadcast_to(jnp.asarray(matrix, maps.dtype), (len(maps), *matrix.shape))
    lines = maps.reshape(*maps.shape[:2], -1)
    return lax.dot_general(copies, lines, (((2,), (1,)), ((0,), (0,))))


def _transpose_spread(
    matrices: list[jax.Array], shape: tuple[int, ...], tiles: _Tiles
) -> jax.Array:
    """Returns the transpose of `_spread_maps`, applied to matrices `[tiles, 4 * channels]`.

    `shape` is batch, height and width of the outputs. Automatic transposition gives the same sums,
    but pads each term by itself, which is many times slower.
    """
    batch, height, width = shape
    size, depth = tiles.size, matrices[0].shape[1] // 2
    rows, columns = height // size, width // size
    sums = [m.reshape(batch, rows, columns, 2, depth).swapaxes(2, 3) for m in matrices]
    # [batch, rows, pixel row, columns + 1, block column, pixels of a row] each, then all rows.
    lines = [
        _transpose_axis(sums[i : i + size + 1], tiles, axis=3)
        for i in range(0, len(sums), size + 1)
    ]
    blocks = _transpose_axis([jnp.moveaxis(line, 2, 1) for line in lines], tiles, axis=2)
    # From [batch, pixel row, rows + 1, block row, columns + 1, block column, pixels of a row], put
    # pixel rows after block rows; then whole axes of pixels, and cut the padding.
    blocks = jnp.moveaxis(blocks, 1, 3)
    padded = blocks.reshape(batch, 2 * (height + size), 2 * (width + size), depth // 2)
    return padded[:, 1 : 2 * height + 1, 1 : 2 * width + 1]


def _transpose_axis(sums: list[jax.Array], tiles: _Tiles, axis: int) -> jax.Array:
    """Returns the transpose of `places` applied to `sums` of every tile along `axis`.

    The first block of a tile is also the last of the tile before, so `axis` grows by 1; the blocks
    of a tile become an axis after it.
    """
    first, *others, last = (_combine(weights, sums) for weights in tiles.places.T)
    after, before = [(0, 0)] * first.ndim, [(0, 0)] * first.ndim
    after[axis], before[axis] = (0, 1), (1, 0)
    first = jnp.pad(first, after) + jnp.pad(last, before)
    return jnp.stack([first, *(jnp.pad(other, after) for other in others)], axis=axis + 1)


def _spread_kernel(kernel: jax.Array, tiles: _Tiles) -> list[jax.Array]:
    """Returns the matrices `[4 * large, small]`: `taps` of both axes, applied to the kernel."""
    _, _, large, small = kernel.shape
    blocks = list(kernel.reshape(2, 2, 2, 2, large, small))
    matrices = []
    for row_weights in tiles.taps:
        row = _combine(row_weights, blocks)  # [pixel row, block column, pixel column, ...]
        columns = [row[:, 0], row[:, 1]]
        for column_weights in tiles.taps:
            matrix = _combine(column_weights, columns)
            matrices.append(matrix.reshape(4 * large, small))
    return matrices


def _fold_kernel(matrices: list[jax.Array], tiles: _Tiles) -> jax.Array:
    """Returns the transpose of `_spread_kernel`, applied to matrices `[4 * large, small]`."""
    depth, small = matrices[0].shape
    num = tiles.size + 1
    sums = [matrix.reshape(2, 2, depth // 4, small) for matrix in matrices]
    columns = [
        [_combine(w, sums[i : i + num]) for i in range(0, num**2, num)] for w in tiles.taps.T
    ]
    rows = [jnp.stack([_combine(w, column) for column in columns], axis=1) for w in tiles.taps.T]
    return jnp.stack(rows).reshape(4, 4, depth // 4, small)


def _gather(products: list[jax.Array], shape: tuple[int, ...], tiles: _Tiles) -> jax.Array:
    """Returns `[batch, height, width, small]`: `outputs` of both axes, applied to `products`.

    `shape` is batch, height and width.
    """
    batch, height, width = shape
    size = tiles.size
    m = [product.reshape(batch, height // size, width // size, -1) for product in products]
    lines = []
    for i in range(0, len(m), size + 1):
        line = jnp.stack([_combine(w, m[i : i + size + 1]) for w in tiles.outputs], axis=3)
        lines.append(line.reshape(batch, height // size, width, -1))
    rows = jnp.stack([_combine(weights, lines) for weights in tiles.outputs], axis=2)
    return rows.reshape(batch, height, width, -1)


def _transpose_gather(small: jax.Array, tiles: _Tiles) -> list[jax.Array]:
    """Returns the transpose of `_gather`, applied to `small`: matrices `[tiles, small]`."""
    batch, height, width, channels = small.shape
    size = tiles.size
    rows = small.reshape(batch, height // size, size, width, channels)
    rows = [rows[:, :, i] for i in range(size)]
    matrices = []
    for row_weights in tiles.outputs.T:
        line = _combine(row_weights, rows)
        line = line.reshape(batch, height // size, width // size, size, channels)
        columns = [line[:, :, :, i] for i in range(size)]
        for column_weights in tiles.outputs.T:
            sums = _combine(column_weights, columns)
            matrices.append(sums.reshape(-1, channels))
    return matrices
