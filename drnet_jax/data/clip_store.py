"""The prepared clips of one split: factors in memory, frames in memory or on disk."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from drnet_jax.data.frames_file import ClipRecords, FramesFile
from drnet_jax.data.preparation.builder import ClipBuilder, damaged, without_frames

_RECORDS_AT_ONCE = 64  # Enough for the reader's threads, and few enough for any memory.


class ClipStore:
    """Clips by number; opening the store checks them all, before any work starts.

    Attributes:
      names: the names of the clips.
      lengths: int32 `[num_clips]`, the number of frames of each.
      factors: the factors of each clip, by name.
      contents: int `[num_clips]`, equal for clips of the same content.
      clusters: int `[num_clips]`, equal for clips that may depend on each other.
      in_memory: whether the frames are in memory.
    """

    def __init__(self, builder: ClipBuilder, split: str, max_bytes: float):
        """Opens the clips, and reads their frames into memory if they fit into `max_bytes`.

        Otherwise the frames are unpacked on disk, once for this and all later runs, so that a
        step reads no more than it needs; without room for that, it reads whole clips.

        Raises:
          ValueError: when a record is damaged.
        """
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        self._builder = builder
        self._records = builder.as_data_source(split=split, deserialize_method=raw)
        clips, self._frames = self._open(FramesFile(builder, split), max_bytes)
        self.in_memory = self._frames is not None and not isinstance(self._frames, np.memmap)
        self.names: list[str] = [clip.pop("name").decode() for clip in clips]
        self.lengths = np.array([clip.pop("length") for clip in clips], np.int32)
        self.factors: list[Mapping[str, Any]] = clips
        self.contents = self._groups(builder.CONTENT)
        self.clusters = self._groups(builder.CLUSTER or builder.CONTENT)
        self._starts = np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return len(self.names)

    def gather(self, clips: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Returns uint8 frames `[batch, time, height, width, channels]`.

        `clips` are int `[batch]`, numbers of clips; `times` are int `[batch, time]`.
        """
        if self._frames is not None:
            # The frames of all clips follow one another.
            return self._frames[self._starts[clips][:, None] + times]
        records = self._records.__getitems__(clips.tolist())
        whole = [self._builder.deserialize(record)["frames"] for record in records]
        return np.stack([frames[row] for frames, row in zip(whole, times, strict=True)])

    def _groups(self, factors: tuple[str, ...]) -> np.ndarray:
        """Returns int `[num_clips]`, equal for clips with the same values of all `factors`."""
        shared = [tuple(clip[name] for name in factors) for clip in self.factors]
        # Without factors, every clip is a group of its own.
        keys = shared if factors else self.names
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([numbers[key] for key in keys])

    def _open(
        self, unpacked: FramesFile, max_bytes: float
    ) -> tuple[ClipRecords, np.ndarray | None]:
        """Returns the decoded records, and all frames; None if only the records hold frames."""
        if stored := unpacked.load():
            clips, frames = stored
            return clips, np.array(frames) if frames.nbytes <= max_bytes else frames
        clips, frames, num_bytes = [], [], 0
        for _, clip in self._read_all():
            frames.append(clip["frames"])
            clips.append(without_frames(clip))
            num_bytes += frames[-1].nbytes
            if num_bytes > max_bytes:
                break
        else:
            return clips, np.concatenate(frames)
        frames.clear()  # The memory is needed while the frames are unpacked.
        try:
            return unpacked.write(record for record, _ in self._read_all())
        except OSError as error:
            logging.warning(
                "Clips are read slowly: they cannot be unpacked in %s (%s).",
                *(self._builder.data_path, error.strerror or error),
            )
            return [without_frames(clip) for _, clip in self._read_all()], None

    def _read_all(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yields every record in order, raw and decoded."""
        try:
            for begin in range(0, len(self._records), _RECORDS_AT_ONCE):
                numbers = range(begin, min(begin + _RECORDS_AT_ONCE, len(self._records)))
                for record in self._records.__getitems__(numbers):
                    yield record, self._builder.deserialize(record)
        except Exception as error:  # Each layer below raises its own errors on damaged files.
            raise damaged(self._builder.data_path, error) from error
