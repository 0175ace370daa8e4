"""Prepared clips of one split: what is known about them in memory, frames there or on disk."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from etils import epath

from drnet_jax.data.builder import ClipBuilder

_RECORDS_AT_ONCE = 64


class ClipStore:
    """Clips by number, read once in whole, so that damage is found before work starts.

    Attributes:
      names: of the clips.
      lengths: int32 `[num_clips]`, frames of each.
      factors: what is known about each clip, by name of the factor.
      in_memory: whether the frames are.
    """

    def __init__(self, builder: ClipBuilder, split: str, max_bytes: float):
        """Reads the index, and the frames too if they fit into `max_bytes`.

        Raises:
          ValueError: when a record is damaged.
        """
        self._source = builder.as_data_source(split=split)
        size = builder.builder_config.image_size
        self._frame_shape = (size, size, builder.channels)
        self.names: list[str] = []
        self.factors: list[Mapping[str, Any]] = []
        kept, num_bytes = [], 0
        for record in _read_all(self._source, builder.data_path):
            frames = record.pop("frames")
            num_bytes += frames.nbytes
            if num_bytes <= max_bytes:
                kept.append(frames)
            else:
                kept.clear()
            self.names.append(record.pop("name").decode())
            self.factors.append(record)
        self.lengths = np.array([factors.pop("length") for factors in self.factors], np.int32)
        self.in_memory = num_bytes <= max_bytes
        self._frames = np.concatenate(kept) if self.in_memory else None
        self._starts = np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return len(self.names)

    def gather(self, clips: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Returns uint8 frames `[batch, time, height, width, channels]`.

        Args:
          clips: int `[batch]`, numbers of clips.
          times: int `[batch, time]`, each within its clip.
        """
        if self._frames is not None:
            return self._frames[self._starts[clips][:, None] + times]
        frames = np.empty((*times.shape, *self._frame_shape), np.uint8)
        # A record is a clip: the least that can be read.
        for row, record in enumerate(self._source.__getitems__(clips.tolist())):
            frames[row] = record["frames"][times[row]]
        return frames


def _read_all(source, folder: epath.Path) -> Iterator[dict[str, Any]]:
    """Yields all records, in order."""
    try:
        for begin in range(0, len(source), _RECORDS_AT_ONCE):
            numbers = range(begin, min(begin + _RECORDS_AT_ONCE, len(source)))
            yield from source.__getitems__(numbers)
    except Exception as error:  # Each layer below raises errors of its own on damaged files.
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"The prepared data in {folder} are damaged ({words}); delete that folder."
        ) from error
