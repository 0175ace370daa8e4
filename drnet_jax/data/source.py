"""What training, evaluation and generation need of a data set, whatever it is."""

import abc
from collections.abc import Iterator
from typing import Any

import flax.struct
import jax
import numpy as np

from drnet_jax.base.arrays import Array, Tree
from drnet_jax.data.factors import Factors, Objects


@flax.struct.dataclass
class ClipBatch:
    """Consecutive frames of a batch of clips.

    Attributes:
      frames: uint8 `[batch, time, height, width, channels]`.
      lengths: int32 `[batch]`, the number of real frames of each clip; the frames after them repeat
        the last one. None if all frames are real.
    """

    frames: jax.Array
    lengths: jax.Array | None = None


class Source(abc.ABC):
    """Clips of a training and a test split. Every batch is a function of the seed and its number.

    Training batches come in one of two ways: see `HostSource` and `DeviceSource`.

    Attributes:
      note: one line for people on which data these are.
      stand_in: whether they take the place of data that cannot be had.
      clips_end: whether clips do: of some there is less than was asked for then.
      resolved: settings below `config.data` that were left open, as they turned out.
    """

    note: str
    stand_in: bool = False
    clips_end: bool = False
    resolved: dict[str, str]

    @property
    @abc.abstractmethod
    def max_frames(self) -> int:
        """How many frames a test clip may be asked for: half of them, at least, have so many."""

    @abc.abstractmethod
    def sample(
        self,
        split: str,
        key: jax.Array,
        num_clips: int,
        *,
        num_frames: int = 1,
        unlike: Any = None,
    ) -> Any:
        """Returns `num_clips` random clips of `split`, for the methods below.

        Args:
          split: train or test.
          key: decides which.
          num_clips: how many.
          num_frames: how many frames they must have, at most `max_frames`.
          unlike: as many sampled clips, none of which meets its own content if there is another.
        """

    @abc.abstractmethod
    def frames(self, split: str, clips: Any, times: np.ndarray) -> Array:
        """Returns uint8 frames `[batch, time, height, width, channels]` of sampled clips.

        Args:
          split: of the clips.
          clips: what `sample` returned.
          times: int `[time]`, the same for every clip, or `[batch, time]`. Past the end of a clip
            is its last frame.
        """

    @abc.abstractmethod
    def lengths(self, split: str, clips: Any) -> np.ndarray:
        """Returns int `[batch]`: from which time on `frames` has nothing but the last frame."""

    @abc.abstractmethod
    def random_times(self, split: str, clips: Any, key: jax.Array, num_times: int) -> np.ndarray:
        """Returns int `[batch, num_times]`: random times at most `max_frame_gap` apart."""

    def swap_truth(self, split: str, content: Any, pose: Any, time: int) -> Array | None:
        """Returns what the decoder ought to make of the content of one clip and another's pose.

        Args:
          split: of the clips.
          content: clips whose content counts.
          pose: as many clips, whose pose at `time` counts.
          time: of the pose.

        Returns:
          uint8 `[batch, assignments, height, width, channels]`: where it cannot be told which
          object of one clip goes with which of the other there are several truths. None for data of
          which the truth is not known.
        """
        del split, content, pose, time
        return None

    def factors(self, split: str, clips: Any, times: np.ndarray) -> Factors | None:
        """Returns what is known about frames at `times`, int `[batch, time]`; None: nothing is."""
        del split, clips, times
        return None

    def labels(self, split: str, clips: Any) -> tuple[np.ndarray, list[str]] | None:
        """Returns what kind of motion clips show; None for data of which it is not known.

        These are int `[batch]`, classes from 0 on, and the names of all classes.
        """
        del split, clips
        return None

    def objects(self, split: str, clips: Any, times: np.ndarray) -> Objects | None:
        """Returns the objects to be seen in frames at `times`, int `[batch, time]`.

        None for data whose objects cannot be told apart, or whose positions are not known;
        then there is nothing to `locate` or `cut_out` either.
        """
        del split, clips, times
        return None

    def locate(self, split: str, clips: Any, frames: Array) -> Array | None:
        """Returns where the objects of clips are in frames that somebody painted.

        Args:
          split: of the clips.
          clips: what `sample` returned: their objects are looked for.
          frames: `[batch, time, height, width, channels]`, uint8 or float in [0, 1].

        Returns:
          `[batch, time, objects, 2]`, (row, column) as in `Objects.positions`.
        """
        del split, clips, frames
        return None

    def cut_out(self, frames: Array) -> Array | None:
        """Returns each object in a picture of its own, wherever in the frame it is.

        `frames` are `[..., height, width, channels]`, uint8 or float in [0, 1]; the pictures are
        float `[..., objects, side, side, 1]` in [0, 1].
        """
        del frames
        return None

    def moved(self, objects: Any, tracks: Any) -> Any | None:
        """Returns clips of the objects of some clips that move as those of as many others do.

        None for data that cannot be made.
        """
        del objects, tracks
        return None


class HostSource(Source):
    """Clips whose training batches are made on the host, ahead of the steps that take them."""

    @abc.abstractmethod
    def train_frames(self, first: int, batch_size: int, num_frames: int) -> Iterator[jax.Array]:
        """Yields batches number `first`, `first + 1`, ...: frames at random times of random clips.

        A batch is uint8 `[batch, num_frames, height, width, channels]`, split over the devices; no
        two frames of a clip are further apart than `config.data.max_frame_gap`, the paper's K. With
        `config.data.consecutive` frames of a clip follow each other instead.
        """

    @abc.abstractmethod
    def train_clips(self, first: int, batch_size: int, num_frames: int) -> Iterator[ClipBatch]:
        """Yields batches number `first`, `first + 1`, ... of consecutive frames."""


class DeviceSource(Source):
    """Clips whose training batches are made on the devices, by the program that learns from them.

    The methods may be traced, over the number too.

    Attributes:
      arrays: what batches are made of, on the devices: an argument of the program, not part of it.
    """

    arrays: Tree

    @abc.abstractmethod
    def draw_frames(
        self, arrays: Tree, number: jax.Array | int, batch_size: int, num_frames: int
    ) -> jax.Array:
        """Returns one batch of those that `HostSource.train_frames` yields."""

    @abc.abstractmethod
    def draw_clips(
        self, arrays: Tree, number: jax.Array | int, batch_size: int, num_frames: int
    ) -> ClipBatch:
        """Returns one batch of those that `HostSource.train_clips` yields."""
