"""Runs the command line in forks of one process that has made all imports, with faults.

Imports take longer than a tiny run. A request is a line of JSON on stdin, a `Request` as a
dictionary; the answers on stdout are `{"started": pid}`, and `{"ended": pid, "code": code}` later.
"""

import dataclasses
import errno
import json
import os
import resource
import select
import signal
import sys
import threading
import time

# What commands import only when they need it.
import drnet_jax.commands.embed
import drnet_jax.commands.evaluate
import drnet_jax.commands.generate
import drnet_jax.commands.train
import drnet_jax.report.charts
from drnet_jax import main

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """A command and what goes wrong in it.

    Attributes:
      arguments: what follows the name of the program.
      output: the file that gets what it prints.
      folder: faults concern files below this folder.
      kill_at: the number, from 1, of the change to a file before which the process kills itself.
      signal: the one that `kill_at` sends.
      full_from: the number of the change from which on the disk is full; deleting works.
      file_bytes: the size that no file can exceed.
      clock: seconds to add to what the process takes for the time.
      cache: the folder of compiled programs.
      only_training: whether a run only trains and reports; scores and pictures take far longer.
    """

    arguments: list[str]
    output: str
    folder: str = "/"
    kill_at: int | None = None
    signal: int = signal.SIGKILL
    full_from: int | None = None
    file_bytes: int | None = None
    clock: float = 0
    cache: str | None = None
    only_training: bool = False


def _watch_files(request: Request) -> None:
    """Lets faults happen when Python opens a file to write, renames, makes or deletes one."""
    lock, number, busy = threading.Lock(), 0, threading.local()

    def hook(event, arguments):
        nonlocal number
        if event == "open":
            path, _, flags = arguments
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if getattr(busy, "on", False) or isinstance(path, int) or path is None:
            return
        busy.on = True
        try:
            if not os.path.abspath(os.fsdecode(path)).startswith(request.folder):  # noqa: PTH100
                return
            with lock:
                number += 1
                if number == request.kill_at:
                    os.kill(os.getpid(), request.signal)
                full = request.full_from is not None and number >= request.full_from
            if full and event in ("open", "os.mkdir"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(path))
        finally:
            busy.on = False

    sys.addaudithook(hook)


def _turn_clock(seconds: float) -> None:
    read, read_ns = time.time, time.time_ns
    time.time = lambda: read() + seconds
    time.time_ns = lambda: read_ns() + int(seconds * 1e9)


def _run(request: Request) -> None:
    """Runs the command in this process, which it ends."""
    output = os.open(request.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(output, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if request.cache:
        import jax

        jax.config.update("jax_compilation_cache_dir", request.cache)
    if request.clock:
        _turn_clock(request.clock)
    if request.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request.file_bytes, resource.RLIM_INFINITY))
    if request.kill_at or request.full_from:
        _watch_files(request)
    if request.only_training:
        for command in (drnet_jax.commands.evaluate, drnet_jax.commands.generate):
            command.write = lambda *arguments: None
        drnet_jax.commands.generate.write_sample = lambda *arguments: None
        drnet_jax.commands.train.score.begin = lambda *arguments: None
    sys.argv = ["drnet_jax.main", *request.arguments]
    main.run()


def serve() -> None:
    """Answers requests until stdin ends; kills what then still runs."""
    running = set()
    buffer = b""
    while True:
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            running.discard(pid)
            _say(ended=pid, code=os.waitstatus_to_exitcode(status))
        if not select.select([0], [], [], 0.02)[0]:
            continue
        received = os.read(0, 2**16)
        if not received:
            break
        buffer += received
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            request = Request(**json.loads(line))
            sys.stdout.flush()
            pid = os.fork()
            if not pid:
                _run(request)
                os._exit(0)
            running.add(pid)
            _say(started=pid)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _say(**answer: int) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
