"""VGG-16 content encoder with U-Net connections, and the decoder that mirrors it.

Source: PyTorch release, models/vgg_unet_64.py, vgg_unet_128.py. Any side that is 4 times a power of
two works in the same way here.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.models import blocks
from drnet_jax.models.blocks import ConvBlock
from drnet_jax.models.content import Content
from drnet_jax.ops.conv import Dtype
from drnet_jax.ops.pooling import max_pool


def num_convs(stage: int) -> int:
    """Returns the convolutions of an encoder stage: VGG-16 has 2 in the first two, 3 in others."""
    return 2 if stage < 2 else 3


class ContentEncoder(nn.Module):
    """Maps frames, float32 `[batch, side, side, channels]` in [0, 1], to their `Content`.

    The skips are the maps of each stage before pooling: the first has the side of the frames.
    """

    content_dim: int
    image_size: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool) -> Content:
        blocks.check_frames(frames, self.image_size)
        x, skips = frames, []
        for stage, width in enumerate(blocks.stage_widths(self.image_size, self.width)):
            for layer in range(num_convs(stage)):
                x = _block(width, f"stage{stage}_{layer}", self.dtype)(x, train=train)
            skips.append(x)
            x = max_pool(x, 2, 0)
        head = blocks.vector_head(self.content_dim, 4, self.dtype)
        x = head(x, train=train)  # [batch, 1, 1, content_dim]
        return Content(x[:, 0, 0], tuple(skips))


class Decoder(nn.Module):
    """Maps a `Content` with skips and poses `[batch, pose_dim]` to frames, float32 in [0, 1]."""

    image_size: int
    channels: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, content: Content, poses: jax.Array, *, train: bool) -> jax.Array:
        widths = blocks.stage_widths(self.image_size, self.width)
        blocks.check_skips(content, len(widths))
        stem = blocks.vector_stem(widths[-1], self.dtype)
        x = stem(blocks.join(content, poses), train=train)  # [batch, 4, 4, widths[-1]]
        for stage in reversed(range(len(widths))):
            x = _double(x)
            x = jnp.concatenate([x, content.skips[stage].astype(x.dtype)], axis=-1)
            # The encoder's stage backwards: its last convolution already has the next one's width.
            layers = [widths[stage]] * (num_convs(stage) - 1) + list(widths[:stage][-1:])
            for layer, width in enumerate(layers):
                x = _block(width, f"stage{stage}_{layer}", self.dtype)(x, train=train)
        return blocks.Frames(self.channels, 3, strides=1, dtype=self.dtype, name="frames")(x)


def _block(width: int, name: str, dtype: Dtype) -> ConvBlock:
    return ConvBlock(width, 3, dtype, padding=1, name=name)


def _double(maps: jax.Array) -> jax.Array:
    """Returns `maps` with every pixel repeated in a block of 2x2."""
    batch, height, width, channels = maps.shape
    # [batch, height, row in block, width, column in block, channels]
    maps = jnp.broadcast_to(maps[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return maps.reshape(batch, 2 * height, 2 * width, channels)
