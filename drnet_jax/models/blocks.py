"""Pieces that several families of networks share."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.models.content import Content
from drnet_jax.ops.conv import Conv, ConvTranspose, Dtype
from drnet_jax.ops.norm import BatchNorm


def stage_widths(image_size: int, width: int) -> tuple[int, ...]:
    """Returns the channels of the encoder's stages; each halves the side, down to 4.

    Source: PyTorch release, models/dcgan_64.py, dcgan_128.py: 1, 2, 4, 8, again 8 times `width`.

    Raises:
      ValueError: `image_size` is not 4 times a power of two.
    """
    num_stages = (image_size // 4).bit_length() - 1
    if num_stages < 1 or image_size != 4 << num_stages:
        raise ValueError(
            f"Impossible image_size {image_size}; allowed: 4 times a power of two, 8, 16, 32, 64..."
        )
    return tuple(width * min(2**stage, 8) for stage in range(num_stages))


def check_frames(frames: jax.Array, image_size: int) -> None:
    """Raises ValueError unless `frames` is `[batch, image_size, image_size, channels]`."""
    if frames.ndim != 4 or frames.shape[1:3] != (image_size, image_size):
        raise ValueError(
            f"Expected frames [batch, {image_size}, {image_size}, channels], got {frames.shape}."
        )


def check_skips(content: Content, num_skips: int) -> None:
    """Raises ValueError unless `content` carries the `num_skips` that a decoder takes."""
    if len(content.skips) != num_skips:
        raise ValueError(f"Expected content with {num_skips} skips, got {len(content.skips)}.")


def leaky_relu(maps: jax.Array) -> jax.Array:
    """Returns positive numbers as they are, and a fifth of negative ones."""
    return nn.leaky_relu(maps, 0.2)


def at_least_float32(x: jax.Array) -> jax.Array:
    """Returns `x` in float32, or in its own dtype if that is wider.

    What leaves a network is wide, whatever its layers compute in.
    """
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class ConvBlock(nn.Module):
    """Convolution without bias (the norm would remove it), BatchNorm, activation.

    `widen` makes the output float32 at least, whatever `dtype` is.
    """

    features: int
    kernel_size: int
    dtype: Dtype
    strides: int = 1
    padding: int = 0
    activation: Callable[[jax.Array], jax.Array] = leaky_relu
    transposed: bool = False
    widen: bool = False

    @nn.compact
    def __call__(self, maps: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        layer = ConvTranspose if self.transposed else Conv
        maps = layer(
            self.features,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            use_bias=False,
            dtype=self.dtype,
            name="conv",
        )(maps)
        maps = at_least_float32(maps) if self.widen else maps
        maps = BatchNorm(name="norm")(maps, train=train, num_passes=num_passes)
        return self.activation(maps)


def vector_head(dim: int, kernel_size: int, dtype: Dtype) -> ConvBlock:
    """Returns the encoders' last block, to float32 `[batch, 1, 1, dim]` in (-1, 1)."""
    return ConvBlock(dim, kernel_size, dtype, activation=nn.tanh, widen=True, name="vector")


def vector_stem(width: int, dtype: Dtype) -> ConvBlock:
    """Returns the decoders' first block, from `[batch, 1, 1, dim]` to `[batch, 4, 4, width]`."""
    return ConvBlock(width, 4, dtype, transposed=True, name="vector")


def join(content: Content, poses: jax.Array) -> jax.Array:
    """Returns content and poses in the channels of one pixel, `[batch, 1, 1, dim]`."""
    return jnp.concatenate([content.vector, poses], axis=-1)[:, None, None]


class Frames(nn.Module):
    """The decoders' last layer: a transposed convolution and a sigmoid, to float32 frames."""

    channels: int
    kernel_size: int
    strides: int
    dtype: Dtype

    @nn.compact
    def __call__(self, maps: jax.Array) -> jax.Array:
        maps = ConvTranspose(
            self.channels,
            self.kernel_size,
            strides=self.strides,
            padding=1,
            dtype=self.dtype,
            name="conv",
        )(maps)
        return nn.sigmoid(at_least_float32(maps))
