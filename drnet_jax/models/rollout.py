"""Generation: observe a few frames, predict the poses of the next ones, decode them to frames."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from drnet_jax.base.arrays import Array, Tree, as_uint8
from drnet_jax.models import inference
from drnet_jax.models.content import Content
from drnet_jax.models.pose_lstm import PoseLSTM, teacher_forced
from drnet_jax.models.pose_steps import stepwise
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import NetworkState


@functools.lru_cache(maxsize=16)
def compiled_rollout(
    networks: Networks, predictor: PoseLSTM, num_steps: int, frames_at_once: int
) -> Callable[[NetworkState, Tree, Array], jax.Array]:
    """Returns pure `rollout(autoencoder, predictor_variables, observed)`, a single program.

    Models of the same architecture share it.

    `observed` are frames `[batch, num_observed, height, width, channels]`, uint8 or float in
    [0, 1]; `rollout` returns the next `num_steps` frames, uint8 `[batch, num_steps, ...]`. The
    content is that of the last observed frame. About `frames_at_once` frames of all clips together,
    at least one of each, are decoded at once, so that working memory does not grow with
    `num_steps`. Statistics are frozen, so that a clip's rollout does not depend on its batch.

    Source: Denton & Birodkar 2017, Figure 2.
    """

    @jax.jit
    def rollout(autoencoder: NetworkState, predictor_variables: Tree, observed: Array) -> jax.Array:
        batch_size = len(observed)
        chunk_size = min(max(1, frames_at_once // batch_size), num_steps)
        num_chunks = -(-num_steps // chunk_size)
        content, poses = predict_poses(
            networks, predictor, autoencoder, predictor_variables, observed, num_chunks * chunk_size
        )
        # [chunks, batch, chunk, pose_dim]: the loop over chunks is the first axis.
        chunks = poses.reshape(batch_size, num_chunks, chunk_size, -1).swapaxes(0, 1)
        # One copy of the content for every time step of a chunk.
        contents = jax.tree.map(lambda x: jnp.repeat(x[:, None], chunk_size, axis=1), content)

        def decode(chunk: jax.Array) -> jax.Array:
            return as_uint8(inference.decode(networks, autoencoder, contents, chunk))

        frames = jax.lax.map(decode, chunks)  # [chunks, batch, chunk, height, width, channels]
        # Chunks end to end are time: [batch, time, height, width, channels].
        frames = frames.swapaxes(0, 1).reshape(batch_size, -1, *frames.shape[3:])
        return frames[:, :num_steps]  # The last chunk may be longer than needed.

    return rollout


def rollout_in_chunks(
    networks: Networks,
    predictor: PoseLSTM,
    autoencoder: NetworkState,
    predictor_variables: Tree,
    observed: Array,
    num_steps: int,
    frames_at_once: int,
) -> Iterator[jax.Array]:
    """Yields the frames of `compiled_rollout` as soon as they are there, a chunk at a time.

    Chunks are uint8 `[batch, chunk, ...]`; the last may be shorter. Memory does not grow with
    `num_steps`. Frames are those of `compiled_rollout` up to rounding.
    """
    chunk_size = min(max(1, frames_at_once // len(observed)), num_steps)
    begin, proceed = _compiled_chunks(networks, predictor, chunk_size)
    content, state = begin(autoencoder, predictor_variables, observed)
    for first in range(0, num_steps, chunk_size):
        state, frames = proceed(autoencoder, predictor_variables, content, state)
        yield frames[:, : num_steps - first]


@functools.lru_cache(maxsize=16)
def _compiled_chunks(
    networks: Networks, predictor: PoseLSTM, chunk_size: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Returns the programs before the first chunk and of each chunk."""

    def proceed(
        autoencoder: NetworkState, predictor_variables: Tree, content: Content, state: Any
    ) -> tuple[Any, jax.Array]:
        state, poses = _predict(predictor, predictor_variables, content, state, chunk_size)
        return state, as_uint8(inference.decode_each(networks, autoencoder, content, poses))

    return jax.jit(functools.partial(_observe, networks, predictor)), jax.jit(proceed)


def predict_poses(
    networks: Networks,
    predictor: PoseLSTM,
    autoencoder: NetworkState,
    predictor_variables: Tree,
    observed: Array,
    num_steps: int,
) -> tuple[Content, jax.Array]:
    """Returns each clip's content, of the last observed frame, and its next `num_steps` poses.

    The poses are `[batch, num_steps, pose_dim]`: the first is predicted from those observed, the
    others from predictions.
    """
    content, state = _observe(networks, predictor, autoencoder, predictor_variables, observed)
    return content, _predict(predictor, predictor_variables, content, state, num_steps)[1]


def _observe(
    networks: Networks,
    predictor: PoseLSTM,
    autoencoder: NetworkState,
    predictor_variables: Tree,
    observed: Array,
) -> tuple[Content, tuple[Any, jax.Array]]:
    """Returns the content, and the state of the LSTM with the pose of the first frame to come."""
    content = inference.encode_content(networks, autoencoder, observed[:, -1])
    poses = inference.encode_pose(networks, autoencoder, observed)
    carry, next_poses = teacher_forced(predictor, predictor_variables, poses, content.vector)
    return content, (carry, next_poses[:, -1])


def _predict(
    predictor: PoseLSTM,
    predictor_variables: Tree,
    content: Content,
    state: tuple[Any, jax.Array],
    num_steps: int,
) -> tuple[tuple[Any, jax.Array], jax.Array]:
    """Returns the state `num_steps` later, and the poses until then `[batch, num_steps, *]`."""
    advance = stepwise(predictor, predictor_variables, content.vector)

    def step(state, _):
        return advance(*state), state[1]

    state, poses = jax.lax.scan(step, state, length=num_steps)
    return state, jnp.swapaxes(poses, 0, 1)  # [num_steps, batch, pose_dim] out of the loop.
