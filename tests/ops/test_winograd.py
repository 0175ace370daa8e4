"""The form with fewer multiplications against the plain convolution, in all three passes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from drnet_jax.base import sharding
from drnet_jax.ops import winograd
from drnet_jax.ops.conv import convolve, convolve_transposed

# Batch, height, width, channels of the larger maps, channels of the smaller ones.
SHAPES = [(2, 4, 4, 16, 3), (1, 8, 12, 17, 5), (3, 16, 8, 32, 1), (2, 20, 4, 16, 24)]
LARGE_TILES = [(64, 8, 8, 16, 3), (11, 24, 16, 5, 8), (3, 40, 40, 2, 1)]


def random_shapes(num):
    """Returns shapes that another run of the tests draws again."""
    rng = np.random.default_rng(0)
    highs = (4, 6, 6, 24, 24)
    return [(b, 4 * h, 4 * w, c, f) for b, h, w, c, f in rng.integers(1, highs, (num, 5)).tolist()]


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
    assert {chosen(shape) for shape in [*SHAPES, (100, 8, 12)]} == {2}


def plain(large, kernel):
    pads = ((1, 1), (1, 1))
    return lax.conv_general_dilated(
        large, kernel, (2, 2), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def draw(shape, dtype):
    batch, height, width, large, small = shape
    rng = np.random.default_rng(sum(shape))
    return tuple(
        rng.standard_normal(size).astype(dtype)
        for size in (
            (batch, height, width, large),
            (4, 4, large, small),
            (batch, height // 2, width // 2, small),
        )
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("shape", SHAPES + LARGE_TILES + random_shapes(8), ids=str)
def test_all_passes_equal_the_plain_convolution(shape, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        large, kernel, small = map(jnp.asarray, draw(shape, dtype))
        _, pull = jax.vjp(plain, large, kernel)
        grad_large, grad_kernel = pull(small)
        pairs = [
            (winograd.convolve(large, kernel), plain(large, kernel)),
            (winograd.input_gradient(small, kernel), grad_large),
            (winograd.kernel_gradient(large, small), grad_kernel),
        ]
        for found, expected in pairs:
            assert found.dtype == dtype
            limit = tolerance * float(jnp.max(jnp.abs(expected)))
            np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("shape", SHAPES[:2] + LARGE_TILES[:2], ids=str)
def test_bfloat16_is_as_near_as_the_plain_convolution(shape):
    exact = [jnp.asarray(x, jnp.bfloat16).astype(jnp.float32) for x in draw(shape, "float32")]
    large, kernel, small = (x.astype(jnp.bfloat16) for x in exact)
    _, pull = jax.vjp(plain, *exact[:2])
    grad_large, grad_kernel = pull(exact[2])
    pairs = [
        (winograd.convolve(large, kernel), plain(*exact[:2])),
        (winograd.input_gradient(small, kernel), grad_large),
        (winograd.kernel_gradient(large, small), grad_kernel),
    ]
    for found, expected in pairs:
        assert found.dtype == jnp.bfloat16
        limit = 2e-2 * float(jnp.max(jnp.abs(expected)))
        np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=0, atol=limit)


def compiled(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().as_text()


def loss(operation, maps, kernel):
    return jnp.sum(jnp.square(operation(maps, kernel, 2, 1)))


@pytest.mark.parametrize("operation", [convolve, convolve_transposed])
def test_on_cpu_no_pass_is_left_to_a_convolution(operation):
    large, kernel, small = draw((64, 8, 8, 16, 16), "float32")
    maps = large if operation is convolve else small
    text = compiled(jax.grad(functools.partial(loss, operation), argnums=(0, 1)), maps, kernel)
    assert " convolution(" not in text
    assert "conditional" not in text


def test_maps_that_do_not_fit_take_the_plain_convolution():
    for shape in ((32, 6, 8, 16, 4), (32, 8, 8, 3, 4), (8, 8, 8, 16, 4)):
        large, kernel, small = draw(shape, "float32")
        assert not winograd.fits(large.shape)
        np.testing.assert_allclose(
            convolve(large, kernel, 2, 1), plain(large, kernel), rtol=1e-5, atol=1e-5
        )
        _, pull = jax.vjp(plain, large, kernel)
        np.testing.assert_allclose(
            convolve_transposed(small, kernel, 2, 1), pull(small)[0], rtol=1e-5, atol=1e-4
        )


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


def test_other_platforms_keep_the_convolution():
    large, kernel, _ = draw((32, 16, 16, 16, 8), "float32")
    gradient = jax.jit(jax.grad(functools.partial(loss, convolve), argnums=(0, 1)))
    for platform in ("tpu", "cuda"):
        module = jax.export.export(gradient, platforms=[platform])(large, kernel).mlir_module()
        assert module.count("stablehlo.convolution") >= 2
        assert "stablehlo.dot_general" not in module
