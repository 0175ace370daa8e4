"""Where training and evaluation get their frames from."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drnet_jax import sharding
from drnet_jax.data.digits import Digits
from drnet_jax.data.moving_mnist import MovingMnist
from drnet_jax.data.tracks import Tracks


class MovingMnistSource:
    """Batches of Moving MNIST, made on the devices; every batch is a function of its key alone.

    Attributes:
      generator: settings and rendering.
      note: one line for people on which digits these are.
      num_digits: how many pictures each split has.
    """

    def __init__(self, generator: MovingMnist, digits: Digits, max_step: int, mesh: Mesh):
        """Puts the digits on the devices.

        Args:
          generator: settings and rendering.
          digits: the real digits; the test split's never occur in training clips.
          max_step: K, the longest distance in time of two frames that training compares.
          mesh: training batches come out split over it.
        """
        self.generator = generator
        self.note = digits.note
        images = {"train": digits.train_images, "test": digits.test_images}
        self.num_digits = {split: len(array) for split, array in images.items()}
        self._max_step = max_step
        self._images = {
            split: jax.device_put(generator.resize(array), sharding.replicated(mesh))
            for split, array in images.items()
        }
        split_over_devices = sharding.batch_split(mesh)
        self._train_frames = jax.jit(
            self._random_frames, static_argnums=(2, 3), out_shardings=split_over_devices
        )
        self._train_clips = jax.jit(
            self._consecutive_frames, static_argnums=(2, 3), out_shardings=split_over_devices
        )
        self._sample = jax.jit(generator.sample, static_argnums=(1, 2))
        self._render = jax.jit(generator.render)

    def _random_frames(self, images, key, batch_size, num_frames):
        key, time_key = jax.random.split(key)
        tracks = self.generator.sample(key, batch_size, len(images))
        shape = (batch_size, num_frames)
        times = jax.random.randint(time_key, shape, 0, self._max_step + 1)
        return self.generator.render(images, tracks, times)

    def _consecutive_frames(self, images, key, batch_size, num_frames):
        tracks = self.generator.sample(key, batch_size, len(images))
        times = jnp.broadcast_to(jnp.arange(num_frames), (batch_size, num_frames))
        return self.generator.render(images, tracks, times)

    def train_frames(self, key: jax.Array, batch_size: int, num_frames: int) -> jax.Array:
        """Returns uint8 `[batch, num_frames, ...]`: frames of a clip at random times in [0, K]."""
        return self._train_frames(self._images["train"], key, batch_size, num_frames)

    def train_clips(self, key: jax.Array, batch_size: int, num_frames: int) -> jax.Array:
        """Returns uint8 `[batch, num_frames, ...]`: the first frames of random clips, in order."""
        return self._train_clips(self._images["train"], key, batch_size, num_frames)

    def sample(self, split: str, key: jax.Array, batch_size: int) -> Tracks:
        """Returns random clips of `split`, as what generates them."""
        return self._sample(key, batch_size, self.num_digits[split])

    def render(self, split: str, tracks: Tracks, times: np.ndarray) -> jax.Array:
        """Returns the true uint8 frames `[batch, time, ...]` of clips of `split` at any `times`.

        `times` are `[time]`, the same for every clip, or `[batch, time]`.
        """
        times = np.broadcast_to(times, (len(tracks.front), np.shape(times)[-1]))
        return self._render(self._images[split], tracks, times.astype(np.int32))
