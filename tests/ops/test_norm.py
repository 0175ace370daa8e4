"""BatchNorm against NumPy, and its hand-written gradient against the automatic one."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from drnet_jax.ops import norm
from drnet_jax.ops.norm import BatchNorm, normalize_rows, unit_length


@pytest.fixture
def maps():
    values = np.random.default_rng(0).standard_normal((4, 3, 3, 5)) * 2 + 7
    return values.astype(np.float32)


@pytest.fixture
def variables(maps):
    rng = np.random.default_rng(1)
    scale, bias, mean, var = rng.uniform(0.5, 1.5, (4, 5)).astype(np.float32)
    return {
        "params": {"scale": scale, "bias": bias},
        "batch_stats": {"mean": mean, "var": var},
    }


def apply(variables, maps, num_passes=1):
    mode = {"train": True, "num_passes": num_passes}
    return BatchNorm().apply(variables, maps, **mode, mutable=["batch_stats"])


def test_training_mode_matches_numpy(maps, variables):
    found, updates = apply(variables, maps)
    rows = maps.reshape(-1, 5).astype(np.float64)
    mean, var = rows.mean(0), rows.var(0)
    params, old = variables["params"], variables["batch_stats"]
    expected = (maps - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    new = updates["batch_stats"]
    np.testing.assert_allclose(new["mean"], 0.9 * old["mean"] + 0.1 * mean, rtol=1e-6)
    unbiased = rows.var(0, ddof=1)
    np.testing.assert_allclose(new["var"], 0.9 * old["var"] + 0.1 * unbiased, rtol=1e-5)


def test_frozen_statistics_match_numpy(maps, variables):
    found = BatchNorm().apply(variables, maps, train=False)
    params, stats = variables["params"], variables["batch_stats"]
    standard = (maps - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    np.testing.assert_allclose(found, standard * params["scale"] + params["bias"], rtol=1e-5)


def test_gradients_match_automatic_ones(maps):
    rng = np.random.default_rng(2)
    rows = maps.reshape(-1, 5).astype(np.float64)
    scale, bias = rng.standard_normal((2, 5))
    weights = rng.standard_normal(rows.shape)

    def plain(rows, scale, bias):
        standard = (rows - rows.mean(0)) / jnp.sqrt(rows.var(0) + 1e-5)
        return jnp.sum((standard * scale + bias) * weights)

    def ours(rows, scale, bias):
        found, _, _ = normalize_rows(rows[None, None], scale, bias, np.zeros((1, 5)), 1e-5)
        return jnp.sum(found[0, 0] * weights)

    with jax.enable_x64(True):
        found, expected = (
            jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(rows, scale, bias) for loss in (ours, plain)
        )
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_mean_far_from_zero_keeps_its_digits():
    rows = np.float32([[1000.0], [1000.1], [1000.2]])
    rows = rows[None, None]
    expected = rows.astype(np.float64).var((0, 2))
    _, _, var = normalize_rows(rows, jnp.ones(1), jnp.zeros(1), jnp.zeros((1, 1)), 1e-5)
    np.testing.assert_allclose(var, expected, rtol=1e-4)
    # What TPUs and GPUs do depends on a guess of the mean, which may be off by some deviations.
    mean, var = norm.moments_by_one_read(rows, jnp.full((1, 1), 1000.5))
    np.testing.assert_allclose(var, expected, rtol=1e-3)
    np.testing.assert_allclose(mean, [[1000.1]], rtol=1e-6)


def test_both_ways_to_moments_match_numpy():
    rng = np.random.default_rng(3)
    rows = rng.normal(3, 2, (4, 3, 5, 6)).astype(np.float32)
    guess = rows.mean((0, 2)) + rng.normal(0, 1, (3, 6)).astype(np.float32)
    for moments in (norm.moments_by_one_read, norm.moments_by_two_reads):
        mean, var = moments(rows, guess)
        np.testing.assert_allclose(mean, rows.astype(np.float64).mean((0, 2)), rtol=1e-5)
        np.testing.assert_allclose(var, rows.astype(np.float64).var((0, 2)), rtol=1e-5)


def test_several_passes_in_one_call_equal_calls_of_their_own(maps, variables):
    passes = [maps, maps[::-1] * 2, maps + 1]
    together = np.stack(passes, axis=1).reshape(-1, *maps.shape[1:])
    weights = np.random.default_rng(4).standard_normal((3, *maps.shape)).astype(np.float32)

    def one_call(params):
        found, updates = apply(variables | {"params": params}, together, num_passes=3)
        found = jnp.moveaxis(found.reshape(4, 3, *maps.shape[1:]), 1, 0)
        return jnp.sum(found * weights), (found, updates["batch_stats"])

    def own_calls(params):
        calls = [apply(variables | {"params": params}, x) for x in passes]
        found = jnp.stack([y for y, _ in calls])
        stats = [updates["batch_stats"] for _, updates in calls]
        return jnp.sum(found * weights), (found, jax.tree.map(lambda *x: jnp.stack(x), *stats))

    found, expected = (
        jax.jit(jax.grad(loss, has_aux=True))(variables["params"]) for loss in (one_call, own_calls)
    )
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


def test_low_precision_maps_have_wide_statistics(maps, variables):
    found, updates = apply(variables, maps.astype(jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    assert updates["batch_stats"]["var"].dtype == jnp.float32


def test_low_precision_keeps_no_wide_maps_for_the_gradient():
    rows = jnp.ones((8, 1, 8, 4), jnp.bfloat16)
    scale, bias, guess = jnp.ones(4), jnp.zeros(4), jnp.zeros((1, 4))
    _, pull = jax.vjp(lambda *inputs: normalize_rows(*inputs, guess, 1e-5)[0], rows, scale, bias)
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(pull) if leaf.ndim == 4)
    grad, grad_scale, _ = pull(rows)
    assert grad.dtype == jnp.bfloat16
    assert grad_scale.dtype == jnp.float32


def test_initial_variables():
    maps = jnp.full((2, 4, 4, 1000), 3.0)
    variables = BatchNorm().init(jax.random.key(0), maps, train=True)
    np.testing.assert_allclose(np.std(variables["params"]["scale"]), 0.02, rtol=0.1)
    np.testing.assert_allclose(np.mean(variables["params"]["scale"]), 1, rtol=0.01)
    np.testing.assert_array_equal(variables["params"]["bias"], 0)
    # Making a network is not a training step.
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)
    np.testing.assert_array_equal(variables["batch_stats"]["var"], 1)


def test_sharded_batch_has_global_statistics(maps, variables):
    def loss(maps):
        found, updates = apply(variables, maps)
        return jnp.sum(found**3), updates

    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    sharded = jax.device_put(maps, NamedSharding(mesh, PartitionSpec("data")))
    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    results = run(sharded), run(maps)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *results)


def test_unit_length():
    found = unit_length(jnp.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    grads = jax.grad(lambda vectors: unit_length(vectors).sum())(jnp.zeros((1, 2)))
    assert np.all(np.isfinite(grads))
