"""Moving MNIST, rendered on device or host: any frame of a clip, from its key and the digits.

Source: drnet-py, data/moving_mnist/generator.py; Denton & Birodkar 2017, section 4.1.
"""

import dataclasses
import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from drnet_jax.data.moving_mnist.tracks import Tracks, clamped_positions, reflected_positions

MARGIN = 2
"""Pixels around a digit in `cut_out`."""


@dataclasses.dataclass(frozen=True)
class MovingMnist:
    """The settings of the generator; its methods are pure, and JAX can trace those of JAX."""

    image_size: int  # Side of a frame in pixels.
    digit_size: int  # Side of a digit in pixels.
    num_digits: int  # Number of digits in a clip, 1 to 3.
    colored: bool  # Whether digit n is drawn in color channel n of 3; else all share a gray one.
    speeds: tuple[int, int]  # Lowest and highest velocity on an axis in pixels per step, inclusive.
    zero_speeds: bool  # Whether a digit may stand still on an axis.
    motion: Literal["clamp", "reflect"]  # What happens at the border; see tracks.py.
    blending: Literal["occlude", "add"]  # Gray levels of digits that overlap: the front one's; sum.

    def __post_init__(self):
        if not 1 <= self.num_digits <= 3:
            raise ValueError(f"data.num_digits={self.num_digits}; allowed: 1, 2, 3.")
        if not 0 < self.digit_size < self.image_size:
            raise ValueError(
                f"data.digit_size={self.digit_size}; allowed: 1 to {self.image_size - 1}, "
                f"below data.image_size={self.image_size}."
            )
        low, high = self.speeds
        if not -self.span < low <= high < self.span:
            raise ValueError(
                f"data.speeds={tuple(self.speeds)}; allowed: least <= greatest, "
                f"both between {1 - self.span} and {self.span - 1}."
            )
        if low == high == 0 and not self.zero_speeds:
            raise ValueError("data.speeds=(0, 0) with data.zero_speeds=False leaves no velocity.")

    @property
    def span(self) -> int:
        """Number of positions of a digit on an axis."""
        # The authors' generator never uses the last position that fits in.
        return self.image_size - self.digit_size + (self.motion == "reflect")

    def resize(self, images: np.ndarray) -> np.ndarray:
        """Returns uint8 digits `[n, digit_size, digit_size]` from `[n, 28, 28]`, bilinear.

        Digits that have that size already stay what they are.
        """
        size = (self.digit_size, self.digit_size)
        resized = [Image.fromarray(i).resize(size, Image.Resampling.BILINEAR) for i in images]
        return np.stack([np.asarray(image) for image in resized])

    def sample(self, key: jax.Array, batch_size: int, num_choices: int) -> Tracks:
        """Returns `batch_size` random clips of digits drawn from `num_choices`."""
        keys = jax.random.split(key, 4)
        low, high = self.speeds
        velocities = jnp.int32([v for v in range(low, high + 1) if v or self.zero_speeds])
        shape = (batch_size, self.num_digits, 2)
        return Tracks(
            digits=jax.random.randint(keys[0], shape[:2], 0, num_choices),
            positions=jax.random.randint(keys[1], shape, 0, self.span),
            velocities=jax.random.choice(keys[2], velocities, shape),
            front=jax.random.randint(keys[3], shape[:1], 0, self.num_digits),
        )

    def positions(self, tracks: Tracks, times: jax.Array) -> jax.Array:
        """Returns positions, int32 `[batch, time, num_digits, 2]`; `times` are `[batch, time]`."""
        if self.motion == "reflect":
            return reflected_positions(tracks, times, self.span)
        return clamped_positions(tracks, times, self.span, max(abs(v) for v in self.speeds))

    def render(self, digits: jax.Array, tracks: Tracks, times: jax.Array) -> jax.Array:
        """Returns uint8 frames `[batch, time, image_size, image_size, channels]`.

        Args:
          digits: uint8 `[n, digit_size, digit_size]`, the digits of a split.
          tracks: the clips.
          times: int32 `[batch, time]`.
        """
        corners = self.positions(tracks, times)
        ways = dict(cuda=self.layers_by_look_up, default=self.layers_by_products)
        layers = jax.lax.platform_dependent(digits, tracks.digits, corners, **ways)
        if self.blending == "occlude":
            is_front = jnp.arange(self.num_digits) == tracks.front[:, None]  # [batch, num_digits]
            is_front = is_front[:, None, None, None]  # [batch, 1, 1, 1, num_digits]
            front = jnp.max(jnp.where(is_front, layers, 0), axis=-1, keepdims=True)
            layers = jnp.where(is_front | (front == 0), layers, 0)
        if self.colored:
            empty = 3 - self.num_digits
            return jnp.pad(layers, ((0, 0),) * 4 + ((0, empty),))
        if self.blending == "add":
            total = jnp.sum(layers, axis=-1, keepdims=True, dtype=jnp.int32)
            return jnp.minimum(total, 255).astype(jnp.uint8)
        return jnp.max(layers, axis=-1, keepdims=True)

    def render_on_host(self, digits: np.ndarray, tracks: Tracks, times: np.ndarray) -> np.ndarray:
        """Returns the same as `render`, drawn digit by digit with NumPy: nothing to compile."""
        corners, side = self.positions(tracks, times), self.digit_size
        shape = (*times.shape, self.image_size, self.image_size, 3 if self.colored else 1)
        adds, occludes = self.blending == "add", self.blending == "occlude"
        frames = np.zeros(shape, np.uint16 if adds else np.uint8)
        for clip, front in enumerate(tracks.front):
            # The front one last, as it hides what is there already.
            order = sorted(range(self.num_digits), key=lambda n: n == front)
            for time, n in itertools.product(range(times.shape[1]), order):
                row, column = corners[clip, time, n]
                picture = digits[tracks.digits[clip, n]]
                covered = frames[clip, time, row : row + side, column : column + side]
                if occludes and n == front:
                    covered *= (picture == 0)[:, :, None]
                ink = covered[:, :, n if self.colored else 0]
                (np.add if adds else np.maximum)(ink, picture, out=ink)
        return np.minimum(frames, 255).astype(np.uint8) if adds else frames

    def layers_by_products(
        self, digits: jax.Array, chosen: jax.Array, corners: jax.Array
    ) -> jax.Array:
        """Returns each digit alone, uint8 `[batch, time, image_size, image_size, num_digits]`.

        Products with one-hot matrices place the digits. They are exact, since each sum has one term
        and 8 bits fit every matrix unit, and avoid gathers of single pixels, slow on TPUs.

        Args:
          digits: uint8 `[n, digit_size, digit_size]`.
          chosen: int32 `[batch, num_digits]`, which of `digits` move in each clip.
          corners: int32 `[batch, time, num_digits, 2]`, their upper left corners.
        """
        pictures = digits[chosen].astype(jnp.float32)  # [batch, num_digits, side, side]
        covered = corners[..., None, None] + jnp.arange(self.digit_size)
        # [batch, time, num_digits, 2, image_size, digit_size]
        place = (jnp.arange(self.image_size)[:, None] == covered).astype(jnp.float32)
        rows, columns = place[:, :, :, 0], place[:, :, :, 1]
        layers = jnp.einsum("btnyi,bnij,btnxj->btyxn", rows, pictures, columns)
        return layers.astype(jnp.uint8)

    def layers_by_look_up(
        self, digits: jax.Array, chosen: jax.Array, corners: jax.Array
    ) -> jax.Array:
        """Returns the same as `layers_by_products`, gathered pixel by pixel: one kernel on GPUs."""
        places = jnp.arange(self.image_size)
        # [batch, time, row, column, num_digits]
        rows = (places[:, None] - corners[:, :, None, :, 0])[:, :, :, None]
        columns = (places[:, None] - corners[:, :, None, :, 1])[:, :, None]
        inside = jnp.minimum(rows, columns) >= 0
        inside &= jnp.maximum(rows, columns) < self.digit_size
        pixels = digits.at[chosen[:, None, None, None], rows, columns].get(mode="clip")
        return jnp.where(inside, pixels, 0)

    @property
    def separable(self) -> bool:
        """Whether each digit has a channel to itself; if so, digit n has channel n."""
        return self.colored or self.num_digits == 1

    def locate(self, pictures: jax.Array, frames: jax.Array) -> jax.Array:
        """Returns int `[batch, time, num_digits, 2]`, the best-matching position of each digit.

        A matched filter: of all positions, the one at which the true picture of the digit has the
        largest correlation with its channel of the frame, and so the least squared distance to it.

        Args:
          pictures: uint8 `[batch, num_digits, digit_size, digit_size]`, the digits of each clip.
          frames: float `[batch, time, image_size, image_size, channels]`, with `separable` digits.
        """
        size = (self.image_size, self.image_size)
        layers = jnp.moveaxis(frames[..., : self.num_digits], -1, 2)
        # The correlation does not wrap around: every position keeps the digit inside the frame.
        spectrum = jnp.conj(jnp.fft.rfft2(pictures.astype(jnp.float32), size))[:, None]
        fit = jnp.fft.irfft2(jnp.fft.rfft2(layers) * spectrum, size)
        fit = fit[..., : self.span, : self.span]
        best = jnp.argmax(fit.reshape(*fit.shape[:-2], -1), axis=-1)
        return jnp.stack(jnp.divmod(best, self.span), axis=-1)

    def cut_out(self, frames: jax.Array) -> jax.Array:
        """Returns float `[..., num_digits, side, side, 1]`, each digit alone, its ink centered.

        `side` is `digit_size` plus two margins. `frames` are float `[..., height, width, channels]`
        with `separable` digits. Ink is weighted by its square, so that a faint gray over the whole
        frame does not shift the center.
        """
        side = self.digit_size + 2 * MARGIN
        layers = jnp.moveaxis(frames[..., : self.num_digits], -1, -3)
        flat = layers.reshape(-1, self.image_size, self.image_size)
        ink = jnp.square(flat)
        places = jnp.arange(self.image_size)
        total = jnp.maximum(jnp.sum(ink, axis=(1, 2)), 1e-6)
        middle = jnp.stack([jnp.sum(ink, axis) @ places / total for axis in (2, 1)], axis=1)
        # In the padded frame, the frame itself begins at (side, side).
        corners = jnp.round(middle).astype(jnp.int32) - side // 2 + side
        padded = jnp.pad(flat, ((0, 0), (side, side), (side, side)))
        cut = jax.vmap(lambda layer, at: jax.lax.dynamic_slice(layer, at, (side, side)))
        return cut(padded, corners).reshape(*layers.shape[:-2], side, side, 1)
