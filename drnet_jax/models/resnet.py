"""ResNet-18 encoders.

Source: PyTorch release, models/resnet_64.py, resnet_128.py. The number of stages follows from the
side, so that maps of side 3 are left: four for 64, a fifth (16 times `width`) for 128.
"""

import flax.linen as nn
import jax

from drnet_jax.models import blocks
from drnet_jax.models.blocks import ConvBlock
from drnet_jax.models.content import Content
from drnet_jax.ops.conv import Dtype
from drnet_jax.ops.norm import unit_length
from drnet_jax.ops.pooling import max_pool

BLOCKS_PER_STAGE = 2


def num_stages(image_size: int) -> int:
    """Returns the number of stages for frames of side `image_size`.

    Raises:
      ValueError: `image_size` is not 4 times a power of two, or less than 16.
    """
    found = len(blocks.stage_widths(image_size, 1))
    if found < 2:
        raise ValueError(f"Impossible image_size {image_size} for a resnet; allowed: 16, 32, 64...")
    return found


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    features: int
    strides: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, maps: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        mode = {"train": train, "num_passes": num_passes}
        shortcut = maps
        if self.strides != 1 or maps.shape[-1] != self.features:
            projection = ConvBlock(
                self.features,
                1,
                strides=self.strides,
                activation=_identity,
                dtype=self.dtype,
                name="shortcut",
            )
            shortcut = projection(maps, **mode)
        first = ConvBlock(
            self.features,
            3,
            strides=self.strides,
            padding=1,
            activation=nn.relu,
            dtype=self.dtype,
            name="first",
        )
        second = ConvBlock(
            self.features, 3, padding=1, activation=_identity, dtype=self.dtype, name="second"
        )
        maps = second(first(maps, **mode), **mode)
        return nn.relu(maps + shortcut)


class Trunk(nn.Module):
    """Maps frames to a vector in (-1, 1), `[batch, dim]`."""

    dim: int
    image_size: int
    width: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        mode = {"train": train, "num_passes": num_passes}
        blocks.check_frames(frames, self.image_size)
        stem = ConvBlock(
            self.width,
            5,
            strides=2,
            padding=3,
            activation=nn.relu,
            dtype=self.dtype,
            name="stem",
        )
        x = stem(frames, **mode)
        x = max_pool(x, 3, 1)
        for stage in range(num_stages(self.image_size)):
            for layer in range(BLOCKS_PER_STAGE):
                block = BasicBlock(
                    self.width * 2**stage,
                    strides=2 if stage > 0 and layer == 0 else 1,
                    dtype=self.dtype,
                    name=f"stage{stage}_{layer}",
                )
                x = block(x, **mode)
        x = blocks.vector_head(self.dim, 3, self.dtype, "vector")(x, **mode)
        return x[:, 0, 0]


class ContentEncoder(nn.Module):
    """Maps frames, float32 `[batch, side, side, channels]` in [0, 1], to `Content`, no skips."""

    content_dim: int
    image_size: int
    width: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool) -> Content:
        trunk = Trunk(self.content_dim, self.image_size, self.width, self.dtype, name="trunk")
        return Content(trunk(frames, train=train))


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
        pose = trunk(frames, train=train, num_passes=num_passes)
        return unit_length(pose) if self.normalize else pose


def _identity(maps: jax.Array) -> jax.Array:
    return maps
