"""ResNet-18, the trunk of encoders.

Source: PyTorch release, models/resnet_64.py, resnet_128.py. The number of stages follows from the
side, so that maps of side 3 are left: four for 64, a fifth (16 times `width`) for 128.
"""

import functools

import flax.linen as nn
import jax

from drnet_jax.models import blocks
from drnet_jax.models.blocks import ConvBlock
from drnet_jax.ops.conv import Dtype
from drnet_jax.ops.pooling import max_pool

BLOCKS_PER_STAGE = 2


def num_stages(image_size: int) -> int:
    """Returns the number of stages for frames of side `image_size`.

    Raises:
      ValueError: `image_size` is not 4 times a power of two, or less than 16.
    """
    num = len(blocks.stage_widths(image_size, 1))
    if num < 2:
        raise ValueError(f"Impossible image_size {image_size} for a resnet; allowed: 16, 32, 64...")
    return num


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    features: int
    strides: int
    dtype: Dtype

    @nn.compact
    def __call__(self, maps: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        mode = {"train": train, "num_passes": num_passes}
        block = functools.partial(ConvBlock, self.features, dtype=self.dtype)
        shortcut = maps
        if self.strides != 1 or maps.shape[-1] != self.features:
            projection = block(1, strides=self.strides, activation=_identity, name="shortcut")
            shortcut = projection(maps, **mode)
        first = block(3, strides=self.strides, padding=1, activation=nn.relu, name="first")
        # Not activated before the shortcut is added.
        second = block(3, padding=1, activation=_identity, name="second")
        maps = second(first(maps, **mode), **mode)
        return nn.relu(maps + shortcut)


class Trunk(nn.Module):
    """Maps frames to a vector in (-1, 1), `[batch, dim]`, and no feature maps."""

    dim: int
    image_size: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(
        self, frames: jax.Array, *, train: bool, num_passes: int = 1
    ) -> tuple[jax.Array, tuple[()]]:
        blocks.check_frames(frames, self.image_size)
        mode = {"train": train, "num_passes": num_passes}
        stem = ConvBlock(
            self.width, 5, self.dtype, strides=2, padding=3, activation=nn.relu, name="stem"
        )
        x = max_pool(stem(frames, **mode), 3, 1)
        for stage in range(num_stages(self.image_size)):
            for layer in range(BLOCKS_PER_STAGE):
                # The stem and its pooling have halved the side twice: stage 0 keeps it.
                strides = 2 if stage > 0 and layer == 0 else 1
                width, name = self.width * 2**stage, f"stage{stage}_{layer}"
                x = BasicBlock(width, strides, self.dtype, name=name)(x, **mode)
        x = blocks.vector_head(self.dim, 3, self.dtype)(x, **mode)  # [batch, 1, 1, dim]
        return x[:, 0, 0], ()


def _identity(maps: jax.Array) -> jax.Array:
    return maps
