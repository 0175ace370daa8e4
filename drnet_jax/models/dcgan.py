"""DCGAN encoders and decoder: 4x4 convolutions of stride 2, with or without U-Net connections.

Source: PyTorch release, models/dcgan_64.py, dcgan_128.py, dcgan_unet_64.py, dcgan_unet_128.py. Any
side that is 4 times a power of two works in the same way here.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.models import blocks
from drnet_jax.models.blocks import ConvBlock
from drnet_jax.models.content import Content
from drnet_jax.ops.conv import Dtype
from drnet_jax.ops.norm import unit_length


class Trunk(nn.Module):
    """Maps frames to a vector in (-1, 1) and the feature maps on the way there."""

    dim: int
    image_size: int
    width: int
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self, frames: jax.Array, *, train: bool, num_passes: int = 1
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        blocks.check_frames(frames, self.image_size)
        x, maps = frames, []
        for stage, width in enumerate(blocks.stage_widths(self.image_size, self.width)):
            block = ConvBlock(
                width, 4, strides=2, padding=1, dtype=self.dtype, name=f"stage{stage}"
            )
            x = block(x, train=train, num_passes=num_passes)
            maps.append(x)
        head = blocks.vector_head(self.dim, 4, self.dtype, "vector")
        x = head(x, train=train, num_passes=num_passes)  # [batch, 1, 1, dim]
        return x[:, 0, 0], tuple(maps)


class ContentEncoder(nn.Module):
    """Maps frames, float32 `[batch, side, side, channels]` in [0, 1], to their `Content`."""

    content_dim: int
    image_size: int
    width: int
    skips: bool
    dtype: Dtype = None

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool) -> Content:
        trunk = Trunk(self.content_dim, self.image_size, self.width, self.dtype, name="trunk")
        vector, maps = trunk(frames, train=train)
        return Content(vector, maps if self.skips else ())


class PoseEncoder(nn.Module):
    """Maps frames, float32 `[batch, side, side, channels]` in [0, 1], to `[batch, pose_dim]`."""

    pose_dim: int
    image_size: int
    width: int
    normalize: bool
    dtype: Dtype = None

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        trunk = Trunk(self.pose_dim, self.image_size, self.width, self.dtype, name="trunk")
        pose, _ = trunk(frames, train=train, num_passes=num_passes)
        return unit_length(pose) if self.normalize else pose


class Decoder(nn.Module):
    """Maps a `Content` and poses `[batch, pose_dim]` to frames, float32 in [0, 1]."""

    image_size: int
    channels: int
    width: int
    skips: bool
    dtype: Dtype = None

    @nn.compact
    def __call__(self, content: Content, pose: jax.Array, *, train: bool) -> jax.Array:
        widths = blocks.stage_widths(self.image_size, self.width)
        blocks.check_skips(len(content.skips), len(widths) if self.skips else 0)
        x = jnp.concatenate([content.vector, pose], axis=-1)[:, None, None]
        stem = ConvBlock(widths[-1], 4, transposed=True, dtype=self.dtype, name="vector")
        x = stem(x, train=train)  # [batch, 4, 4, widths[-1]]
        for stage in reversed(range(len(widths))):
            if self.skips:
                skip = content.skips[stage]
                x = jnp.concatenate([x, skip.astype(x.dtype)], axis=-1)
            name = f"stage{stage}"
            if stage == 0:
                return blocks.Frames(self.channels, 4, strides=2, dtype=self.dtype, name=name)(x)
            block = ConvBlock(
                widths[stage - 1],
                4,
                strides=2,
                padding=1,
                transposed=True,
                dtype=self.dtype,
                name=name,
            )
            x = block(x, train=train)
