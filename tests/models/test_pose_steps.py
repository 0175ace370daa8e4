"""The LSTM one frame at a time against the module, called frame by frame."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.pose_steps import scheduled_sampling
from tests.helpers.networks import draw_variables


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.05)], ids=str
)
@pytest.mark.parametrize("options", [{}, dict(residual=True, use_content=False)], ids=str)
def test_predictions_and_all_gradients_equal_the_module(options, dtype, tolerance):
    predictor = PoseLSTM(3, 8, num_layers=2, normalize=True, dtype=dtype, **options)
    rng = np.random.default_rng(0)
    poses = rng.uniform(-0.9, 0.9, (4, 6, 3)).astype(np.float32)
    content = rng.standard_normal((4, 5)).astype(np.float32)
    variables = draw_variables(predictor, predictor.initial_carry(4), np.zeros((4, 8)))
    given = rng.random((4, 6)) < 0.5
    given[:, 0] = True
    # Another weight for each number, so that no gradients cancel.
    weights = rng.standard_normal(poses.shape)

    def one_by_one(variables, poses, content):
        carry, pose, predicted = predictor.initial_carry(4), poses[:, 0], []
        for t in range(6):
            pose = jnp.where(given[:, t, None], poses[:, t], pose)
            inputs = jnp.concatenate([pose, content], axis=1)
            carry, pose = predictor.apply(variables, carry, inputs)
            predicted.append(pose)
        return jnp.stack(predicted, axis=1)

    def sampled(variables, poses, content):
        return scheduled_sampling(predictor, variables, poses, content, given)

    def values_and_gradients(predict):
        def total(*arguments):
            predicted = predict(*arguments)
            return jnp.sum(weights * predicted), predicted

        return jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(variables, poses, content)

    gradients, predicted = values_and_gradients(sampled)
    expected_gradients, expected = values_and_gradients(one_by_one)
    np.testing.assert_allclose(predicted, expected, rtol=tolerance, atol=tolerance)
    for gradient in jax.tree.leaves(expected_gradients)[:-1]:  # All but that of the content.
        assert np.abs(gradient).max() > 0.01
    assert np.any(expected_gradients[2]) == predictor.use_content
    largest = max(np.abs(g).max() for g in jax.tree.leaves(expected_gradients))
    chex.assert_trees_all_close(gradients, expected_gradients, atol=tolerance * float(largest))
