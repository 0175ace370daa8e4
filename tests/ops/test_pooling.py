"""Pooling against XLA's window reduction: values, and gradients on ties."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.base import sharding
from drnet_jax.ops.pooling import max_pool

# Size, padding, and batch, height, width, channels.
CASES = [(2, 0, (2, 4, 6, 3)), (2, 0, (1, 5, 7, 2)), (3, 1, (2, 9, 6, 3)), (3, 1, (1, 3, 4, 1))]


def random_cases(num):
    """Returns cases that another run of the tests draws again."""
    shapes = np.random.default_rng(0).integers((1, 3, 3, 1), (4, 12, 12, 9), (num, 4)).tolist()
    return [(2 + i % 2, i % 2, tuple(shape)) for i, shape in enumerate(shapes)]


def plain(maps, size, padding):
    pads = ((padding, padding), (padding, padding))
    return nn.max_pool(maps, (size, size), strides=(2, 2), padding=pads)


def draw(shape, dtype):
    # Few values, so that most windows have ties.
    return np.random.default_rng(sum(shape)).integers(-2, 2, shape).astype(dtype)


def loss(pool, size, padding, maps):
    """Returns a number to whose gradient each window contributes another amount."""
    pooled = pool(maps, size, padding)
    return jnp.sum(pooled * (1 + jnp.arange(pooled.size, dtype=pooled.dtype).reshape(pooled.shape)))


@pytest.mark.parametrize(("size", "padding", "shape"), CASES + random_cases(6), ids=str)
def test_values_and_gradients_equal_the_plain_form(size, padding, shape):
    maps = draw(shape, np.float32)
    np.testing.assert_array_equal(max_pool(maps, size, padding), plain(maps, size, padding))
    found, expected = (
        jax.jit(jax.grad(functools.partial(loss, pool, size, padding)))(maps)
        for pool in (max_pool, plain)
    )
    np.testing.assert_array_equal(found, expected)


def test_first_of_equal_pixels_takes_the_gradient():
    gradient = jax.grad(functools.partial(loss, max_pool, 2, 0))(jnp.zeros((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0], [0, 0]])


@pytest.mark.parametrize(("size", "padding"), [(2, 0), (3, 1)])
def test_vmap_and_sharded_batches_agree(size, padding):
    maps = draw((2, 6, 6, 3), np.float32)
    gradient = jax.jit(jax.grad(functools.partial(loss, plain, size, padding)))
    ours = jax.grad(functools.partial(loss, max_pool, size, padding))
    both = np.stack([maps, -maps])
    stacked = jax.jit(jax.vmap(ours))(both)
    np.testing.assert_array_equal(stacked, [gradient(maps), gradient(-maps)])
    split = jax.device_put(maps, sharding.batch_split(sharding.data_mesh()))
    np.testing.assert_array_equal(jax.jit(ours)(split), gradient(maps))


def test_keeps_low_precision():
    maps = jnp.ones((1, 4, 4, 2), jnp.bfloat16)
    assert jax.grad(lambda maps: max_pool(maps, 3, 1).sum())(maps).dtype == jnp.bfloat16


def test_cpu_has_no_scatter_and_others_have_the_window_reduction():
    gradient = jax.jit(jax.grad(functools.partial(loss, max_pool, 3, 1)))
    maps = jnp.zeros((1, 6, 6, 2))
    texts = {
        platform: gradient.trace(maps).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert "select_and_scatter" not in texts["cpu"]
    assert "select_and_scatter" in texts["cuda"]
    assert "select_and_scatter" in texts["tpu"]


def test_impossible_windows_are_refused():
    with pytest.raises(ValueError, match="Impossible size 4 of pooled windows; allowed: 2, 3"):
        max_pool(jnp.zeros((1, 8, 8, 1)), 4, 0)
