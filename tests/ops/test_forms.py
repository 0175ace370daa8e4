"""Winograd's form and products of patches against the plain convolution, in all three maps."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from drnet_jax.base import sharding
from drnet_jax.ops import patches, winograd
from drnet_jax.ops.conv import convolve, convolve_transposed

# Batch, height, width, channels of the larger maps, channels of the smaller ones.
PATCHES = [(1, 2, 2, 3, 5), (3, 8, 4, 3, 7), (2, 6, 10, 1, 4), (5, 8, 8, 12, 3)]
SMALL_TILES = [(2, 4, 4, 16, 3), (1, 8, 12, 17, 5), (3, 16, 8, 32, 1), (2, 20, 4, 16, 24)]
LARGE_TILES = [(64, 8, 8, 16, 3), (11, 24, 16, 5, 8), (3, 40, 40, 2, 1)]
TILES = SMALL_TILES + LARGE_TILES


def random_tiles(num):
    """Returns shapes that another run of the tests draws again."""
    shapes = np.random.default_rng(0).integers(1, (4, 6, 6, 24, 24), (num, 5)).tolist()
    return [(b, 4 * h, 4 * w, c, f) for b, h, w, c, f in shapes]


def plain(large, kernel):
    pads, axes = ((1, 1), (1, 1)), ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(large, kernel, (2, 2), pads, dimension_numbers=axes)


def draw(shape, dtype):
    """Returns larger maps, a kernel and smaller maps."""
    batch, height, width, large, small = shape
    rng = np.random.default_rng(sum(shape))
    shapes = (
        (batch, height, width, large),
        (4, 4, large, small),
        (batch, height // 2, width // 2, small),
    )
    return [jnp.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def assert_equals_plain(form, shape, dtype, tolerance):
    """Compares with the plain convolution of the same numbers in float32 or more."""
    arrays = draw(shape, dtype)

    @jax.jit
    def found(large, kernel, small):
        return (
            form.convolve(large, kernel),
            form.input_gradient(small, kernel),
            form.kernel_gradient(large, small),
        )

    @jax.jit
    def expected(large, kernel, small):
        convolved, pull = jax.vjp(plain, large, kernel)
        return convolved, *pull(small)

    wide = [array.astype(jnp.promote_types(dtype, jnp.float32)) for array in arrays]
    for ours, theirs in zip(found(*arrays), expected(*wide), strict=True):
        assert ours.dtype == dtype
        assert ours.shape == theirs.shape
        limit = tolerance * float(jnp.max(jnp.abs(theirs)))
        np.testing.assert_allclose(ours.astype(theirs.dtype), theirs, rtol=0, atol=limit)


def name(value):
    return value.__name__.rsplit(".", 1)[-1] if inspect.ismodule(value) else str(value)


CASES = [(patches, shape) for shape in PATCHES] + [(winograd, shape) for shape in TILES]


@pytest.mark.parametrize(("form", "shape"), CASES, ids=name)
def test_all_maps_equal_the_plain_convolution(form, shape):
    assert_equals_plain(form, shape, "float32", 1e-5)


@pytest.mark.parametrize(
    ("form", "shape"), CASES + [(winograd, shape) for shape in random_tiles(8)], ids=name
)
def test_the_algebra_is_exact(form, shape):
    with jax.enable_x64(True):
        assert_equals_plain(form, shape, "float64", 1e-12)


@pytest.mark.parametrize("shape", SMALL_TILES[:2] + LARGE_TILES[:2], ids=str)
def test_bfloat16_is_as_near_as_the_plain_convolution(shape):
    assert_equals_plain(winograd, shape, jnp.bfloat16, 2e-2)


def test_patches_of_low_precision_are_summed_in_float32():
    # A sum of ones in bfloat16 would stop growing at 256.
    maps = jnp.ones((64, 8, 8, 3), jnp.bfloat16)
    gradient = patches.kernel_gradient(maps, maps[:, :4, :4])
    np.testing.assert_array_equal(np.float32(gradient[1, 1]), 64 * 16)
    assert gradient.dtype == jnp.bfloat16
    kernel = jnp.ones((4, 4, 3, 512))
    frames = patches.input_gradient(jnp.ones((1, 2, 2, 512), jnp.bfloat16), kernel)
    np.testing.assert_array_equal(np.float32(frames[0, 1, 1]), 4 * 512)
    assert frames.dtype == jnp.bfloat16


def test_patches_fit_small_maps_for_the_kernel_gradient():
    assert patches.fits_kernel_gradient((100, 8, 8, 256))
    assert not patches.fits_kernel_gradient((100, 16, 16, 128))


@pytest.mark.parametrize("tiles", [winograd._SMALL, winograd._LARGE], ids=["small", "large"])
def test_matrices_are_those_of_a_filter(tiles):
    rng = np.random.default_rng(0)
    places, taps = rng.standard_normal(tiles.size + 1), rng.standard_normal(2)
    found = tiles.outputs @ ((tiles.taps @ taps) * (tiles.places @ places))
    np.testing.assert_allclose(found, np.correlate(places, taps), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float64", 4), ("bfloat16", 2)])
def test_tiles_are_large_where_there_are_many_of_long_numbers(dtype, size):
    def chosen(shape):
        return winograd._choose((shape[0], shape[1] // 2, shape[2] // 2), jnp.dtype(dtype)).size

    assert {chosen(shape) for shape in LARGE_TILES} == {size}
    assert {chosen(shape) for shape in [*SMALL_TILES, (100, 8, 12)]} == {2}


def loss(operation, maps, kernel):
    return jnp.sum(jnp.square(operation(maps, kernel, 2, 1)))


def lowered(operation, maps, kernel, platform):
    """Returns the program of both gradients for `platform`, before XLA works on it."""
    gradient = jax.jit(jax.grad(functools.partial(loss, operation), argnums=(0, 1)))
    return gradient.trace(maps, kernel).lower(lowering_platforms=(platform,))


@pytest.mark.parametrize("operation", [convolve, convolve_transposed])
def test_winograd_leaves_no_map_to_a_convolution_on_cpu(operation):
    large, kernel, small = draw((64, 8, 8, 16, 16), "float32")
    program = lowered(operation, large if operation is convolve else small, kernel, "cpu")
    text = program.compile().as_text()
    assert " convolution(" not in text
    assert "conditional" not in text


def test_layers_of_one_shape_are_traced_once():
    large, kernel, _ = draw((64, 8, 8, 16, 16), "float32")

    def both(maps, kernel, *_):
        return convolve(maps, kernel, 2, 1) + convolve(2 * maps, 3 * kernel, 2, 1)

    text = lowered(both, large, kernel, "cpu").as_text()
    assert text.count(" @convolve(") == text.count(" @kernel_gradient(") == 3  # One, called twice.


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_other_platforms_keep_the_convolution(platform):
    large, kernel, _ = draw((32, 16, 16, 16, 8), "float32")
    text = lowered(convolve, large, kernel, platform).as_text()
    assert text.count("stablehlo.convolution") == 3
    assert "stablehlo.dot_general" not in text


@pytest.mark.parametrize("shape", [(32, 6, 8, 16, 4), (32, 8, 8, 3, 4), (8, 8, 8, 16, 4)], ids=str)
def test_maps_that_do_not_fit_take_the_plain_convolution(shape):
    large, kernel, small = draw(shape, "float32")
    assert not winograd.fits(large.shape)
    convolved, transpose = jax.vjp(lambda large: plain(large, kernel), large)
    np.testing.assert_allclose(convolve(large, kernel, 2, 1), convolved, rtol=1e-5, atol=1e-5)
    found = convolve_transposed(small, kernel, 2, 1)
    np.testing.assert_allclose(found, transpose(small)[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("batch", [32, 64])  # Small tiles and large ones.
def test_vmap_and_sharded_batches_agree(batch):
    large, kernel, _ = draw((batch, 8, 8, 16, 8), "float32")
    gradient = jax.jit(jax.grad(functools.partial(loss, convolve), argnums=1))
    expected = gradient(large, kernel)
    both = jnp.stack([large, 2 * large])
    stacked = jax.jit(jax.vmap(lambda maps: convolve(maps, kernel, 2, 1)))(both)
    np.testing.assert_allclose(stacked[1], plain(both[1], kernel), rtol=1e-4, atol=1e-4)
    mesh = sharding.data_mesh()
    split = jax.device_put(large, sharding.batch_split(mesh))
    copied = jax.device_put(kernel, sharding.replicated(mesh))
    np.testing.assert_allclose(gradient(split, copied), expected, rtol=1e-4, atol=1e-3)
