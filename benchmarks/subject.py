"""What is measured: networks, first state and a batch, as a config describes them."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections

from drnet_jax.models import registry as build
from drnet_jax.models.state import DrnetState, NetworkState, first_step
from drnet_jax.runs import run
from drnet_jax.training import optim, steps


@dataclasses.dataclass(frozen=True)
class Subject:
    """A first stage to train.

    Attributes:
      settings: arguments of `nets.build.create_networks`.
      stage: `config.drnet`.
      networks: ours.
    """

    settings: dict
    stage: ml_collections.ConfigDict
    networks: build.Networks

    def init(self) -> DrnetState:
        """Returns the first state; the same at every call, and the caller's to give away."""
        return self._init()

    @functools.cached_property
    def _init(self) -> Callable[[], DrnetState]:
        """Compiled once, as each contender begins with a state of its own."""
        side, channels = self.settings["image_size"], self.settings["channels"]
        keys = jax.random.split(jax.random.key(0), 4)
        networks = self.networks
        tx = self.optimizer()

        @jax.jit
        def init() -> DrnetState:
            frames = jnp.zeros((2, side, side, channels))
            content, encoder = networks.content_encoder.init_with_output(
                keys[0], frames, train=True
            )
            pose, pose_encoder = networks.pose_encoder.init_with_output(keys[1], frames, train=True)
            autoencoder = {
                "content_encoder": encoder,
                "pose_encoder": pose_encoder,
                "decoder": networks.decoder.init(keys[2], content, pose, train=True),
            }
            discriminator = {"discriminator": networks.discriminator.init(keys[3], pose, pose)}
            return DrnetState(
                first_step(),
                NetworkState.create(autoencoder, tx),
                NetworkState.create(discriminator, tx),
            )

        return init

    def optimizer(self):
        """Returns the Adam of both players, without schedule."""
        return optim.make_adam(self.stage.learning_rate, self.stage.beta1, "constant", 0, 1)

    def step(self):
        """Returns our training step, not yet compiled."""
        tx = self.optimizer()
        return steps.make_drnet_step(
            self.networks,
            tx,
            tx,
            similarity_weight=self.stage.similarity_weight,
            adversarial_weight=self.stage.adversarial_weight,
        )

    def batch(self) -> steps.DrnetBatch:
        """Returns random frames in [0, 1]; the same at every call."""
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
        "dtype": run.computation_dtype(config.dtype),
    }
    return Subject(settings, config.drnet, build.create_networks(**settings))
