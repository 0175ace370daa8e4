"""What training carries from step to step: arrays only, so a checkpoint is just the state."""

import flax.struct
import jax
import jax.numpy as jnp
import optax

from drnet_jax.base.arrays import Tree


@flax.struct.dataclass
class NetworkState:
    """The networks of one optimizer: weights, running statistics, the optimizer's memory.

    Attributes:
      params: weights by network, then as Flax keeps them.
      batch_stats: running statistics of BatchNorm, likewise; empty for networks without it.
      opt_state: the optimizer's memory for all of `params` together.
    """

    params: Tree
    batch_stats: Tree
    opt_state: optax.OptState

    @classmethod
    def create(cls, variables: dict[str, Tree], tx: optax.GradientTransformation) -> "NetworkState":
        """Returns the state before the first step; `variables` are `Module.init`'s, by network."""
        params = {name: v.get("params", {}) for name, v in variables.items()}
        batch_stats = {name: v.get("batch_stats", {}) for name, v in variables.items()}
        return cls(params=params, batch_stats=batch_stats, opt_state=tx.init(params))

    def variables(self, name: str) -> dict[str, Tree]:
        """Returns the variables of network `name`, as `Module.apply` takes them."""
        return {"params": self.params[name], "batch_stats": self.batch_stats[name]}

    def apply_gradients(self, tx: optax.GradientTransformation, grads: Tree) -> "NetworkState":
        """Returns the state after one update by its optimizer `tx`."""
        updates, opt_state = tx.update(grads, self.opt_state, self.params)
        return self.replace(params=optax.apply_updates(self.params, updates), opt_state=opt_state)


@flax.struct.dataclass
class DrnetState:
    """State of the first stage.

    Attributes:
      step: int32 scalar, steps finished.
      autoencoder: networks `content_encoder`, `pose_encoder`, `decoder`: one loss, one optimizer.
      discriminator: network `discriminator`, with a separate optimizer.
    """

    step: jax.Array
    autoencoder: NetworkState
    discriminator: NetworkState


@flax.struct.dataclass
class PredictorState:
    """State of the second stage; the encoders it reads are frozen and part of the first stage's.

    Attributes:
      step: int32 scalar, steps finished.
      predictor: network `predictor`, the pose LSTM.
    """

    step: jax.Array
    predictor: NetworkState

    @property
    def variables(self) -> dict[str, Tree]:
        """The variables of the LSTM, as `PoseLSTM.apply` takes them."""
        return self.predictor.variables("predictor")


def first_step() -> jax.Array:
    """Returns the step counter of a state that has finished no step."""
    return jnp.zeros((), jnp.int32)
