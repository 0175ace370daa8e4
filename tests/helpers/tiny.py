"""The smallest networks that training accepts, and their states: compiled once for all tests."""

import functools

import jax
import jax.numpy as jnp
import optax

from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.registry import Networks, create_networks, create_predictor
from drnet_jax.models.state import DrnetState, NetworkState, PredictorState
from drnet_jax.training.init import init_drnet, init_predictor
from drnet_jax.training.optim import DrnetOptimizers


@functools.cache
def tiny_networks() -> Networks:
    """Returns networks for 8 x 8 frames, with contents of 4 and poses of 3 numbers."""
    return create_networks(
        content_encoder="dcgan",
        pose_encoder="dcgan",
        decoder="dcgan",
        image_size=8,
        channels=3,
        width=2,
        num_slots=1,
        content_dim=4,
        pose_dim=3,
        normalize=False,
        discriminator_width=5,
        dtype=jnp.float32,
    )


@functools.cache
def tiny_predictor() -> PoseLSTM:
    """Returns the LSTM that goes with `tiny_networks`."""
    return create_predictor(
        pose_dim=3, hidden_dim=4, num_layers=2, normalize=False, dtype=jnp.float32
    )


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
