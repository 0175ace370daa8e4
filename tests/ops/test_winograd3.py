"""The 3x3 form with fewer multiplications against the plain convolution, in all three passes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from drnet_jax.base import sharding
from drnet_jax.ops import winograd3
from drnet_jax.ops.conv import convolve

# Batch, height, width, channels of the maps that come in, of those that go out.
SHAPES = [(2, 2, 4, 3, 5), (1, 6, 2, 16, 1)]
LARGE = (2, 16, 8, 128, 128)  # The smallest that every pass takes this form for.


def random_shapes(num):
    """Returns shapes that another run of the tests draws again."""
    shapes = np.random.default_rng(0).integers(1, (4, 6, 6, 24, 24), (num, 5)).tolist()
    return [(b, 2 * h, 2 * w, c, f) for b, h, w, c, f in shapes]


def plain(maps, kernel):
    pads = ((1, 1), (1, 1))
    return lax.conv_general_dilated(
        maps, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def draw(shape, dtype):
    batch, height, width, large, small = shape
    rng = np.random.default_rng(sum(shape))
    sides = (batch, height, width)
    sizes = ((*sides, large), (3, 3, large, small), (*sides, small))
    return tuple(jnp.asarray(rng.standard_normal(size), dtype) for size in sizes)


def passes(large, kernel, small):
    return (
        winograd3.convolve(large, kernel),
        winograd3.input_gradient(small, kernel),
        winograd3.kernel_gradient(large, small),
    )


def plain_passes(large, kernel, small):
    out, pull = jax.vjp(plain, large, kernel)
    return (out, *pull(small))


def assert_near(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        limit = tolerance * float(jnp.max(jnp.abs(other)))
        np.testing.assert_allclose(one.astype(other.dtype), other, rtol=0, atol=limit)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("shape", SHAPES + random_shapes(5), ids=str)
def test_all_passes_equal_the_plain_convolution(shape, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        arrays = draw(shape, dtype)
        found = jax.jit(passes)(*arrays)
        assert all(array.dtype == dtype for array in found)
        assert_near(found, plain_passes(*arrays), tolerance)


def test_bfloat16_is_near():
    arrays = draw((2, 4, 4, 16, 16), jnp.bfloat16)
    found = jax.jit(passes)(*arrays)
    assert all(array.dtype == jnp.bfloat16 for array in found)
    assert_near(found, plain_passes(*(x.astype(jnp.float32) for x in arrays)), 2e-2)


def gradients(operation, maps, kernel):
    loss = functools.partial(lambda *inputs: jnp.sum(jnp.square(operation(*inputs))))
    return jax.grad(loss, argnums=(0, 1))(maps, kernel)


OURS = functools.partial(gradients, lambda maps, kernel: convolve(maps, kernel, 1, 1))


def test_large_ones_agree_without_a_convolution_on_cpu_alone_and_sharded():
    maps, kernel, _ = draw(LARGE, "float32")
    expected = gradients(plain, maps, kernel)
    ours = jax.jit(OURS)
    assert " convolution(" not in ours.lower(maps, kernel).compile().as_text()
    assert_near(ours(maps, kernel), expected, 1e-5)
    mesh = sharding.data_mesh()
    split = jax.device_put(maps, sharding.batch_split(mesh))
    copied = jax.device_put(kernel, sharding.replicated(mesh))
    assert_near(ours(split, copied), expected, 1e-5)


def test_vmap_agrees():
    maps, kernel, _ = draw((2, 16, 16, 64, 128), "float32")
    both = jnp.stack([maps, 2 * maps])
    found = jax.jit(jax.vmap(lambda maps: convolve(maps, kernel, 1, 1)))(both)
    assert_near(found, [plain(item, kernel) for item in both], 1e-5)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_other_platforms_keep_the_convolution(platform):
    maps, kernel, _ = draw(LARGE, "float32")
    text = jax.jit(OURS).trace(maps, kernel).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == 3
    assert "stablehlo.dot_general" not in text


def test_small_or_odd_maps_do_not_fit():
    assert winograd3.fits((8, 8, 8, 64), 128)
    assert not winograd3.fits((8, 8, 8, 64), 64)
    assert not winograd3.fits((8, 4, 4, 512), 512)
    assert not winograd3.fits((8, 15, 16, 512), 512)
    assert not winograd3.fits_kernel_gradient((8, 8, 8, 64), 512)
