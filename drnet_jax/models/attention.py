"""Networks that look and paint at places: pose says where objects are, content what they are.

Every network has `num_slots` places, each for one object. An encoder finds them by a spatial
softmax over feature maps (Finn et al. 2016, "Deep spatial autoencoders for visuomotor learning",
section V.B). Content is read through a window at each place, and painted through a window where the
pose wants it, by products with Gaussian filter banks (Gregor et al. 2015, "DRAW: a recurrent neural
network for image generation", section 3.2). So a digit that is read at one place can be painted at
any other from the first step on; a DCGAN has to learn this digit by digit. Not in the paper: these
networks are for laptops, where the paper's need days.

The letters of the products: b batch, s slot, y and x row and column of the frame, i and j row and
column of the window, c channel of the frame, f feature of the glyph.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.models.blocks import at_least_float32
from drnet_jax.models.content import Content
from drnet_jax.ops.conv import Dtype
from drnet_jax.ops.norm import BatchNorm, unit_length

GAIN = 5.0
"""Factor on the softmax's logits, so that attention is narrow early in training."""

CELL = 4
"""Pixels on a side of the cell behind each element of the attention maps."""


def window_size(image_size: int) -> int:
    """Returns the side of a slot's window: a little over half the frame."""
    return image_size * 9 // 16


def filter_bank(centers: jax.Array, sigma: jax.Array, image_size: int) -> jax.Array:
    """Returns Gaussian windows `[..., image_size, window_size]`, one for each of `centers` `[...]`.

    Column i looks at the pixel i - (window_size - 1) / 2 away from the center, with standard
    deviation `sigma` pixels; centers are in [-1, 1] from the first pixel to the last.
    """
    window = window_size(image_size)
    middle = (centers[..., None] + 1) * (image_size - 1) / 2
    means = middle + jnp.arange(window) - (window - 1) / 2  # [..., window]
    # [..., image_size, window]
    distances = (jnp.arange(image_size)[:, None] - means[..., None, :]) / sigma
    return jnp.exp(-jnp.square(distances) / 2) / (sigma * jnp.sqrt(2 * jnp.pi))


def filter_banks(
    module: nn.Module, places: jax.Array, image_size: int, sigma: float = 1.0
) -> jax.Array:
    """Returns banks of rows and of columns, `[2, batch, slots, image_size, window]`.

    `places` are `[batch, 2, slots]`; `module` learns the width of the filters, beginning at `sigma`
    pixels.
    """
    log_sigma = module.param("log_sigma", nn.initializers.constant(math.log(sigma)), ())
    return jnp.moveaxis(filter_bank(places, jnp.exp(log_sigma), image_size), 1, 0)


class Places(nn.Module):
    """Maps frames `[batch, side, side, channels]` to where each slot's object is.

    Returns (row, column) in [-1, 1], `[batch, 2, num_slots]`. Each cell is seen by its mean only:
    enough to tell where a digit is, too little to tell which one it is, so that places do not shift
    with identity.
    """

    num_slots: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, frames: jax.Array) -> jax.Array:
        x = nn.avg_pool(frames, (CELL, CELL), (CELL, CELL))
        for _ in range(3):
            x = nn.relu(nn.Conv(self.width, (3, 3), dtype=self.dtype)(x))
        logits = GAIN * nn.Conv(self.num_slots, (1, 1), dtype=self.dtype)(x)
        attention = nn.softmax(at_least_float32(logits), axis=(1, 2))
        rows, columns = (jnp.linspace(-1, 1, size) for size in logits.shape[1:3])
        # The mean place under each slot's attention.
        return jnp.stack(
            [
                jnp.einsum("byxs,y->bs", attention, rows),
                jnp.einsum("byxs,x->bs", attention, columns),
            ],
            axis=1,
        )


def slot_content(windows: jax.Array, content_dim: int, dtype: Dtype, *, train: bool) -> Content:
    """Returns the content of `windows` `[batch, slots, *]`: the codes of all slots end to end.

    Its layers belong to the module whose compact method calls it; the slots share them.
    """
    batch, slots = windows.shape[:2]
    x = nn.Dense(2 * content_dim, dtype=dtype)(windows)
    x = nn.Dense(content_dim // slots, dtype=dtype)(nn.relu(x))
    x = BatchNorm()(at_least_float32(x), train=train)
    return Content(vector=nn.tanh(x).reshape(batch, -1))


class ContentEncoder(nn.Module):
    """Maps frames `[batch, side, side, channels]` in [0, 1] to `Content`, one code for each slot.

    The slots share the network that reads a window, each through its own mix of the colors.
    """

    content_dim: int
    num_slots: int
    image_size: int
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool) -> Content:
        batch, slots = frames.shape[0], self.num_slots
        places = Places(slots, self.width, self.dtype, name="places")(frames)
        rows, columns = filter_banks(self, places, self.image_size)
        mix = self.param("mix", nn.initializers.normal(0.5), (frames.shape[-1], slots))
        # One axis at a time: a window is the product of its rows and its columns.
        windows = jnp.einsum("bsyi,byxc->bsixc", rows, frames)
        windows = jnp.einsum("bsixc,bsxj,cs->bsij", windows, columns, mix)
        # All pixels of a window in one axis: [batch, slots, window * window].
        windows = windows.reshape(batch, slots, -1)
        return slot_content(windows, self.content_dim, self.dtype, train=train)


class PoseEncoder(nn.Module):
    """Maps frames `[batch, side, side, channels]` in [0, 1] to poses `[batch, pose_dim]`."""

    pose_dim: int
    num_slots: int
    image_size: int
    width: int
    normalize: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool, num_passes: int = 1) -> jax.Array:
        del train, num_passes  # There is nothing to normalize.
        places = Places(self.num_slots, self.width, self.dtype, name="places")(frames)
        pose = nn.tanh(nn.Dense(self.pose_dim)(places.reshape(frames.shape[0], -1)))
        return unit_length(pose) if self.normalize else pose


class Decoder(nn.Module):
    """Maps content and poses `[batch, pose_dim]` to frames `[batch, side, side, channels]`.

    A shared network draws each slot's code as a glyph of two feature maps; another, on every pixel,
    mixes the slots into colors, and content tells it which slot is in front.
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
        hidden = nn.relu(nn.Dense(2 * self.width)(poses))
        places = nn.Dense(2 * slots)(jnp.concatenate([poses, hidden], axis=-1))
        places = nn.tanh(places).reshape(batch, 2, slots)  # (row, column) of every slot.
        rows, columns = filter_banks(self, places, self.image_size)
        codes = content.vector.reshape(batch, slots, -1)
        glyphs = nn.relu(nn.Dense(2 * content.vector.shape[-1], dtype=self.dtype)(codes))
        glyphs = nn.Dense(window * window * 2, dtype=self.dtype)(glyphs)
        glyphs = glyphs.reshape(batch, slots, window, window, 2).astype(rows.dtype)
        canvas = jnp.einsum("bsyi,bsijf->bsyjf", rows, glyphs)
        canvas = jnp.einsum("bsyjf,bsxj->byxsf", canvas, columns)
        # Every pixel sees the features of all slots: [batch, side, side, slots * 2].
        canvas = canvas.reshape(batch, self.image_size, self.image_size, -1)
        context = jnp.concatenate([hidden, content.vector], axis=-1)
        x = nn.Dense(8)(canvas) + nn.Dense(8)(context)[:, None, None]
        # Frames are mostly black: begin there.
        dark = nn.initializers.constant(-3.0)
        return nn.sigmoid(nn.Dense(self.channels, bias_init=dark)(nn.relu(x)))
