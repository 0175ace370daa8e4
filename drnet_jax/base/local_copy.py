"""Copies on this machine of folders in a bucket, for libraries that only read local files."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import fsspec
from etils import epath

from drnet_jax.base import files

_MARKER = "dataset_info.json"  # tfds writes one for every data set.
_DERIVED = (".frames", ".index")  # Made from the other files, wherever they are missing.


def cache_folder() -> epath.Path:
    """Returns the folder for what can be made again or fetched again."""
    folder = epath.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return folder.expanduser() / "drnet_jax"


def place(folder: epath.Path) -> epath.Path:
    """Returns where the local copy of prepared data in `folder` is; a local one stays in place."""
    if files.is_local(folder):
        return folder
    return cache_folder() / "prepared" / os.fspath(folder).replace("://", "/")


def original(copy: epath.Path) -> epath.Path | None:
    """Returns the folder in a bucket of which `copy` is the `place`; None if it is no copy."""
    top = cache_folder() / "prepared" / "gs"
    if not copy.is_relative_to(top):
        return None
    return epath.Path(f"gs://{copy.relative_to(top)}")


def is_complete(copy: epath.Path) -> bool:
    """Returns whether the prepared data in `copy` are there, or can be fetched from a bucket."""
    source = original(copy)
    return copy.exists() if source is None else _content(source / _MARKER) is not None


def provide(copy: epath.Path, make: Callable[[], None]) -> None:
    """Has the prepared data in the folder `copy`: fetches them from its bucket, or makes them.

    The data are as tfds prepares them. `make` leaves a complete folder or none. What it makes is
    uploaded, `dataset_info.json` last: data in a bucket are complete if that is there. Without a
    bucket, this only calls `make`.

    Raises:
      OSError: the bucket cannot be read or written; and whatever `make` raises.
    """
    source = original(copy)
    if source is None:
        make()
        return
    with files.bucket_errors(source):
        complete = _content(source / _MARKER)
        if complete is None:
            files.check_writable(source)
    if complete is None:
        make()
        with files.bucket_errors(source):
            _upload(copy, source)
    elif not copy.exists() or (copy / _MARKER).read_bytes() != complete:
        with files.bucket_errors(source), _locked(copy):
            _fetch(copy, source)


def download(folder: epath.Path) -> epath.Path:
    """Returns a local copy of `folder`, or of a single file; what is local already is its own.

    The copy has the same files with the same times; only those that have changed are fetched again.

    Raises:
      OSError: the bucket cannot be read.
    """
    if files.is_local(folder):
        return folder
    copy = cache_folder() / "raw" / os.fspath(folder).replace("://", "/")
    with files.bucket_errors(folder), _locked(copy):
        bucket, infos = _list(folder)
        for path in _files(copy):
            if path.relative_to(copy).as_posix() not in infos:
                path.unlink()
        old = {name: info for name, info in infos.items() if not _is_same(copy / name, info)}
        if old:
            print(f"Fetching {len(old):,} files from {folder}.", flush=True)
        _get(bucket, old, copy)
    return copy


def _content(path: epath.Path) -> bytes | None:
    try:
        return files.read(path)
    except FileNotFoundError:
        return None


def _upload(copy: epath.Path, target: epath.Path) -> None:
    print(f"Uploading to {target}.", flush=True)
    bucket, root = fsspec.url_to_fs(os.fspath(target))
    names = [path.relative_to(copy).as_posix() for path in _files(copy)]
    names = [
        n for n in names if n != _MARKER and not n.startswith(".") and _kind(n) not in _DERIVED
    ]
    bucket.put([str(copy / name) for name in names], [f"{root}/{name}" for name in names])
    files.write_atomically(target / _MARKER, (copy / _MARKER).read_bytes())


def _fetch(copy: epath.Path, source: epath.Path) -> None:
    """Has all files of `source` in the folder `copy`, which gets its name when it is complete."""
    if copy.exists() and _content(copy / _MARKER) == _content(source / _MARKER):
        return  # Another process was first.
    print(f"Fetching {source}.", flush=True)
    unfinished = copy.with_name(f"incomplete.fetched_{copy.name}")
    unfinished.rmtree(missing_ok=True)
    _get(*_list(source), unfinished)
    copy.rmtree(missing_ok=True)
    unfinished.rename(copy)


def _list(folder: epath.Path) -> tuple[fsspec.AbstractFileSystem, dict[str, dict[str, Any]]]:
    """Returns the file system of `folder`, and what it knows of each file by its name below."""
    bucket, root = fsspec.url_to_fs(os.fspath(folder))
    found = bucket.find(root, detail=True)
    infos = {path[len(root) + 1 :]: info for path, info in found.items() if info["type"] == "file"}
    if len(infos) > 1:
        infos.pop("", None)  # Some tools make an object for the folder itself.
    if outside := [name for name in infos if ".." in name.split("/")]:
        raise ValueError(f"{folder} holds {outside[0]!r}; allowed: names without '..'.")
    return bucket, infos


def _get(
    bucket: fsspec.AbstractFileSystem, infos: Mapping[str, Mapping[str, Any]], folder: epath.Path
) -> None:
    """Writes the files in `infos` to `folder`, with their times."""
    for name in infos:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / name) for name in infos]
    bucket.get([info["name"] for info in infos.values()], paths)
    for path, info in zip(paths, infos.values(), strict=True):
        seconds = info["mtime"].timestamp()
        # After the content, so that a file that was only begun is fetched again.
        os.utime(path, (seconds, seconds))


def _is_same(path: epath.Path, info: Mapping[str, Any]) -> bool:
    if not path.exists():
        return False
    status = path.stat()
    return (status.length, status.mtime) == (info["size"], int(info["mtime"].timestamp()))


def _files(folder: epath.Path) -> list[epath.Path]:
    found = pathlib.Path(folder).rglob("*")
    return [epath.Path(path) for path in found if path.is_file()]


def _kind(name: str) -> str:
    return pathlib.PurePosixPath(name).suffix


def _locked(copy: epath.Path) -> contextlib.AbstractContextManager:
    copy.parent.mkdir(parents=True, exist_ok=True)
    waiting = f"Waiting for another process that fetches {copy.name}."
    return files.lock(copy.with_name(f".{copy.name}.fetch.lock"), waiting)
