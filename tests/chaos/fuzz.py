"""Reads damaged files, which must be read or refused in a line: `fuzz` counts how they end."""

import collections
import json
import pathlib
import queue
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

from absl import logging

from tests.chaos.readers import READERS
from tests.conftest import ROOT

LONGEST = 10.0
"""Seconds that reading a damaged file may take."""
MOST_BYTES = 2**30
"""Memory that it may take."""

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Returns `content` with a few changes, half of them where headers are."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if not changed:
            break
        place = rng.randrange(min(len(changed), 256) if rng.random() < 0.5 else len(changed))
        match rng.randrange(7):
            case 0:
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                changed[place] = rng.randrange(256)
            case 2 | 3:
                size = rng.choice((1, 2, 4, 8))
                number = rng.choice(_NUMBERS) & (2 ** (8 * size) - 1)
                order = rng.choice(("little", "big"))
                changed[place : place + size] = number.to_bytes(size, order)
            case 4:
                del changed[place : place + rng.randint(1, 16)]
            case 5:
                changed[place:place] = changed[place : place + rng.randint(1, 64)]
            case 6 if rng.random() < 0.3:
                del changed[place:]
    return bytes(changed)


def read_all(tasks: Sequence[tuple[str, int]]) -> None:
    """Reads the damaged files of `tasks`, (reader, number), and prints how each ends."""
    logging.set_verbosity(logging.ERROR)
    wholes: dict[str, tuple[pathlib.Path, bytes]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for reader, number in tasks:
            make, read = READERS[reader]
            if reader not in wholes:
                folder = pathlib.Path(temporary) / str(len(wholes))
                folder.mkdir()
                path = make(folder)
                wholes[reader] = path, path.read_bytes()
                assert read_quietly(read, path) == "read", reader
            path, whole = wholes[reader]
            path.write_bytes(mutated(whole, random.Random(f"{reader} {number}")))
            before, started = _peak(), time.monotonic()
            end = read_quietly(read, path)
            seconds, grown = time.monotonic() - started, _peak() - before
            end = "too much memory" if grown > MOST_BYTES else end
            print(json.dumps([reader, number, end, seconds]), flush=True)


def read_quietly(read, path: pathlib.Path) -> str:
    """Returns `read`, `refused`, or what else has come of it."""
    try:
        read(path)
    except (ValueError, OSError) as error:
        text = str(error)
        # Names of our own, and not the words of a library alone.
        return "refused" if len(text.splitlines()) == 1 else f"refused in lines: {text!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(readers: Sequence[str], num: int) -> dict[str, collections.Counter]:
    """Returns how often reading `num` damaged files of each reader ended in which way."""
    tasks = [(reader, number) for reader in readers for number in range(num)]
    counts = {reader: collections.Counter() for reader in readers}
    while tasks:
        # In a process of its own, as what is damaged could end it.
        with _Worker(tasks) as worker:
            while tasks:
                result = worker.next(LONGEST if worker.has_begun else 300)
                reader, number = tasks.pop(0)
                counts[reader][result] += 1
                if result not in ("read", "refused"):
                    print(f"{reader}, number {number}: {result}", flush=True)
                if result.startswith(("crash", "hang")):
                    break
    return counts


class _Worker:
    """A process that reads the files of `tasks`."""

    def __init__(self, tasks: Sequence[tuple[str, int]]):
        self.has_begun = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.fuzz"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            text=True,
        )
        self._process.stdin.write(json.dumps(tasks))
        self._process.stdin.close()
        self._lines: queue.SimpleQueue = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()
        self._process.stdout.close()

    def next(self, seconds: float) -> str:
        """Returns how the next file ended."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            return "hang"
        self.has_begun = True
        return json.loads(line)[2] if line else f"crash: exit code {self._process.wait()}"


if __name__ == "__main__":
    read_all(json.load(sys.stdin))
