"""The interface between a data set and training, evaluation and generation."""

import abc
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from drnet_jax.base.arrays import Tree
from drnet_jax.data.ground_truth import GroundTruth

Clips = Any
"""Clips that a source has sampled: a pytree of NumPy arrays, each with one row per clip."""


LookUp = Callable[[np.ndarray, np.ndarray], Tree]
"""From the numbers of clips, int `[batch]`, and frame numbers within them, int `[batch, time]`, to
arrays with one row per clip."""


class Source(abc.ABC):
    """Clips of a training and a test split; seed and batch number determine a batch.

    Training batches are made on the host (`HostSource`) or on the devices (`DeviceSource`).

    Attributes:
      note: one line that tells people which data these are.
      stand_in: whether the clips stand in for data that are not available.
      clips_end: whether clips end; otherwise every clip goes on forever.
      resolved: the values chosen for settings below `config.data` that were left open.
      truth: what is known about the clips.
    """

    note: str
    stand_in: bool = False
    clips_end: bool = False
    resolved: dict[str, str]
    truth: GroundTruth

    @property
    @abc.abstractmethod
    def max_frames(self) -> int:
        """The most frames to ask of a clip; if clips end, the median length of test clips."""

    @abc.abstractmethod
    def sample(
        self,
        split: str,
        key: jax.Array,
        num_clips: int,
        *,
        num_frames: int = 1,
        unlike: Clips | None = None,
    ) -> Clips:
        """Returns `num_clips` random clips of `split`, train or test, determined by `key`.

        Args:
          num_frames: the least number of frames of each clip, at most `max_frames`.
          unlike: `num_clips` clips; each new clip shows other content than its counterpart here, if
            the split has other content, and is another clip, if it has several.
        """

    @abc.abstractmethod
    def reordered(self, number: int) -> "Source":
        """Returns a source of the same clips whose training batches, by `number`, are others."""

    def all_clips(self, split: str, num_frames: int = 1) -> Clips | None:
        """Returns all clips of `split` with at least `num_frames` frames, from their beginning.

        None if clips are generated without end.
        """
        return None

    def frame_counts(self, split: str) -> np.ndarray | None:
        """Returns int `[num_clips]`, the number of different frames of each of `all_clips`."""
        return None

    def identities(self, split: str, clips: Clips, times: np.ndarray) -> np.ndarray | None:
        """Returns what a sample of each clip consists of: equal rows are equal samples.

        int `[batch, 1 + time]`, the number of the clip in the split and its frames at `times`,
        which are as for `frames`. None if clips are generated without end.
        """
        return None

    def clusters(self, split: str, clips: Clips) -> np.ndarray | None:
        """Returns int `[batch]`, equal for clips that may depend on each other.

        These are clips of the same object or person, or from the same file. None if clips are
        generated without end: all are independent.
        """
        return None

    def has_labels(self, num_frames: int) -> bool:
        """Returns whether both splits have clips of `num_frames` with labels of several classes."""
        for split in ("train", "test"):
            labels = self.truth.labels(split, self.all_clips(split, num_frames))
            if labels is None or len(labels[1]) < 2 or not len(labels[0]):
                return False
        return True

    @abc.abstractmethod
    def frames(self, split: str, clips: Clips, times: np.ndarray) -> np.ndarray:
        """Returns uint8 frames `[batch, time, height, width, channels]` of sampled clips.

        `times` are int `[time]`, the same for every clip, or `[batch, time]`. A clip that ends
        repeats its last frame.
        """

    @abc.abstractmethod
    def lengths(self, split: str, clips: Clips) -> np.ndarray:
        """Returns int `[batch]`, the number of frames after which `frames` repeats the last one."""

    @abc.abstractmethod
    def random_times(self, split: str, clips: Clips, key: jax.Array, num_times: int) -> np.ndarray:
        """Returns int `[batch, num_times]`, random times at most `max_frame_gap` apart."""


class HostSource(Source):
    """Clips whose training batches are made on the host, ahead of the steps that use them."""

    @abc.abstractmethod
    def train_frames(self, first: int, batch_size: int, num_frames: int) -> Iterator[jax.Array]:
        """Yields batches number `first`, `first + 1`, ...: frames at random times of random clips.

        A batch is uint8 `[batch, num_frames, height, width, channels]`, split over the devices. Two
        frames of a clip are at most `config.data.max_frame_gap` apart, the paper's K. With
        `config.data.consecutive` the frames of a clip are consecutive instead.
        """

    @abc.abstractmethod
    def train_clips(
        self, first: int, batch_size: int, num_frames: int, look_up: LookUp
    ) -> Iterator[tuple[Tree, jax.Array]]:
        """Yields batches number `first`, `first + 1`, ... of `num_frames` consecutive frames.

        A batch is what `look_up` returns for its clips, split over the devices, and int32
        `[batch]`, the number of real frames of each clip; those after them repeat the last one.
        Clips are numbered as in `all_clips("train")`. `look_up` is called from several threads.
        """


class DeviceSource(Source):
    """Clips whose training batches are made on the devices, within the training program.

    JAX can trace its methods; `number` may be traced as well.

    Attributes:
      arrays: what batches are made from, on the devices. The training program takes them as an
        argument, as otherwise they would become constants of the program.
    """

    arrays: Tree

    @abc.abstractmethod
    def draw_frames(
        self, arrays: Tree, number: jax.Array | int, batch_size: int, num_frames: int
    ) -> jax.Array:
        """Returns batch `number`, as `HostSource.train_frames` would yield it."""

    @abc.abstractmethod
    def draw_clips(
        self, arrays: Tree, number: jax.Array | int, batch_size: int, num_frames: int
    ) -> jax.Array:
        """Returns batch `number`: frames 0, 1, ... of random clips, shaped as in `draw_frames`."""


def num_clips(clips: Clips) -> int:
    """Returns the number of sampled clips."""
    return len(jax.tree.leaves(clips)[0])


def select(clips: Clips, rows: np.ndarray | slice) -> Clips:
    """Returns the clips in `rows`, in that order."""
    return jax.tree.map(lambda array: array[rows], clips)


def equal_batches(clips: Clips, size: int) -> Iterator[Clips]:
    """Yields batches of `size` clips: all clips, then the first ones again to fill the last batch.

    All batches are equally large, so that one compiled program serves them all.
    """
    total = num_clips(clips)
    for begin in range(0, total, size):
        yield select(clips, np.arange(begin, begin + size) % total)
