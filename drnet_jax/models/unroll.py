"""The pose LSTM through time: over observed poses, or in a loop over its own predictions."""

from typing import Any

import jax
import jax.numpy as jnp

from drnet_jax.base.arrays import Tree
from drnet_jax.models.pose_lstm import PoseLSTM

Carry = Any


def teacher_forced(
    predictor: PoseLSTM, variables: Tree, poses: jax.Array, content: jax.Array
) -> tuple[Carry, jax.Array]:
    """Returns (carry, predictions) where prediction t is made from the true poses up to t.

    Args:
      predictor: the LSTM.
      variables: its parameters.
      poses: `[batch, time, pose_dim]`, true poses.
      content: `[batch, content_dim]`, the same at every step.

    Returns:
      The LSTM's memory after the last step, and `[batch, time, pose_dim]` predictions of the poses
      one step later.
    """
    contents = jnp.broadcast_to(content[:, None], (*poses.shape[:2], content.shape[-1]))
    inputs = jnp.concatenate([poses, contents], axis=-1)
    return predictor.apply(variables, predictor.initial_carry(len(poses)), inputs)


def closed_loop(
    predictor: PoseLSTM,
    variables: Tree,
    carry: Carry,
    pose: jax.Array,
    content: jax.Array,
    num_steps: int,
) -> jax.Array:
    """Returns `pose`, then what the LSTM makes of its own output: `[batch, num_steps, pose_dim]`.

    Args:
      predictor: the LSTM.
      variables: its parameters.
      carry: its memory after the observed frames, as `teacher_forced` returns it.
      pose: `[batch, pose_dim]`, the first predicted pose.
      content: `[batch, content_dim]`, the same at every step.
      num_steps: how many poses to return.
    """

    def step(state, _):
        carry, pose = state
        inputs = jnp.concatenate([pose, content], axis=-1)
        return predictor.apply(variables, carry, inputs), pose

    _, poses = jax.lax.scan(step, (carry, pose), length=num_steps)
    return jnp.swapaxes(poses, 0, 1)
