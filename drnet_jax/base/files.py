"""Files that are written whole or not at all, files with checksums, and locks."""

import contextlib
import hashlib
import io
from collections.abc import Sequence

import filelock
import numpy as np
from etils import epath

_CHECKSUM_BYTES = 32


def write_atomically(path: epath.PathLike, data: bytes | str) -> epath.Path:
    """Writes `data`, text as UTF-8; a reader sees either all of it or the file from before.

    Missing parent folders are created. Returns `path`, which may be local or a `gs://` path.
    """
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    # Renaming is atomic, writing is not.
    part.write_bytes(data.encode() if isinstance(data, str) else data)
    return part.replace(path)


def write_checked(path: epath.PathLike, items: Sequence[bytes]) -> None:
    """Writes byte strings to a file that `read_checked` reads, whole or not at all."""
    buffer = io.BytesIO()
    np.savez(buffer, *(np.frombuffer(item, np.uint8) for item in items))
    archive = buffer.getvalue()
    # The archive's own checksums miss some damage, such as a missing array.
    write_atomically(path, hashlib.sha256(archive).digest() + archive)


def read_checked(path: epath.PathLike) -> list[bytes] | None:
    """Returns what `write_checked` wrote; None when there is no file or it is damaged."""
    try:
        stored = epath.Path(path).read_bytes()
    except OSError:  # Usually it does not exist.
        return None
    checksum, archive = stored[:_CHECKSUM_BYTES], stored[_CHECKSUM_BYTES:]
    if hashlib.sha256(archive).digest() != checksum:
        return None
    with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
        return [arrays[name].tobytes() for name in arrays.files]


def lock(path: epath.PathLike, waiting: str) -> contextlib.AbstractContextManager:
    """Acquires a lock against other processes of this machine; a `with` block releases it.

    The local file `path` is not deleted afterwards; missing parent folders are created. The line
    `waiting` is printed while another process holds the lock.

    Raises:
      OSError: the file cannot be opened.
    """
    file_lock = filelock.FileLock(path)
    try:
        return file_lock.acquire(blocking=False)
    except filelock.Timeout:
        print(waiting, flush=True)
        return file_lock.acquire()
