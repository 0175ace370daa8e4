"""Pieces that the DCGAN and VGG networks share."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.ops.conv import Conv, ConvTranspose, Dtype
from drnet_jax.ops.norm import BatchNorm


def leaky_relu(maps: jax.Array) -> jax.Array:
    """Returns `maps` where they are positive, a fifth of them elsewhere."""
    return nn.leaky_relu(maps, 0.2)


def stage_widths(image_size: int, width: int) -> tuple[int, ...]:
    """Returns the channels of the encoder's stages, each of which halves the side, down to 4.

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


def check_skips(found: int, expected: int) -> None:
    """Raises ValueError unless a content carries as many skips as its decoder takes."""
    if found != expected:
        raise ValueError(f"Expected content with {expected} skips, got {found}.")


def at_least_float32(x: jax.Array) -> jax.Array:
    """Widens `x` for the last layers, whose output leaves the network."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class ConvBlock(nn.Module):
    """Convolution without bias (the norm would remove it), BatchNorm, activation."""

    features: int
    kernel_size: int
    strides: int = 1
    padding: int = 0
    activation: Callable[[jax.Array], jax.Array] = leaky_relu
    transposed: bool = False
    widen: bool = False  # Whether the output is float32 (or more) whatever `dtype` is.
    dtype: Dtype = None

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


def vector_head(dim: int, kernel_size: int, dtype: Dtype, name: str) -> ConvBlock:
    """Returns the encoders' last block, to float32 `[batch, 1, 1, dim]` in (-1, 1)."""
    return ConvBlock(dim, kernel_size, activation=nn.tanh, widen=True, dtype=dtype, name=name)


class Frames(nn.Module):
    """The decoders' last layer: a transposed convolution and a sigmoid, to float32 frames."""

    channels: int
    kernel_size: int
    strides: int
    dtype: Dtype = None

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
