"""Rollouts against a plain loop over single frames."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from drnet_jax.base.arrays import as_uint8
from drnet_jax.models.rollout import compiled_rollout, rollout_in_chunks
from tests.helpers.networks import tiny_networks, tiny_predictor, tiny_predictor_state, tiny_state

NETWORKS, PREDICTOR = tiny_networks(), tiny_predictor()


@pytest.fixture(scope="module")
def model():
    autoencoder = tiny_state(optax.identity()).autoencoder
    # Weights that are not tiny, so that a wrong pose shows in the picture.
    autoencoder = autoencoder.replace(params=jax.tree.map(lambda x: 10 * x, autoencoder.params))
    variables = tiny_predictor_state(optax.identity()).variables
    observed = np.random.default_rng(0).random((3, 4, 8, 8, 3), np.float32)
    return autoencoder, variables, observed


def roll(model, num_steps, frames_at_once):
    rollout = compiled_rollout(NETWORKS, PREDICTOR, num_steps, frames_at_once)
    return np.asarray(rollout(*model)).astype(int)


def test_rollout_equals_a_plain_loop(model):
    autoencoder, variables, observed = model

    @functools.partial(jax.jit, static_argnums=0)
    def apply(name, *inputs):
        return getattr(NETWORKS, name).apply(autoencoder.variables(name), *inputs, train=False)

    content = apply("content_encoder", observed[:, -1])
    carry, expected, predict = PREDICTOR.initial_carry(3), [], jax.jit(PREDICTOR.apply)
    for t in range(4 + 9 - 1):
        if t < 4:
            pose = apply("pose_encoder", observed[:, t])
        inputs = jnp.concatenate([pose, content.vector], axis=1)
        carry, pose = predict(variables, carry, inputs)
        if t >= 3:
            expected.append(as_uint8(apply("decoder", content, pose)))
    expected = np.stack(expected, axis=1).astype(int)
    assert expected.std() > 5
    np.testing.assert_allclose(roll(model, 9, 12), expected, atol=1)


def test_chunks_do_not_show(model):
    whole = roll(model, 10, 30)
    assert whole.shape == (3, 10, 8, 8, 3)
    # Three clips: chunks of 1, 1, 3 and 7 steps, and of more than there are.
    for frames_at_once in (1, 4, 9, 21, 100):
        np.testing.assert_allclose(roll(model, 10, frames_at_once), whole, atol=1)


def test_a_rollout_does_not_depend_on_its_batch(model):
    autoencoder, variables, observed = model
    alone = roll((autoencoder, variables, observed[1:2]), 30, 30)
    np.testing.assert_allclose(alone[0], roll(model, 30, 30)[1], atol=1)


def test_working_memory_does_not_grow_with_length(model):
    def working_bytes(num_steps):
        rollout = compiled_rollout(NETWORKS, PREDICTOR, num_steps, 30)
        compiled = rollout.lower(*model).compile().memory_analysis()
        # What belongs to every step: its uint8 frame before the axes are put in order, its pose.
        kept = num_steps * 3 * (8 * 8 * 3 + 3 * 4)
        return compiled.temp_size_in_bytes - kept

    short, long = working_bytes(100), working_bytes(2000)
    float_frames = 2000 * 3 * 8 * 8 * 3 * 4
    assert short > 0
    assert 0 < long < short + 0.1 * float_frames


@pytest.mark.parametrize(("frames_at_once", "sizes"), [(1, [1] * 10), (12, [4, 4, 2]), (99, [10])])
def test_chunks_one_by_one_are_the_same_frames(model, frames_at_once, sizes):
    chunks = rollout_in_chunks(NETWORKS, PREDICTOR, *model, 10, frames_at_once)
    chunks = [np.asarray(chunk).astype(int) for chunk in chunks]
    assert [chunk.shape[1] for chunk in chunks] == sizes
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), roll(model, 10, 30), atol=1)
