"""The predictor: a stacked LSTM from pose and content to the next pose."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from drnet_jax.ops.conv import Dtype
from drnet_jax.ops.norm import unit_length

# Hidden and cell state `[batch, hidden_dim]` of every layer.
Carry = tuple[tuple[jax.Array, jax.Array], ...]

_UNROLL = 16
"""Time steps in one iteration of the loop, which costs a GPU more than such a step."""


def _uniform(fan_in: int) -> nn.initializers.Initializer:
    """Returns U(-a, a) with a = fan_in^-1/2, which is where PyTorch starts these layers."""

    def init(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype, -1, 1) * fan_in**-0.5

    return init


class Layer(nn.Module):
    """One layer through time; gates are stacked in the order input, forget, candidate, output.

    There are two biases, which are only ever added: Adam moves each by a full step, so one alone
    would follow another path than the PyTorch release does.
    """

    hidden_dim: int
    dtype: Dtype = None

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
        # Of all steps at once: only what the hidden state adds has to wait for the step before.
        gates = inputs @ kernel_input + bias_input

        def advance(state, gates):
            hidden, cell = state
            gates = gates + hidden.astype(gates.dtype) @ kernel_hidden + bias_hidden
            # The state stays wide: it is added to at every step of a long roll-out.
            enter, forget, candidate, leave = jnp.split(gates.astype(cell.dtype), 4, axis=-1)
            cell = nn.sigmoid(forget) * cell + nn.sigmoid(enter) * nn.tanh(candidate)
            hidden = nn.sigmoid(leave) * nn.tanh(cell)
            return (hidden, cell), hidden

        state, hidden = jax.lax.scan(advance, state, gates.swapaxes(0, 1), unroll=_UNROLL)
        return state, hidden.swapaxes(0, 1)


class PoseLSTM(nn.Module):
    """Predicts the next pose.

    Source: PyTorch release, models/lstm.py: linear embedding, cells, linear, tanh.
    """

    pose_dim: int
    hidden_dim: int = 256
    num_layers: int = 2
    normalize: bool = False
    dtype: Dtype = None

    def initial_carry(self, batch_size: int) -> Carry:
        """Returns the zero state; it needs no variables."""
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
          The new state, and the pose after that of each input, float32 `[batch, (time,) pose_dim]`
          in (-1, 1).
        """
        x = self._dense(self.hidden_dim, inputs.shape[-1], "embed")(inputs)
        x = x.reshape(len(x), -1, self.hidden_dim)  # [batch, time, hidden_dim]
        states = []
        for layer, state in enumerate(carry):
            state, x = Layer(self.hidden_dim, self.dtype, name=f"cell{layer}")(state, x)
            states.append(state)
        x = x.reshape(*inputs.shape[:-1], self.hidden_dim)
        x = self._dense(self.pose_dim, self.hidden_dim, "output")(x)
        pose = nn.tanh(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
        return tuple(states), unit_length(pose) if self.normalize else pose

    def _dense(self, features: int, fan_in: int, name: str) -> nn.Dense:
        init = _uniform(fan_in)
        return nn.Dense(features, dtype=self.dtype, kernel_init=init, bias_init=init, name=name)
