"""Encoders around a trunk: a network from frames to a vector and the feature maps on the way."""

import flax.linen as nn
import jax

from drnet_jax.models.content import Content
from drnet_jax.ops.norm import unit_length


class ContentEncoder(nn.Module):
    """Maps frames, float32 `[batch, side, side, channels]` in [0, 1], to their `Content`.

    Attributes:
      trunk: the network; its vector has `content_dim` numbers.
      skips: whether its feature maps are part of the content, as in a U-Net.
    """

    trunk: nn.Module
    skips: bool

    def __call__(self, frames: jax.Array, *, train: bool) -> Content:
        vector, maps = self.trunk(frames, train=train)
        return Content(vector, maps if self.skips else ())


class PoseEncoder(nn.Module):
    """Maps frames, float32 `[batch, side, side, channels]` in [0, 1], to `[batch, pose_dim]`.

    Attributes:
      trunk: the network; its vector has `pose_dim` numbers.
      normalize: whether poses are scaled to unit length.
    """

    trunk: nn.Module
    normalize: bool

    def __call__(self, frames: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        pose, _ = self.trunk(frames, train=train, num_passes=num_passes)
        return unit_length(pose) if self.normalize else pose
