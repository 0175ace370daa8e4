"""Trained networks with frozen statistics, so that no frame depends on others of its batch."""

import math

import jax
import jax.numpy as jnp

from drnet_jax.base.arrays import Array, as_float
from drnet_jax.models.content import Content
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import NetworkState


def encode_content(networks: Networks, autoencoder: NetworkState, frames: Array) -> Content:
    """Returns the content of frames `[..., height, width, channels]`, its arrays `[..., *]`."""
    return _encode(networks.content_encoder, autoencoder.variables("content_encoder"), frames)


def encode_pose(networks: Networks, autoencoder: NetworkState, frames: Array) -> jax.Array:
    """Returns poses `[..., pose_dim]` of frames `[..., height, width, channels]`."""
    return _encode(networks.pose_encoder, autoencoder.variables("pose_encoder"), frames)


def _encode(module, variables, frames: Array):
    frames = as_float(frames)
    leading, frame = frames.shape[:-3], frames.shape[-3:]
    # Networks take one batch axis: [product of leading axes, height, width, channels].
    encoded = module.apply(variables, frames.reshape(-1, *frame), train=False)
    return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), encoded)


def decode(
    networks: Networks, autoencoder: NetworkState, content: Content, pose: jax.Array
) -> jax.Array:
    """Returns a frame `[..., height, width, channels]` in [0, 1] for each content and pose.

    `pose` is `[..., pose_dim]`, and the arrays of `content` have the same leading axes.
    """
    leading = pose.shape[:-1]
    # Not -1, which an array without numbers (the content of `NoContent`) leaves open.
    num = math.prod(leading)
    flat = jax.tree.map(lambda x: x.reshape(num, *x.shape[len(leading) :]), (content, pose))
    frames = networks.decoder.apply(autoencoder.variables("decoder"), *flat, train=False)
    return frames.reshape(*leading, *frames.shape[1:])


def decode_each(
    networks: Networks, autoencoder: NetworkState, content: Content, poses: jax.Array
) -> jax.Array:
    """Returns frames `[batch, time, ...]`: each content in each of its poses.

    `poses` are `[batch, time, pose_dim]`; the arrays of `content` have no time axis.
    """
    num_times = poses.shape[1]
    # [batch, *] -> [batch, time, *]: a copy of the content for each pose.
    contents = jax.tree.map(lambda x: jnp.repeat(x[:, None], num_times, axis=1), content)
    return decode(networks, autoencoder, contents, poses)
