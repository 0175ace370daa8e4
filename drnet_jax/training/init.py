"""The states that training starts from."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax

from drnet_jax.base import prng, sharding
from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import DrnetState, NetworkState, PredictorState, first_step
from drnet_jax.training.optim import DrnetOptimizers

State = TypeVar("State")


def init_drnet(
    networks: Networks, txs: DrnetOptimizers, key: jax.Array, frame_shape: tuple[int, int, int]
) -> DrnetState:
    """Returns the state of the first stage at step 0.

    Args:
      networks: the four networks; an imported model may have no discriminator.
      txs: their optimizers.
      key: root key of the run; every network draws from a stream of its own.
      frame_shape: height, width and channels.
    """

    def init(name: str, *inputs, **options):
        network_key = prng.stream(key, f"init {name}")
        return getattr(networks, name).init_with_output(network_key, *inputs, **options)

    frames = jnp.zeros((2, *frame_shape))
    content, content_encoder = init("content_encoder", frames, train=False)
    pose, pose_encoder = init("pose_encoder", frames, train=False)
    _, decoder = init("decoder", content, pose, train=False)
    autoencoder = {
        "content_encoder": content_encoder,
        "pose_encoder": pose_encoder,
        "decoder": decoder,
    }
    discriminator = {}
    if networks.discriminator is not None:
        discriminator["discriminator"] = init("discriminator", pose, pose)[1]
    return DrnetState(
        step=first_step(),
        autoencoder=NetworkState.create(autoencoder, txs.autoencoder),
        discriminator=NetworkState.create(discriminator, txs.discriminator),
    )


def init_predictor(
    predictor: PoseLSTM, tx: optax.GradientTransformation, key: jax.Array, input_dim: int
) -> PredictorState:
    """Returns the state of the second stage at step 0; `input_dim` is `pose_dim + content_dim`."""
    variables = predictor.init(
        prng.stream(key, "init predictor"), predictor.initial_carry(1), jnp.zeros((1, input_dim))
    )
    return PredictorState(first_step(), NetworkState.create({"predictor": variables}, tx))


def on_all_devices(
    init: Callable[[jax.Array], State], key: jax.Array, mesh: jax.sharding.Mesh
) -> State:
    """Returns `init(key)`, copied to every device of `mesh`."""
    # The program runs only once. Without optimization, a CPU compiles its random draws in a tenth
    # of the time.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    sharded = jax.jit(init, out_shardings=sharding.replicated(mesh), compiler_options=options)
    return sharded(key)


def abstract_on_all_devices(
    init: Callable[[jax.Array], State], key: jax.Array, mesh: jax.sharding.Mesh
) -> State:
    """Returns what `on_all_devices` would, with `jax.ShapeDtypeStruct` in place of arrays."""
    replicated = sharding.replicated(mesh)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated),
        jax.eval_shape(init, key),
    )
