"""Lists folders of raw files, and makes fingerprints that change when the files do."""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class RawFile:
    """A file below a folder."""

    name: str  # Its path below the folder, with `/` on every system.
    path: pathlib.Path
    size: int  # In bytes.
    changed: int  # Time of the last change, in nanoseconds since 1970.


def open_folder(folder: str, contents: str, *, or_file: bool = False) -> pathlib.Path:
    """Returns `folder`, as the user gave it, as a path; `~` is the home folder.

    With `or_file` it may also be a file.

    Raises:
      FileNotFoundError: there is no such folder; the message says that it should hold `contents`.
    """
    path = pathlib.Path(folder).expanduser()
    if not folder or not (path.is_dir() or (or_file and path.is_file())):
        raise FileNotFoundError(f"There is no folder {folder!r}, which should hold {contents}.")
    return path


def walk(folder: pathlib.Path) -> tuple[list[RawFile], list[str]]:
    """Returns all files below `folder` that are not hidden, in natural order of their names.

    The second list has the names of links that lead nowhere.

    Links are followed, but never into the same folder twice, so circular links do no harm.

    Raises:
      OSError: a folder cannot be read.
      ValueError: a name is not UTF-8, so it cannot be stored in records.
    """
    files, dangling, seen, waiting = [], [], set(), [(folder, "")]
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
                try:
                    entry.name.encode()
                except UnicodeEncodeError as error:
                    message = f"{entry.path!r}: the file's name is not UTF-8; rename it."
                    raise ValueError(message) from error
                name = prefix + entry.name
                if entry.is_dir():
                    waiting.append((path / entry.name, f"{name}/"))
                elif entry.is_file():
                    files.append(raw_file(path / entry.name, name))
                elif entry.is_symlink():
                    dangling.append(name)
    return sorted(files, key=lambda file: natural_key(file.name)), dangling


def raw_file(path: pathlib.Path, name: str) -> RawFile:
    """Returns the file at `path` under the name `name`."""
    status = path.stat()
    return RawFile(name, path, status.st_size, status.st_mtime_ns)


def fingerprint(parts: Iterable[object]) -> str:
    """Returns 12 hexadecimal digits that depend on all `parts` and their order."""
    lines = "".join(f"{part!r}\n" for part in parts)  # Lines tell ("a", "b") from ("ab",).
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def natural_key(text: str) -> tuple:
    """Returns a key that sorts numbers in names by value: `2.png` before `10.png`."""
    pieces = re.split(r"(\d+)", text)
    # The text itself breaks the tie between `1` and `01`.
    return (*((int(p), p) if p.isdecimal() else (-1, p) for p in pieces), (-2, text))


def check_image_size(image_size: int) -> None:
    """Raises ValueError unless `image_size`, the side of a frame in pixels, is allowed."""
    if not 1 <= image_size <= 1024:
        raise ValueError(f"config.data.image_size={image_size}; allowed: 1 to 1024.")
