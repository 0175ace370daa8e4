"""The subject of measurements: networks, first state and a batch, as a config describes them."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import ml_collections

from drnet_jax.models.registry import Networks, create_networks
from drnet_jax.models.state import DrnetState
from drnet_jax.runs.run import computation_dtype
from drnet_jax.training import steps
from drnet_jax.training.init import init_drnet
from drnet_jax.training.optim import DrnetOptimizers, make_adam


@dataclasses.dataclass(frozen=True)
class Subject:
    """A first stage to train.

    Attributes:
      settings: arguments of `create_networks`.
      stage: `config.drnet`.
      networks: ours.
    """

    settings: dict
    stage: ml_collections.ConfigDict
    networks: Networks

    @functools.cached_property
    def init(self) -> Callable[[], DrnetState]:
        """Returns the first state, equal at every call; callers may donate it.

        Compiled once, for all contenders.
        """
        side, channels = self.settings["image_size"], self.settings["channels"]
        key, txs = jax.random.key(0), self.optimizers()
        return jax.jit(lambda: init_drnet(self.networks, txs, key, (side, side, channels)))

    def optimizers(self) -> DrnetOptimizers:
        """Returns Adam for both optimizers, without a schedule."""
        rates = dict(beta1=self.stage.beta1, schedule="constant", warmup_steps=0, num_steps=1)
        tx = make_adam(self.stage.learning_rate, **rates)
        return DrnetOptimizers(tx, tx)

    def step(self, per_device: jax.sharding.Mesh | None = None):
        """Returns our training step, not yet compiled; `per_device` as in `make_drnet_step`."""
        return steps.make_drnet_step(
            self.networks,
            self.optimizers(),
            similarity_weight=self.stage.similarity_weight,
            adversarial_weight=self.stage.adversarial_weight,
            per_device=per_device,
        )

    def batch(self) -> steps.DrnetBatch:
        """Returns random frames in [0, 1], equal at every call."""
        side, channels = self.settings["image_size"], self.settings["channels"]
        shape = (self.stage.batch_size, steps.NUM_FRAMES, side, side, channels)
        frames = jax.random.uniform(jax.random.key(1), shape)
        return steps.DrnetBatch(
            frames, steps.sample_pairs(jax.random.key(2), self.stage.batch_size)
        )


def create(config: ml_collections.ConfigDict) -> Subject:
    """Returns the first stage of `config`."""
    settings = config.model.to_dict() | {
        "image_size": config.data.image_size,
        "channels": 3 if config.data.get("colored", True) else 1,
        "dtype": computation_dtype(config.dtype),
    }
    return Subject(settings, config.drnet, create_networks(**settings))
