"""Prepared clips of one split: what is known about them in memory, frames there or on disk."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from absl import logging
from etils import epath

from drnet_jax.data.preparation.builder import ClipBuilder

_RECORDS_AT_ONCE = 64


class ClipStore:
    """Clips by number, read once in whole, so that damage is found before work starts.

    Attributes:
      names: of the clips.
      lengths: int32 `[num_clips]`, frames of each.
      factors: what is known about each clip, by name of the factor.
      contents: int `[num_clips]`, the same for clips of the same content.
      in_memory: whether the frames are.
    """

    def __init__(self, builder: ClipBuilder, split: str, max_bytes: float):
        """Reads the index, and the frames, into memory if they fit into `max_bytes`.

        Otherwise they are unpacked on disk for as long as this process lasts, so that a step
        reads no more than its frames; without room for that, it reads whole clips.

        Raises:
          ValueError: when a record is damaged.
        """
        self._source = builder.as_data_source(split=split)
        size = builder.builder_config.image_size
        self._frame_shape = (size, size, builder.channels)
        self.names: list[str] = []
        self.factors: list[Mapping[str, Any]] = []
        with contextlib.ExitStack() as stack:
            frames = _Frames(max_bytes, builder.data_path, stack)
            for record in _read_all(self._source, builder.data_path):
                frames.append(record.pop("frames"))
                self.names.append(record.pop("name").decode())
                self.factors.append(record)
            self._frames = frames.finish()
        self.lengths = np.array([factors.pop("length") for factors in self.factors], np.int32)
        self.in_memory = frames.in_memory
        shared = [tuple(f[name] for name in builder.CONTENT) for f in self.factors]
        keys = shared if builder.CONTENT else self.names
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self.contents = np.array([numbers[key] for key in keys])
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
        # A record is a clip: the least that can be read of what is packed.
        for row, record in enumerate(self._source.__getitems__(clips.tolist())):
            frames[row] = record["frames"][times[row]]
        return frames


class _Frames:
    """Collects frames: in memory while they fit, then unpacked in a file that has no name.

    From such a file single frames can be read, from a record only a whole clip.
    """

    def __init__(self, max_bytes: float, folder: epath.Path, stack: contextlib.ExitStack):
        """Begins; the file, if need be, lies beside `folder` and is closed by `stack`."""
        self.in_memory = True
        self._max_bytes, self._folder, self._stack = max_bytes, folder, stack
        self._kept: list[np.ndarray] = []
        self._num_bytes = 0
        self._file = None

    def append(self, frames: np.ndarray) -> None:
        """Adds `frames`, uint8 `[time, height, width, channels]`."""
        self._shape = frames.shape[1:]
        self._num_bytes += frames.nbytes
        self._kept.append(frames)
        if self.in_memory and self._num_bytes > self._max_bytes:
            self.in_memory = False
            self._write(open_file=True)
        elif not self.in_memory:
            self._write()

    def finish(self) -> np.ndarray | None:
        """Returns all frames, `[num, height, width, channels]`; None where no file can be."""
        if self.in_memory:
            return np.concatenate(self._kept)
        if self._file is None:
            return None
        # Mapped, which outlasts the open file; the system keeps what is read while it has room.
        return np.memmap(self._file, np.uint8, "r").reshape(-1, *self._shape)

    def _write(self, *, open_file: bool = False) -> None:
        try:
            if open_file:
                self._file = self._stack.enter_context(
                    tempfile.TemporaryFile(dir=self._folder.parent)  # noqa: SIM115 (the stack is one)
                )
            if self._file is not None:
                for frames in self._kept:
                    self._file.write(frames)
                self._file.flush()
        except OSError as error:
            reason = error.strerror or error
            logging.warning(
                "Clips are read slowly: they cannot be unpacked beside %s (%s).",
                *(self._folder, reason),
            )
            if self._file is not None:
                with contextlib.suppress(OSError):  # Closing would write what is left.
                    self._file.close()
                self._file = None
        self._kept.clear()


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
