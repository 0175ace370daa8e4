"""Moving MNIST as a source: endless clips, made on the devices, for scores on the host."""

import copy
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drnet_jax.base import prng, sharding
from drnet_jax.data.moving_mnist.digits import Digits
from drnet_jax.data.moving_mnist.generator import MovingMnist
from drnet_jax.data.moving_mnist.tracks import NUM_TIMES, Tracks
from drnet_jax.data.moving_mnist.truth import MovingMnistTruth
from drnet_jax.data.source import DeviceSource, select

VALIDATION_EVERY = 10
"""One in this many training digits is held out for a validation split."""


class MovingMnistSource(DeviceSource):
    """Batches of Moving MNIST; the sampled clips are `Tracks`.

    Attributes:
      generator: the settings and the rendering of clips.
      digits: the real digits, of the size that they had in their files.
      num_digits: the number of digits of each split.
    """

    max_frames = NUM_TIMES  # The motion never ends, but the tables do.

    def __init__(
        self,
        generator: MovingMnist,
        digits: Digits,
        *,
        max_frame_gap: int,
        consecutive: bool = False,
        key: jax.Array,
        mesh: Mesh,
    ):
        """Puts the digits on the devices.

        Args:
          generator: the settings and the rendering of clips.
          digits: the real digits; those of the test split never occur in training clips.
          max_frame_gap: K, the longest distance in time of two frames that training compares.
          consecutive: whether the first stage sees consecutive frames of a clip.
          key: the run's key; a batch is a function of it and of the batch's number.
          mesh: all devices.
        """
        self.generator, self.digits = generator, digits
        self.note = digits.note
        self.resolved = {"digits": digits.source}
        self._max_frame_gap, self._consecutive, self._key = max_frame_gap, consecutive, key
        images = {"train": digits.train_images, "test": digits.test_images}
        self.num_digits = {split: len(array) for split, array in images.items()}
        images = {split: generator.resize(array) for split, array in images.items()}
        # device_put would wait for the other processes, to compare their digits.
        self.arrays = jax.make_array_from_process_local_data(
            sharding.replicated(mesh), images["train"]
        )
        self._images = images
        self._sample = jax.jit(generator.sample, static_argnums=1)
        labels = {"train": digits.train_labels, "test": digits.test_labels}
        self.truth = MovingMnistTruth(generator, images, labels)

    def reordered(self, number: int) -> "MovingMnistSource":
        source = copy.copy(self)
        source._key = prng.stream(self._key, "reordered", number)
        return source

    def draw_frames(
        self, arrays: jax.Array, number: jax.Array | int, batch_size: int, num_frames: int
    ) -> jax.Array:
        key, time_key = jax.random.split(prng.stream(self._key, "drnet frames", number))
        tracks = self.generator.sample(key, batch_size, len(arrays))
        if self._consecutive:
            first = self._draw_times(time_key, batch_size, 1)
            times = first + jnp.arange(num_frames)
        else:
            times = self._draw_times(time_key, batch_size, num_frames)
        return self.generator.render(arrays, tracks, times)

    def draw_clips(
        self, arrays: jax.Array, number: jax.Array | int, batch_size: int, num_frames: int
    ) -> jax.Array:
        key = prng.stream(self._key, "predictor frames", number)
        tracks = self.generator.sample(key, batch_size, len(arrays))
        times = jnp.broadcast_to(jnp.arange(num_frames), (batch_size, num_frames))
        return self.generator.render(arrays, tracks, times)

    def _draw_times(self, key, batch_size, num_times):
        return jax.random.randint(key, (batch_size, num_times), 0, self._max_frame_gap + 1)

    def sample(
        self,
        split: str,
        key: jax.Array,
        num_clips: int,
        *,
        num_frames: int = 1,
        unlike: Tracks | None = None,
    ) -> Tracks:
        del num_frames, unlike  # No clip ends, and two random clips are hardly ever alike.
        tracks = self._sample(key, _program_size(num_clips), self.num_digits[split])
        return select(jax.device_get(tracks), slice(num_clips))

    def frames(self, split: str, clips: Tracks, times: np.ndarray) -> np.ndarray:
        times = np.broadcast_to(times, (len(clips.front), np.shape(times)[-1]))
        return self.generator.render_on_host(self._images[split], clips, times)

    def lengths(self, split: str, clips: Tracks) -> np.ndarray:
        del split
        return np.full(len(clips.front), self.max_frames)

    def random_times(self, split: str, clips: Tracks, key: jax.Array, num_times: int) -> np.ndarray:
        del split
        num_clips = len(clips.front)
        return np.asarray(self._draw_times(key, _program_size(num_clips), num_times))[:num_clips]


def _program_size(num_clips: int) -> int:
    """Returns for how many clips, at least `num_clips`, to draw random numbers.

    The first rows do not depend on the number of rows, so that one compiled program serves nearly
    every number of clips.
    """
    return -(-num_clips // 1000) * 1000


def without_test_digits(digits: Digits) -> Digits:
    """Returns digits with held-out training digits as the test split, for choosing settings.

    Raises:
      ValueError: if there are too few training digits to hold any out.
    """
    held_out = np.arange(len(digits.train_images)) % VALIDATION_EVERY == VALIDATION_EVERY - 1
    if not held_out.any():
        raise ValueError(
            f"config.data.validation=True with {len(held_out)} training digits; allowed: "
            f"{VALIDATION_EVERY} and more."
        )
    return dataclasses.replace(
        digits,
        train_images=digits.train_images[~held_out],
        train_labels=digits.train_labels[~held_out],
        test_images=digits.train_images[held_out],
        test_labels=digits.train_labels[held_out],
        note=f"{digits.note}; VALIDATION: {held_out.sum():,} of the training digits are held out "
        "and scored on, the test digits are not used",
    )
