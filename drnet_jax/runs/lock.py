"""Workdirs can be written, and by one run at a time: a second is told which is the first."""

import contextlib
import datetime
import json
import os
import pathlib
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import filelock
from absl import logging
from etils import epath

from drnet_jax.base import files
from drnet_jax.base.errors import InputError

REFRESH_SECONDS = 20.0
"""How often a run says in its bucket that it is still there."""
PATIENCE_SECONDS = 90.0
"""A run in a bucket that has said nothing for this long is taken for dead."""

_FACTS = "running.json"


@contextlib.contextmanager
def writing(workdir: epath.PathLike) -> Iterator[None]:
    """Turns errors in writing to `workdir` into an OSError that says in one line where and why."""
    if not files.is_local(workdir):
        with files.bucket_errors(f"--workdir={workdir}"):
            yield
        return
    try:
        yield
    except OSError as error:
        raise OSError(f"Cannot write to --workdir={workdir}: {error.strerror or error}.") from error


def check_bucket(workdir: epath.PathLike) -> None:
    """Raises OSError if `workdir` is in a bucket that does not exist or cannot be written."""
    if not files.is_local(workdir):
        with writing(workdir):
            files.check_writable(workdir)


@contextlib.contextmanager
def hold(
    workdir: epath.PathLike,
    *,
    refresh_seconds: float = REFRESH_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Iterator[None]:
    """Keeps other runs out of `workdir`, which is created, until the end of the block.

    On a disk this is a lock of the operating system, which goes with its process, however that
    ends. In a bucket it is an object that a thread writes again every `refresh_seconds`. A run
    that finds one waits for up to `patience_seconds`: if nobody writes it, it takes over.

    Raises:
      InputError: if another run uses the workdir, or it cannot be written.
    """
    workdir = epath.Path(workdir)
    facts = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": datetime.datetime.now(datetime.UTC).isoformat(" ", timespec="seconds"),
    }
    with contextlib.ExitStack() as stack:
        try:
            with writing(workdir):
                if files.is_local(workdir):
                    stack.enter_context(_lock(workdir, facts))
                else:
                    lease = _Lease(workdir, facts, refresh_seconds, patience_seconds)
                    stack.enter_context(lease)
        except OSError as error:
            raise InputError(str(error)) from error
        yield


@contextlib.contextmanager
def _lock(workdir: epath.Path, facts: dict[str, Any]) -> Iterator[None]:
    workdir.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(workdir / ".running.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise _refusal(workdir, _read(workdir / _FACTS)) from None
    with lock:
        files.write_atomically(workdir / _FACTS, json.dumps(facts))
        yield
        (workdir / _FACTS).unlink(missing_ok=True)


class _Lease:
    """The object that says who uses a workdir in a bucket, refreshed until the block ends."""

    def __init__(
        self,
        workdir: epath.Path,
        facts: dict[str, Any],
        refresh_seconds: float,
        patience_seconds: float,
    ):
        self._workdir, self._path = workdir, workdir / _FACTS
        self._facts = facts | {"run": uuid.uuid4().hex, "namespace": _namespace(), "refreshed": 0}
        self._refresh_seconds, self._patience_seconds = refresh_seconds, patience_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_refreshing, daemon=True)

    def __enter__(self) -> None:
        found = _read(self._path)
        if found is not None and not _is_dead(found):
            self._wait(found)
        self._write()
        # Of several runs that come at the same time, the last one to write stays.
        time.sleep(self._refresh_seconds / 10)
        self._check_own()
        self._thread.start()

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()
        found = _read(self._path)
        if found is not None and found["run"] == self._facts["run"]:
            self._path.unlink(missing_ok=True)

    def _wait(self, found: dict[str, Any]) -> None:
        """Waits until the run in `found` seems to be dead; raises InputError if it is not."""
        seconds = self._patience_seconds
        print(f"{_user(self._workdir, found)}; waiting {seconds:g} s for a sign of it.", flush=True)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(self._refresh_seconds / 10)
            now = _read(self._path)
            if now is None:
                return
            if now != found:
                raise _refusal(self._workdir, now)

    def _write(self) -> None:
        files.write_atomically(self._path, json.dumps(self._facts))

    def _check_own(self) -> None:
        found = _read(self._path)
        if found is not None and found["run"] != self._facts["run"]:
            raise _refusal(self._workdir, found)

    def _keep_refreshing(self) -> None:
        while not self._ended.wait(self._refresh_seconds):
            try:
                self._check_own()
                self._facts["refreshed"] += 1
                self._write()
            except InputError as error:
                # This machine has slept, and two runs must not write to one workdir. The other run
                # goes on from the last checkpoint, as it would after any sudden end.
                print(f"drnet_jax: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            except Exception as error:  # Networks fail for a while; the next attempt may succeed.
                logging.warning("%s cannot be refreshed: %s", self._path, error)


def _read(path: epath.Path) -> dict[str, Any] | None:
    """Returns the facts in `path`; None if there are none."""
    try:
        return json.loads(files.read(path))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _is_dead(found: dict[str, Any]) -> bool:
    """Returns whether the run in `found` was a process of this machine that has ended."""
    if (found["host"], found["namespace"]) != (socket.gethostname(), _namespace()):
        return False
    try:
        os.kill(found["process"], 0)  # Sends nothing.
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _namespace() -> str:
    """Returns what tells containers apart whose processes may have equal numbers."""
    try:
        return str(pathlib.Path("/proc/self/ns/pid").readlink())
    except OSError:  # Only Linux has this.
        return ""


def _refusal(workdir: epath.Path, found: dict[str, Any] | None) -> InputError:
    return InputError(f"{_user(workdir, found)}; wait for its end, or give another --workdir.")


def _user(workdir: epath.Path, found: dict[str, Any] | None) -> str:
    if found is None:
        return f"{workdir} is in use by another process"
    return (
        f"{workdir} is in use by process {found['process']} on {found['host']} since "
        + (found["since"])
    )
