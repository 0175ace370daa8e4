"""The unpacked frames of a split in one file, which later runs map into memory."""

import pathlib
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from drnet_jax.base import files
from drnet_jax.data.preparation.builder import ClipBuilder

ClipRecords = list[dict[str, Any]]
"""The decoded records of a split, without their frames."""


class FramesFile:
    """Two files beside the records of a split: its frames, and the rest of its records.

    The file of frames gives access to single frames; a record only to a whole clip. The files can
    be deleted at any time: they are written again when they are missing, damaged or outdated.
    """

    def __init__(self, builder: ClipBuilder, split: str):
        """Looks up where the files are; reads nothing yet."""
        folder = pathlib.Path(builder.data_path)
        self._frames, self._index = folder / f"{split}.frames", folder / f"{split}.index"
        self._title = builder.CARD.title
        features = dict(builder.info.features)
        self._frame_shape = features.pop("frames").shape[1:]
        self._features = tfds.features.FeaturesDict(features)
        records = [(path.name, path.stat().length) for path in builder.info.splits[split].filepaths]
        self._fingerprint = (records, self._frame_shape)

    def load(self) -> tuple[ClipRecords, np.ndarray] | None:
        """Returns the records and all frames, mapped, uint8 `[num, height, width, channels]`.

        Reads the frames once to compare their checksum, so that damage is noticed here.

        Returns:
          None when a file is missing or damaged, or belongs to other records.
        """
        stored = files.read_checked(self._index)
        if stored is None or not self._frames.is_file():
            return None
        header, *records = stored
        if header != self._header():
            return None
        frames = np.memmap(self._frames, np.uint8, "r").reshape(-1, *self._frame_shape)
        return [self._features.deserialize_example_np(record) for record in records], frames

    def write(self, records: Iterable[bytes]) -> tuple[ClipRecords, np.ndarray]:
        """Writes both files, unless another process has just done so; returns what `load` does.

        Raises:
          OSError: the files cannot be written, for example because the disk is full.
        """
        waiting = f"Waiting for another process that unpacks {self._title}."
        with files.lock(self._frames.with_name(f".{self._frames.name}.lock"), waiting):
            if stored := self.load():
                return stored
            self._frames.unlink(missing_ok=True)  # Old and new might not both fit on the disk.
            index = self._write_frames(records)
            files.write_checked(self._index, [self._header(), *index])
            if stored := self.load():
                return stored
        raise OSError(f"{self._frames} differs from what was written to it")

    def _write_frames(self, records: Iterable[bytes]) -> list[bytes]:
        """Writes the frames, whole or not at all; returns the records without them."""
        part = self._frames.with_name(f".{self._frames.name}.part")
        index = []
        try:
            with part.open("wb") as file:
                for record in records:
                    example = tf_example_pb2.Example.FromString(record)
                    # One byte string, since the builder declares them with `encoding="bytes"`.
                    [frames] = example.features.feature.pop("frames").bytes_list.value
                    file.write(frames)
                    index.append(example.SerializeToString())
            part.replace(self._frames)
        except BaseException:
            part.unlink(missing_ok=True)  # The disk may be full.
            raise
        return index

    def _header(self) -> bytes:
        """Returns the header that the index has if both files are intact and up to date."""
        size = self._frames.stat().st_size
        # An empty file cannot be mapped.
        checksum = zlib.crc32(np.memmap(self._frames, np.uint8, "r")) if size else 0
        return repr((self._fingerprint, size, checksum)).encode()
