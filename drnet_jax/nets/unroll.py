"""The pose LSTM through time: `lax.scan` over observed poses, or over its own predictions."""

from typing import Any

import jax
import jax.numpy as jnp

from drnet_jax.arrays import Tree
from drnet_jax.nets.pose_lstm import PoseLSTM

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

    def step(carry, pose):
        return predictor.apply(variables, carry, jnp.concatenate([pose, content], axis=-1))

    carry = predictor.initial_carry(poses.shape[0])
    carry, predictions = jax.lax.scan(step, carry, jnp.swapaxes(poses, 0, 1))
    return carry, jnp.swapaxes(predictions, 0, 1)


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
