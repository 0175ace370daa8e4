"""Small networks and their states; what has to be compiled for them is compiled once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from drnet_jax.models import registry
from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import DrnetState, NetworkState, PredictorState
from drnet_jax.training.init import init_drnet, init_predictor
from drnet_jax.training.optim import DrnetOptimizers

SETTINGS = {
    "content_encoder": "dcgan",
    "pose_encoder": "dcgan",
    "decoder": "dcgan",
    "image_size": 16,
    "channels": 2,
    "width": 4,
    "num_slots": 1,
    "content_dim": 6,
    "pose_dim": 3,
    "normalize": False,
    "discriminator_width": 5,
    "dtype": jnp.float32,
}


def create_networks(**changes):
    """Returns the networks of `SETTINGS` with `changes`."""
    return registry.create_networks(**(SETTINGS | changes))


def draw_variables(module, *inputs, **mode):
    """Returns random variables of `module`, without its initializers, which compile slowly.

    Variances are positive.
    """
    init = functools.partial(module.init, **mode)
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        values = 0.3 * rng.standard_normal(leaf.shape).astype(np.float32)
        return np.abs(values) + 0.5 if path[-1].key == "var" else values

    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(init, jax.random.key(0), *inputs))


def encode_and_decode(networks, key, frames):
    """Returns content, poses and decoded frames of untrained networks."""
    content, _ = networks.content_encoder.init_with_output(key, frames, train=False)
    pose, _ = networks.pose_encoder.init_with_output(key, frames, train=False)
    decoded, _ = networks.decoder.init_with_output(key, content, pose, train=False)
    return content, pose, decoded


@functools.cache
def tiny_networks() -> Networks:
    """Returns the smallest that training accepts: 8 x 8 frames, 4 numbers of content, 3 of pose."""
    return create_networks(image_size=8, channels=3, width=2, content_dim=4)


@functools.cache
def tiny_predictor() -> PoseLSTM:
    """Returns the LSTM that goes with `tiny_networks`."""
    return PoseLSTM(pose_dim=3, hidden_dim=4, num_layers=2, normalize=False, dtype=jnp.float32)


@functools.cache
def _initial_state() -> DrnetState:
    txs = DrnetOptimizers(optax.identity(), optax.identity())
    return jax.jit(lambda key: init_drnet(tiny_networks(), txs, key, (8, 8, 3)))(jax.random.key(0))


@functools.cache
def _initial_predictor() -> PredictorState:
    init = functools.partial(init_predictor, tiny_predictor(), optax.identity(), input_dim=7)
    return jax.jit(init)(jax.random.key(2))


def tiny_state(tx: optax.GradientTransformation) -> DrnetState:
    """Returns the first stage at step 0, with `tx` as both optimizers."""
    state = _initial_state()
    return state.replace(
        autoencoder=_with_optimizer(state.autoencoder, tx),
        discriminator=_with_optimizer(state.discriminator, tx),
    )


def tiny_predictor_state(tx: optax.GradientTransformation) -> PredictorState:
    """Returns the second stage at step 0."""
    state = _initial_predictor()
    return state.replace(predictor=_with_optimizer(state.predictor, tx))


def _with_optimizer(state: NetworkState, tx: optax.GradientTransformation) -> NetworkState:
    return state.replace(opt_state=tx.init(state.params))
