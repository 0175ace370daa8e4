"""Finished jobs of a preparation on disk, so that one that was killed goes on from there."""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from etils import epath

from drnet_jax import __version__
from drnet_jax.base import files
from drnet_jax.data.preparation.builder import Clip, Job

_FACTOR = "factor "
_CHECKSUM_BYTES = 32


class Parts:
    """Clips by job, a file each, in a folder of their own.

    A file is found again by the same version of drnet_jax for the same job alone, so that clips
    made in another way are never taken for what would be made now.
    """

    def __init__(self, folder: epath.Path):
        self.folder = folder

    def load(self, job: Job) -> list[Clip] | None:
        """Returns the clips of `job`, or None when there is no file or it is damaged."""
        try:
            stored = self._path(job).read_bytes()
        except OSError:  # Not there, mostly.
            return None
        checksum, archive = stored[:_CHECKSUM_BYTES], stored[_CHECKSUM_BYTES:]
        if hashlib.sha256(archive).digest() != checksum:
            return None
        with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
            return list(_as_clips(dict(arrays)))

    def store(self, job: Job, clips: list[Clip]) -> None:
        """Writes the clips of `job`, whole or not at all.

        Raises:
          OSError: the file cannot be written.
          TypeError: a factor is neither a number, nor a text, nor an array of those.
        """
        arrays = {}
        for i, clip in enumerate(clips):
            named = {"name": clip.name, "frames": clip.frames}
            named |= {f"{_FACTOR}{key}": value for key, value in clip.factors.items()}
            arrays |= {f"{i:06d} {key}": _as_array(key, value) for key, value in named.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        archive = buffer.getvalue()
        # The archive's own checksums miss some damage: a lost array, for one.
        checksum = hashlib.sha256(archive).digest()
        files.write_atomically(self._path(job), checksum + archive)

    def delete(self) -> None:
        """Deletes all files."""
        if self.folder.exists():
            self.folder.rmtree()

    def _path(self, job: Job) -> epath.Path:
        identity = repr((__version__, job.name, job.arguments))
        return self.folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.part"


def _as_array(key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biufU":  # Others change when stored, or need pickle.
        raise TypeError(f"{key} is {value!r}; allowed: numbers, texts and arrays of those")
    return array


def _as_clips(arrays: dict[str, np.ndarray]) -> Iterator[Clip]:
    by_clip: dict[str, dict[str, Any]] = {}
    for key in arrays:
        number, _, name = key.partition(" ")
        value = arrays[key]
        by_clip.setdefault(number, {})[name] = value if value.ndim else value.item()
    for number in sorted(by_clip):
        values = by_clip[number]
        name, frames = values.pop("name"), values.pop("frames")
        factors = {key.removeprefix(_FACTOR): value for key, value in values.items()}
        yield Clip(name, frames, factors)
