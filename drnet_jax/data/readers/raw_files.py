"""Lists folders of raw files, and makes fingerprints that change when the files do."""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class RawFile:
    """A file below a folder.

    Attributes:
      name: its path below the folder, with `/` on every system.
      path: where it is.
      size: in bytes.
      changed: time of the last change, in nanoseconds since 1970.
    """

    name: str
    path: pathlib.Path
    size: int
    changed: int


def open_folder(folder: str, contents: str) -> pathlib.Path:
    """Returns `folder` as a path.

    Args:
      folder: as the user gave it; `~` is the home folder.
      contents: what it should hold, for the error message.

    Raises:
      FileNotFoundError: there is no such folder.
    """
    path = pathlib.Path(folder).expanduser()
    if not folder or not path.is_dir():
        raise FileNotFoundError(f"There is no folder {folder!r}, which should hold {contents}.")
    return path


def walk(folder: pathlib.Path) -> list[RawFile]:
    """Returns all files below `folder` that are not hidden, in natural order of their names.

    Links are followed, but never into the same folder twice, so circular links do no harm.

    Raises:
      OSError: a folder cannot be read.
      ValueError: a name is not UTF-8, so it cannot be stored in records.
    """
    files, seen, waiting = [], set(), [(folder, "")]
    while waiting:
        path, prefix = waiting.pop()
        real = path.resolve()
        if real in seen:
            continue
        seen.add(real)
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = prefix + _checked(entry)
                if entry.is_dir():
                    waiting.append((path / entry.name, f"{name}/"))
                elif entry.is_file():
                    files.append(raw_file(path / entry.name, name))
    return sorted(files, key=lambda file: natural_key(file.name))


def raw_file(path: pathlib.Path, name: str) -> RawFile:
    """Returns the file at `path` under the name `name`."""
    status = path.stat()
    return RawFile(name, path, status.st_size, status.st_mtime_ns)


def fingerprint(parts: Iterable[object]) -> str:
    """Returns 12 hexadecimal digits that depend on all `parts` and their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode())
        digest.update(b"\n")  # So that ("a", "b") differs from ("ab",).
    return digest.hexdigest()[:12]


def natural_key(text: str) -> tuple:
    """Returns a key that sorts numbers in names by value: `2.png` before `10.png`."""
    pieces = re.split(r"(\d+)", text)
    # The text itself breaks the tie between `1` and `01`.
    return (*((int(p), p) if p.isdecimal() else (-1, p) for p in pieces), (-2, text))


def check_image_size(image_size: int) -> None:
    """Raises ValueError unless frames may be `image_size` pixels wide and high."""
    if not 1 <= image_size <= 1024:
        raise ValueError(f"config.data.image_size={image_size}; allowed: 1 to 1024.")


def _checked(entry: os.DirEntry) -> str:
    try:
        entry.name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{entry.path!r}: the file's name is not UTF-8; rename it.") from error
    return entry.name
