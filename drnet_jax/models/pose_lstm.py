"""The predictor: a stacked LSTM from pose and content to the next pose, and its teacher forcing."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from drnet_jax.base.arrays import Tree
from drnet_jax.models.blocks import at_least_float32
from drnet_jax.ops.conv import Dtype
from drnet_jax.ops.norm import unit_length

# For every layer the hidden and the cell state, `[batch, hidden_dim]`.
Carry = tuple[tuple[jax.Array, jax.Array], ...]


_MAX_POSE = 0.9999
"""Poses end at 1, where the inverse of tanh is infinite."""


def unroll() -> int:
    """Returns how many time steps one iteration of a loop runs.

    On a GPU an iteration costs more than a step; on a CPU, unrolled steps take 1.7 times as long.
    """
    return 1 if jax.default_backend() == "cpu" else 16


def _uniform(fan_in: int) -> nn.initializers.Initializer:
    """Returns the initializer U(-a, a) with a = fan_in^-1/2, PyTorch's for these layers."""

    def init(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype, -1, 1) * fan_in**-0.5

    return init


def gated(gates: jax.Array, cell: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the new hidden and cell state, both in the dtype of `cell`."""
    # The state stays wide, because every step of a long rollout adds to it.
    enter, forget, candidate, leave = jnp.split(gates.astype(cell.dtype), 4, axis=-1)
    cell = nn.sigmoid(forget) * cell + nn.sigmoid(enter) * nn.tanh(candidate)
    return nn.sigmoid(leave) * nn.tanh(cell), cell


class Layer(nn.Module):
    """One layer through time; gates are stacked in the order input, forget, candidate, output.

    Its two biases are only ever added, but Adam moves each of them by a full step: a single one
    would learn at half the speed of the PyTorch release.
    """

    hidden_dim: int
    dtype: Dtype

    @nn.compact
    def __call__(
        self, state: tuple[jax.Array, jax.Array], inputs: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        """Returns the new state and the hidden states `[batch, time, hidden_dim]`."""
        init, gates_dim = _uniform(self.hidden_dim), 4 * self.hidden_dim
        weights = (
            self.param("kernel_input", init, (inputs.shape[-1], gates_dim), jnp.float32),
            self.param("kernel_hidden", init, (self.hidden_dim, gates_dim), jnp.float32),
            self.param("bias_input", init, (gates_dim,), jnp.float32),
            self.param("bias_hidden", init, (gates_dim,), jnp.float32),
        )
        inputs, *weights = promote_dtype(inputs, *weights, dtype=self.dtype)
        kernel_input, kernel_hidden, bias_input, bias_hidden = weights
        # All steps at once: only the part of the hidden state has to wait for the step before.
        gates = inputs @ kernel_input + bias_input

        def advance(state, gates):
            hidden, cell = state
            gates = gates + hidden.astype(gates.dtype) @ kernel_hidden + bias_hidden
            state = gated(gates, cell)
            return state, state[0]

        # The loop runs over the first axis: [time, batch, gates] in, [time, batch, hidden_dim] out.
        state, hidden = jax.lax.scan(advance, state, gates.swapaxes(0, 1), unroll=unroll())
        return state, hidden.swapaxes(0, 1)


class PoseLSTM(nn.Module):
    """Maps a pose and the content of its clip to the next pose.

    Attributes:
      pose_dim: length of the pose vector.
      hidden_dim: units of a layer.
      num_layers: layers.
      use_content: False ignores the content.
      residual: whether the output is added to the pose, before the tanh that bounds it. The LSTM
        then has to learn the motion only, and a pose that it feeds back does not drift.
      normalize: whether poses have unit length.
      dtype: what it computes in; state and poses stay float32.

    Source: PyTorch release, models/lstm.py: linear embedding, cells, linear, tanh. There
    `use_content` is True and `residual` False.
    """

    pose_dim: int
    hidden_dim: int
    num_layers: int
    normalize: bool
    dtype: Dtype
    use_content: bool = True
    residual: bool = False

    def initial_carry(self, batch_size: int) -> Carry:
        """Returns the state before the first frame, all zeros; it needs no variables."""
        wide = jnp.promote_types(self.dtype or jnp.float32, jnp.float32)
        zeros = jnp.zeros((batch_size, self.hidden_dim), wide)
        return ((zeros, zeros),) * self.num_layers

    @nn.compact
    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        """Advances by one frame, or by several.

        Args:
          carry: the state after the frame before.
          inputs: `[batch, (time,) pose_dim + content_dim]`, the pose first.

        Returns:
          The new state, and for each input the pose one frame later, float32
          `[batch, (time,) pose_dim]` in (-1, 1).
        """
        last_pose = at_least_float32(inputs[..., : self.pose_dim])
        x = inputs if self.use_content else last_pose
        x = self._dense(self.hidden_dim, x.shape[-1], "embed")(x)
        # [batch, time, hidden_dim], with a time of 1 for a single frame.
        x = x.reshape(x.shape[0], -1, self.hidden_dim)
        states = []
        for layer, state in enumerate(carry):
            state, x = Layer(self.hidden_dim, self.dtype, name=f"cell{layer}")(state, x)
            states.append(state)
        x = x.reshape(*inputs.shape[:-1], self.hidden_dim)
        x = self._dense(self.pose_dim, self.hidden_dim, "output")(x)
        return tuple(states), self.bounded(x, last_pose)

    def bounded(self, outputs: jax.Array, last_pose: jax.Array) -> jax.Array:
        """Returns the next poses, float32 in (-1, 1), from outputs of the last layer."""
        outputs = at_least_float32(outputs)
        if self.residual:
            outputs += jnp.arctanh(jnp.clip(last_pose, -_MAX_POSE, _MAX_POSE))
        pose = nn.tanh(outputs)
        return unit_length(pose) if self.normalize else pose

    def _dense(self, features: int, fan_in: int, name: str) -> nn.Dense:
        init = _uniform(fan_in)
        return nn.Dense(features, dtype=self.dtype, kernel_init=init, bias_init=init, name=name)


def teacher_forced(
    predictor: PoseLSTM, variables: Tree, poses: jax.Array, content: jax.Array
) -> tuple[Carry, jax.Array]:
    """Predicts every pose from the true ones before it.

    Args:
      predictor: the LSTM.
      variables: its parameters.
      poses: true poses, `[batch, time, pose_dim]`.
      content: `[batch, content_dim]`, the same at every step.

    Returns:
      The state after the last pose, and predictions `[batch, time, pose_dim]`, each of the pose one
      frame after that in `poses`.
    """
    contents = jnp.broadcast_to(content[:, None], (*poses.shape[:2], content.shape[-1]))
    inputs = jnp.concatenate([poses, contents], axis=-1)
    return predictor.apply(variables, predictor.initial_carry(len(poses)), inputs)
