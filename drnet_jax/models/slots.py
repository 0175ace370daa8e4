"""Networks that divide the intensity of a frame among slots, for objects that overlap and add up.

A slot stands for one object on a dark background. An encoder scores every part of the frame, and
what the frame shows is divided among the slots by these scores: with gray digits, nothing else
tells which digit is which. The place of a slot is the center of its intensity, and the pose is
nothing but the places. Content is read through a window at each place, and the decoder adds up what
it paints at the places of the pose, at most to white. Not in the paper: its networks would have to
learn all this from examples.

Sources: Locatello et al. 2020, "Object-centric learning with slot attention", section 2.1, for
slots that compete for the parts of a frame; Hsieh et al. 2018, "Learning to decompose and
disentangle representations for video prediction", for objects that add up; attention.py for the
windows.

The letters of the products are those of attention.py; e is what a window shows, the intensity of
the frame and the share of the slot.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.models.attention import filter_banks, slot_content, window_size
from drnet_jax.models.blocks import at_least_float32
from drnet_jax.models.content import Content
from drnet_jax.ops.conv import Dtype

CELL = 4
"""Pixels on a side of the cell that goes to the slots as a whole."""

SIGMA = 0.6
"""Width of the windows' filters at the beginning of training, in pixels."""


def _same_in_every_network(number: int) -> Callable[..., jax.Array]:
    """Returns an initializer that ignores its key; `number` tells layers apart.

    The encoders of content and pose then agree from the first step on which object is in which
    slot. Otherwise they would have to find out from reconstructions, where half of the objects
    are in the wrong slot.
    """

    def init(_key: jax.Array, shape: tuple[int, ...], dtype: Dtype = jnp.float32) -> jax.Array:
        return nn.initializers.lecun_normal()(jax.random.key(number), shape, dtype)

    return init


class Shares(nn.Module):
    """Maps frames `[batch, side, side, channels]` to shares, float32 `[batch, side, side, slots]`.

    A share is the intensity of a pixel, the mean of its channels, times the part of it that belongs
    to the slot; these parts add up to 1.
    """

    num_slots: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, frames: jax.Array) -> jax.Array:
        def conv(number: int, features: int, size: int, strides: int = 1):
            kernel_init = _same_in_every_network(number)
            sizes = dict(kernel_size=(size, size), strides=strides)
            return nn.Conv(features, **sizes, kernel_init=kernel_init, dtype=self.dtype)

        x = nn.relu(conv(0, self.width, 4, 2)(frames))
        x = nn.relu(conv(1, 2 * self.width, 4, 2)(x))
        for number in (2, 3, 4):  # Until a cell sees as much as a window.
            x = nn.relu(x + conv(number, 2 * self.width, 3)(x))
        scores = at_least_float32(conv(5, self.num_slots, 1)(x))
        intensity = jnp.mean(frames, axis=-1, keepdims=True)
        weights = nn.avg_pool(intensity, (CELL, CELL), (CELL, CELL))
        weights /= jnp.sum(weights, axis=(1, 2), keepdims=True) + 1e-3
        # What counts is how the objects of this frame compare, so that no slot stays empty.
        scores -= jnp.sum(weights * scores, axis=(1, 2), keepdims=True)
        variances = jnp.sum(weights * jnp.square(scores), axis=(1, 2), keepdims=True)
        scores *= jax.lax.rsqrt(variances + 1e-4)
        gain = jnp.exp(self.param("log_gain", nn.initializers.zeros, ()))
        parts = nn.softmax(gain * scores, axis=-1)
        return intensity * jnp.repeat(jnp.repeat(parts, CELL, axis=1), CELL, axis=2)


def centers(shares: jax.Array) -> jax.Array:
    """Returns the (row, column) of the center of each share, `[batch, 2, slots]`.

    `shares` are `[batch, side, side, slots]`; -1 and 1 are the first and the last pixel.
    """
    pixels = jnp.linspace(-1, 1, shares.shape[1])
    weights = shares + 1e-8  # The center of a share without intensity is the middle of the frame.
    weights /= jnp.sum(weights, axis=(1, 2), keepdims=True)
    rows, columns = (jnp.einsum(f"byxs,{axis}->bs", weights, pixels) for axis in "yx")
    return jnp.stack([rows, columns], axis=1)


class ContentEncoder(nn.Module):
    """Maps frames `[batch, side, side, channels]` in [0, 1] to `Content`, one code for each slot.

    The slots share the network that reads a window of the whole frame and of the slot's share.
    """

    content_dim: int
    num_slots: int
    image_size: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool) -> Content:
        batch, slots = frames.shape[0], self.num_slots
        shares = Shares(slots, self.width, self.dtype, name="shares")(frames)
        rows, columns = filter_banks(self, centers(shares), self.image_size, SIGMA)
        intensity = jnp.broadcast_to(jnp.mean(frames, axis=-1, keepdims=True), shares.shape)
        layers = jnp.stack([intensity, shares], axis=-1)
        # One axis at a time: a window is the product of its rows and its columns.
        windows = jnp.einsum("bsyi,byxse->bsixe", rows, layers)
        windows = jnp.einsum("bsixe,bsxj->bsije", windows, columns)
        x = windows.reshape(-1, *windows.shape[2:])  # [batch * slots, window, window, 2]
        for width in (2 * self.width, 4 * self.width):
            x = nn.relu(nn.Conv(width, (4, 4), strides=2, dtype=self.dtype)(x))
        x = x.reshape(batch, slots, -1)
        return slot_content(x, self.content_dim, self.dtype, train=train)


class PoseEncoder(nn.Module):
    """Maps frames `[batch, side, side, channels]` in [0, 1] to places, `[batch, 2 * num_slots]`.

    These are the rows of all slots and then their columns, in [-1, 1].
    """

    num_slots: int
    image_size: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        del train, num_passes  # There is nothing to normalize.
        shares = Shares(self.num_slots, self.width, self.dtype, name="shares")(frames)
        return centers(shares).reshape(frames.shape[0], -1)


class Decoder(nn.Module):
    """Maps content and poses `[batch, 2 * num_slots]` to frames `[batch, side, side, channels]`.

    A shared network draws each slot's code; the drawings are put at their places and added up.
    """

    channels: int
    num_slots: int
    image_size: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, content: Content, poses: jax.Array, *, train: bool) -> jax.Array:
        del train  # There is nothing to normalize.
        batch, slots, window = poses.shape[0], self.num_slots, window_size(self.image_size)
        places = poses.reshape(batch, 2, slots)
        rows, columns = filter_banks(self, places, self.image_size, SIGMA)
        x = content.vector.reshape(batch, slots, -1)
        for _ in range(2):
            x = nn.relu(nn.Dense(2 * content.vector.shape[-1], dtype=self.dtype)(x))
        # Frames are mostly black: begin there.
        dark = nn.initializers.constant(-3.0)
        x = nn.Dense(window * window * self.channels, dtype=self.dtype, bias_init=dark)(x)
        glyphs = nn.sigmoid(at_least_float32(x))
        glyphs = glyphs.reshape(batch, slots, window, window, self.channels)
        canvas = jnp.einsum("bsyi,bsijc->bsyjc", rows, glyphs)
        return jnp.minimum(jnp.einsum("bsyjc,bsxj->byxc", canvas, columns), 1)
