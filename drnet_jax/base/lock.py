"""Keeping processes of one machine out of each other's way."""

import contextlib
import fcntl
import pathlib
from collections.abc import Iterator

from etils import epath


@contextlib.contextmanager
def locked(path: epath.PathLike, waiting: str) -> Iterator[None]:
    """Keeps other processes out of the block; prints the line `waiting` if it has to wait.

    Args:
      path: a local file that stays behind; missing parent folders are made.
      waiting: what to tell the user meanwhile.

    Raises:
      OSError: the file cannot be opened.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(waiting, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
