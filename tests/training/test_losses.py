import chex
import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.training import losses

LOGITS = np.float32([-40.0, -3.0, 0.0, 2.0, 40.0])


class LossesTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_pose_confusion(self):
        expected = np.mean(np.logaddexp(0, LOGITS) - 0.5 * LOGITS)
        np.testing.assert_allclose(self.variant(losses.pose_confusion)(LOGITS), expected, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_same_clip(self):
        is_same = np.float32([0, 1, 1, 0, 1])
        expected = np.mean(np.logaddexp(0, LOGITS) - is_same * LOGITS)
        actual = self.variant(losses.same_clip)(LOGITS, is_same)
        np.testing.assert_allclose(actual, expected, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_reconstruction(self):
        rng = np.random.default_rng(0)
        a, b = rng.random((2, 3, 4, 4, 2), np.float32)
        actual = self.variant(losses.reconstruction)(a, b)
        np.testing.assert_allclose(actual, np.mean((a - b) ** 2), rtol=1e-6)


def test_similarity_pulls_one_side_only():
    a, b = np.float32([[1.0, 2.0]]), np.float32([[0.0, 4.0]])
    value, (grad_a, grad_b) = jax.value_and_grad(losses.similarity, argnums=(0, 1))(a, b)
    np.testing.assert_allclose(value, 2.5)
    np.testing.assert_allclose(grad_a, [[1.0, -2.0]])
    np.testing.assert_array_equal(grad_b, 0)


def test_pose_confusion_is_least_where_the_discriminator_cannot_tell():
    undecided = np.zeros(3, np.float32)
    np.testing.assert_allclose(losses.pose_confusion(undecided), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(losses.pose_confusion)(undecided), 0, atol=1e-7)


def test_pose_prediction_is_a_mean_over_the_poses_that_count():
    rng = np.random.default_rng(0)
    predicted, target = rng.random((2, 3, 4, 5), np.float32)  # [clips, time, pose]
    squares = (predicted - target) ** 2
    np.testing.assert_allclose(
        losses.pose_prediction(predicted, target), squares.mean((0, 2)), rtol=1e-6
    )
    is_real = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]], bool)
    expected = [squares[:, 0].mean(), squares[:2, 1].mean(), squares[1, 2].mean(), 0.0]
    actual = losses.pose_prediction(predicted, target, is_real)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    sizes = np.abs(predicted - target)
    expected = [sizes[:, 0].mean(), sizes[:2, 1].mean(), sizes[1, 2].mean(), 0.0]
    actual = losses.pose_prediction(predicted, target, is_real, kind="absolute")
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_similarity_is_zero_without_content():
    value, grad = jax.value_and_grad(losses.similarity)(jnp.zeros((3, 0)), jnp.zeros((3, 0)))
    assert value == 0 and grad.shape == (3, 0)
