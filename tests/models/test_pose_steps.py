"""The LSTM one frame at a time against the module, called frame by frame."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.base import sharding
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
    assert np.any(expected_gradients[2]) == predictor.use_content
    chex.assert_trees_all_equal_shapes_and_dtypes(gradients, expected_gradients)
    pairs = zip(*map(jax.tree.leaves, (gradients, expected_gradients)), strict=True)
    for gradient, reference in pairs:
        largest = np.abs(reference).max()
        np.testing.assert_allclose(gradient, reference, atol=tolerance * largest)


def test_kernels_get_their_gradient_from_clips_where_they_are():
    """Devices exchange sums as large as the kernels, but no clips."""
    predictor = PoseLSTM(3, 8, num_layers=2, normalize=True, dtype=jnp.float32)
    mesh = sharding.data_mesh()
    batch = 4 * mesh.size
    clips = jnp.zeros((batch, 6, 3)), jnp.zeros((batch, 5)), jnp.zeros((batch, 6), bool)
    variables = draw_variables(predictor, predictor.initial_carry(4), np.zeros((4, 8)))

    def total(variables, *clips):
        return jnp.sum(scheduled_sampling(predictor, variables, *clips))

    clips = jax.device_put(clips, sharding.batch_split(mesh))
    program = jax.jit(jax.grad(total)).lower(variables, *clips).compile().as_text()
    assert mesh.size > 1 and "all-reduce" in program
    assert "all-gather" not in program
