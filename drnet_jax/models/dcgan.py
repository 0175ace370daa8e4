"""DCGAN: 4x4 convolutions of stride 2, with or without U-Net connections.

Source: PyTorch release, models/dcgan_64.py, dcgan_128.py, dcgan_unet_64.py, dcgan_unet_128.py. Any
side that is 4 times a power of two works in the same way here.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.models import blocks
from drnet_jax.models.blocks import ConvBlock
from drnet_jax.models.content import Content
from drnet_jax.ops.conv import Dtype


class Trunk(nn.Module):
    """Maps frames to a vector in (-1, 1), `[batch, dim]`, and the feature maps of every stage."""

    dim: int
    image_size: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(
        self, frames: jax.Array, *, train: bool, num_passes: int = 1
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        blocks.check_frames(frames, self.image_size)
        mode = {"train": train, "num_passes": num_passes}
        x, maps = frames, []
        for stage, width in enumerate(blocks.stage_widths(self.image_size, self.width)):
            block = functools.partial(ConvBlock, strides=2, padding=1, name=f"stage{stage}")
            x = block(width, 4, self.dtype)(x, **mode)
            maps.append(x)
        x = blocks.vector_head(self.dim, 4, self.dtype)(x, **mode)  # [batch, 1, 1, dim]
        return x[:, 0, 0], tuple(maps)


class Decoder(nn.Module):
    """Maps a `Content` and poses `[batch, pose_dim]` to frames, float32 in [0, 1]."""

    image_size: int
    channels: int
    width: int
    skips: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, content: Content, poses: jax.Array, *, train: bool) -> jax.Array:
        widths = blocks.stage_widths(self.image_size, self.width)
        blocks.check_skips(content, len(widths) if self.skips else 0)
        stem = blocks.vector_stem(widths[-1], self.dtype)
        x = stem(blocks.join(content, poses), train=train)  # [batch, 4, 4, widths[-1]]
        # The encoder's stages backwards; the first of them, which comes last, makes the frames.
        for stage in reversed(range(len(widths))):
            if self.skips:
                x = jnp.concatenate([x, content.skips[stage].astype(x.dtype)], axis=-1)
            if stage > 0:
                block = functools.partial(ConvBlock, strides=2, padding=1, name=f"stage{stage}")
                x = block(widths[stage - 1], 4, self.dtype, transposed=True)(x, train=train)
        return blocks.Frames(self.channels, 4, strides=2, dtype=self.dtype, name="stage0")(x)
