"""Products of patches against the plain convolution and its automatic gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.ops import patches

SHAPES = [(1, 2, 2, 3, 5), (3, 8, 4, 3, 7), (2, 6, 10, 1, 4), (5, 8, 8, 12, 3)]


def plain(large, kernel):
    pads, axes = ((1, 1), (1, 1)), ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(large, kernel, (2, 2), pads, dimension_numbers=axes)


def draw(shape, dtype):
    batch, height, width, large, small = shape
    rng = np.random.default_rng(sum(shape))
    maps = rng.standard_normal((batch, height, width, large))
    kernel = rng.standard_normal((4, 4, large, small))
    others = rng.standard_normal((batch, height // 2, width // 2, small))
    return [array.astype(dtype) for array in (maps, kernel, others)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_passes_equal_the_plain_form(shape, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        large, kernel, small = draw(shape, dtype)
        convolved, pull = jax.vjp(plain, large, kernel)
        pairs = [
            (jax.jit(patches.convolve)(large, kernel), convolved),
            (jax.jit(patches.input_gradient)(small, kernel), pull(small)[0]),
            (jax.jit(patches.kernel_gradient)(large, small), pull(small)[1]),
        ]
    for found, wanted in pairs:
        assert found.dtype == dtype
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def test_low_precision_is_summed_in_float32():
    # A sum of ones in bfloat16 would stop growing at 256.
    maps = jnp.ones((64, 8, 8, 3), jnp.bfloat16)
    gradient = patches.kernel_gradient(maps, maps[:, :4, :4])
    np.testing.assert_array_equal(np.float32(gradient[1, 1]), 64 * 16)
    assert gradient.dtype == jnp.bfloat16
    kernel = jnp.ones((4, 4, 3, 512))
    frames = patches.input_gradient(jnp.ones((1, 2, 2, 512), jnp.bfloat16), kernel)
    np.testing.assert_array_equal(np.float32(frames[0, 1, 1]), 4 * 512)
    assert frames.dtype == jnp.bfloat16


def test_small_maps_fit_for_the_kernel_gradient():
    assert patches.fits_kernel_gradient((100, 8, 8, 256))
    assert not patches.fits_kernel_gradient((100, 16, 16, 128))
