"""The convolution and its transpose against sums written out in NumPy."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from drnet_jax.ops import conv
from drnet_jax.ops.conv import Conv, ConvTranspose, convolve, convolve_transposed

# Kernel size, strides, padding, side of the larger maps, side of the smaller ones.
CASES = [(4, 2, 1, 8, 4), (4, 1, 0, 4, 1), (3, 1, 1, 5, 5), (5, 2, 3, 9, 6), (1, 2, 0, 5, 3)]


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def correlate(maps, kernel, strides, padding):
    maps = np.pad(maps, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    size = kernel.shape[0]
    side = (maps.shape[1] - size) // strides + 1
    out = np.zeros((len(maps), side, side, kernel.shape[3]))
    for row in range(side):
        for column in range(side):
            top, left = row * strides, column * strides
            patch = maps[:, top : top + size, left : left + size]
            out[:, row, column] = np.einsum("bijc,ijcf->bf", patch, kernel)
    return out


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


def test_convolve_matches_numpy(case):
    size, strides, padding, large, small = case
    maps, kernel = draw(0, 2, large, large, 3), draw(1, size, size, 3, 4)
    found = convolve(maps, kernel, strides, padding)
    assert found.shape == (2, small, small, 4)
    np.testing.assert_allclose(found, correlate(maps, kernel, strides, padding), atol=1e-4)


def test_transposed_is_the_transpose(case):
    # <conv(x), y> = <x, transposed(y)> for all x and y is what "transpose" means.
    size, strides, padding, large, small = case
    maps, kernel = draw(0, 2, large, large, 3), draw(1, size, size, 3, 4)
    others = draw(2, 2, small, small, 4)
    found = np.asarray(convolve_transposed(others, kernel, strides, padding))
    covered = (small - 1) * strides + size - 2 * padding  # Pixels that some stride reaches.
    assert found.shape == (2, covered, covered, 3)
    maps[:, covered:] = 0
    maps[:, :, covered:] = 0
    inner = np.sum(correlate(maps, kernel, strides, padding) * others)
    np.testing.assert_allclose(np.sum(maps[:, :covered, :covered] * found), inner, rtol=1e-4)


def test_gradients_of_transposed(case):
    size, strides, padding, _, small = case
    kernel, maps = draw(1, size, size, 3, 4), draw(2, 2, small, small, 4)

    @jax.jit
    def function(maps, kernel):
        return convolve_transposed(maps, kernel, strides, padding)

    check_grads(function, (maps, kernel), order=1, modes=["rev"], atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("channels", [3, 8])
def test_forms_for_gpus_equal_those_for_others(case, channels, monkeypatch):
    size, strides, padding, large, small = case
    maps, kernel = draw(0, 2, large, large, channels), draw(1, size, size, channels, 4)
    weights = draw(2, 2, small, small, 4)

    def run():
        def both_ways(maps, kernel, others):
            convolved = convolve(maps, kernel, strides, padding)
            transposed = convolve_transposed(others, kernel, strides, padding)
            return jnp.sum(convolved * weights) + jnp.sum(transposed**2), (convolved, transposed)

        gradients = jax.jit(jax.grad(both_ways, argnums=(0, 1, 2), has_aux=True))
        return gradients(maps, kernel, weights)

    expected = run()
    # As if this CPU were a GPU.
    choose = conv._choose
    monkeypatch.setattr(conv, "_choose", lambda name, _, layer: choose(name, "cuda", layer))
    chex.assert_trees_all_close(run(), expected, rtol=1e-4, atol=1e-4)


def convolutions(function, arguments, platform):
    """Returns the lines of convolutions in the program of `function` for `platform`."""
    text = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
    return [line for line in text.splitlines() if "stablehlo.convolution" in line]


def test_transposed_is_fast_form_on_cpu_and_convolution_elsewhere():
    arguments = jnp.zeros((2, 4, 4, 8)), jnp.zeros((4, 4, 3, 8))
    find = functools.partial(
        convolutions, lambda *pair: convolve_transposed(*pair, 2, 1), arguments
    )
    assert not find("cpu")
    assert find("cuda")
    assert find("tpu")


@pytest.mark.parametrize(
    ("size", "strides", "on_gpu"), [(4, 2, []), (3, 1, ["tensor<2x8x8x8xbf16>"])]
)
def test_frames_are_patches_or_padded_for_gpus_alone(size, strides, on_gpu):
    arguments = jnp.zeros((2, 8, 8, 3), jnp.bfloat16), jnp.zeros((size, size, 3, 5), jnp.bfloat16)
    for platform, expected in (("cuda", on_gpu), ("tpu", ["tensor<2x8x8x3xbf16>"])):
        lines = convolutions(lambda *pair: convolve(*pair, strides, 1), arguments, platform)
        assert len(lines) == len(expected)
        assert all(shape in line for shape, line in zip(expected, lines, strict=True))


def test_kernel_gradient_is_an_ordinary_convolution():
    # The form that XLA runs as a naive loop on CPU has a dilated *and* reversed operand.
    def loss(kernel, maps):
        return jnp.sum(convolve_transposed(maps, kernel, 2, 1) ** 2)

    arguments = jnp.ones((4, 4, 3, 8)), jnp.ones((2, 4, 4, 8))
    lines = convolutions(jax.grad(loss), arguments, "cpu")
    assert lines
    assert not any("reverse = [true" in line for line in lines)


def test_vmap_of_transposed():
    maps, kernel = draw(0, 3, 2, 4, 4, 5), draw(1, 4, 4, 3, 5)
    found = jax.vmap(lambda maps: convolve_transposed(maps, kernel, 2, 1))(maps)
    expected = [convolve_transposed(item, kernel, 2, 1) for item in maps]
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-5)


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_layers_start_from_small_normal_kernels_and_compute_in_dtype(layer):
    module = layer(64, 4, strides=2, padding=1, dtype=jnp.bfloat16)
    found, variables = module.init_with_output(jax.random.key(0), jnp.zeros((1, 4, 4, 64)))
    assert found.dtype == jnp.bfloat16
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
    np.testing.assert_allclose(np.std(kernel), 0.02, rtol=0.02)
    assert kernel.dtype == jnp.float32
    np.testing.assert_array_equal(bias, np.zeros(64))
