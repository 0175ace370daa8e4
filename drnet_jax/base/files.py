"""Files that are written whole or not at all, files with checksums, and locks."""

import contextlib
import hashlib
import io
import logging
import os
from collections.abc import Iterator, Sequence

import filelock
import fsspec
import numpy as np
from etils import epath

from drnet_jax.base.errors import first_line

_CHECKSUM_BYTES = 32

# Otherwise names and sizes that this process once listed would hide what others write later, and a
# file that has grown would be read to its old end.
fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # It also raises the errors that it logs.


def is_local(path: epath.PathLike) -> bool:
    """Returns whether `path` is on a file system, not in a bucket as `gs://...` is."""
    return "://" not in os.fspath(path)


def write_atomically(path: epath.PathLike, data: bytes | str) -> epath.Path:
    """Writes `data`, text as UTF-8; a reader sees either all of it or the file from before.

    Missing parent folders are created. Returns `path`, which may be local or a `gs://` path.
    """
    path, data = epath.Path(path), data.encode() if isinstance(data, str) else data
    if not is_local(path):
        # An object appears when all of it has arrived, and renaming one would copy it.
        path.write_bytes(data)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)  # Renaming is atomic, this is not.
        return part.replace(path)
    except BaseException as error:
        if isinstance(error, OSError):
            error.filename = os.fspath(path)  # Errors in writing name none.
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)  # It may have filled the disk.
        raise


def read(path: epath.PathLike) -> bytes:
    """Returns the content of a file, all of one version even if it is replaced meanwhile.

    Raises:
      FileNotFoundError: there is no such file.
      OSError: it cannot be read.
    """
    if is_local(path):
        return epath.Path(path).read_bytes()
    # An opened object is read in pieces, which may be of different versions.
    bucket, source = fsspec.url_to_fs(os.fspath(path))
    try:
        return bucket.cat_file(source)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise OSError(f"{path} cannot be read: {first_line(error).rstrip('.')}.") from error


def move(folder: epath.Path, target: epath.Path) -> None:
    """Moves `folder` to `target`, which does not exist; both are local or in the same bucket.

    In a bucket every object is copied before the first is deleted, so an interruption loses none.
    """
    if is_local(folder):
        folder.rename(target)
        return
    bucket, source = fsspec.url_to_fs(os.fspath(folder))
    # Not the file system's own `mv`, which deletes each object as soon as it is copied.
    bucket.copy(source, os.fspath(target), recursive=True)
    bucket.rm(source, recursive=True)


def check_writable(folder: epath.PathLike) -> None:
    """Raises an error if `folder`, in a bucket, cannot be written."""
    write_atomically(epath.Path(folder) / ".writable", "").unlink()


@contextlib.contextmanager
def bucket_errors(folder: epath.PathLike) -> Iterator[None]:
    """Turns the errors of the libraries behind buckets into an OSError that is one line."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "there is no such bucket" if missing else first_line(error).rstrip(".")
        raise OSError(f"{folder} cannot be used: {reason}.") from error


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
        stored = read(path)
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
