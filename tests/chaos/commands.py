"""Starts tiny commands with faults, and waits for their ends."""

import dataclasses
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time

import jax

from tests.chaos.fork_server import Request
from tests.conftest import ROOT, TINY

_LONGEST = 900.0  # Seconds; the machine may be busy.


def train(workdir: pathlib.Path, data_dir: pathlib.Path) -> list[str]:
    """Returns the arguments of a whole tiny run: digits, both stages, scores, rollouts, report."""
    return ["--config=configs/mnist.py:smoke", *_tiny(data_dir), f"--workdir={workdir}"]


def prepare(data_dir: pathlib.Path) -> list[str]:
    """Returns the arguments of the preparation of a few rendered people."""
    settings = {"data.data_dir": data_dir, "data.image_size": 16}
    settings |= {"data.stand_in.num_people": 2, "data.stand_in.clip_length": 12}
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    return ["--config=configs/kth.py:smoke", "--mode=prepare", *flags]


def again(mode: str, workdir: pathlib.Path) -> list[str]:
    """Returns the arguments of `mode`, evaluate or generate, for a finished workdir."""
    return [f"--mode={mode}", f"--workdir={workdir}"]


def _tiny(data_dir: pathlib.Path) -> list[str]:
    settings = TINY | {"data.data_dir": data_dir}
    return [f"--config.{name}={value}" for name, value in settings.items()]


@dataclasses.dataclass(eq=False)
class Command:
    """A command that has been started.

    Attributes:
      pid: its process.
      output: the file that gets what it prints.
      ended: holds its exit code once it has ended.
    """

    pid: int
    output: pathlib.Path
    ended: queue.SimpleQueue

    def wait(self, seconds: float = _LONGEST) -> int:
        """Returns the exit code; raises TimeoutError with the output, after killing it."""
        try:
            return self.ended.get(timeout=seconds)
        except queue.Empty:
            os.kill(self.pid, signal.SIGKILL)
            raise TimeoutError(f"no end after {seconds:g} s:\n{self.text()}") from None

    def signal_after(self, seconds: float, number: int) -> tuple[int, float]:
        """Sends a signal after some time; returns the exit code, and the seconds from then on."""
        try:
            return self.ended.get(timeout=seconds), 0.0
        except queue.Empty:
            pass
        sent = time.monotonic()
        os.kill(self.pid, number)
        return self.wait(), time.monotonic() - sent

    def text(self) -> str:
        """Returns what it has printed."""
        return self.output.read_text(errors="replace")


class Commands:
    """A server that starts commands, in a `with` block; outputs and programs go to `folder`."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._number = 0
        folder.mkdir(parents=True, exist_ok=True)
        variables = {
            "JAX_NUM_CPU_DEVICES": str(jax.config.jax_num_cpu_devices),
            "JAX_COMPILATION_CACHE_DIR": (
                jax.config.jax_compilation_cache_dir or str(folder / "programs")
            ),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "PYTHONPATH": str(ROOT),
        }
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | variables,
            cwd=ROOT,
            text=True,
        )
        self._started: queue.SimpleQueue = queue.SimpleQueue()
        self._ended: dict[int, queue.SimpleQueue] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> "Commands":
        return self

    def __exit__(self, *_) -> None:
        self._server.stdin.close()
        self._server.wait(60)
        self._listener.join()
        self._server.stdout.close()

    def _listen(self) -> None:
        for line in self._server.stdout:
            answer = json.loads(line)
            if "started" in answer:
                self._ended[answer["started"]] = queue.SimpleQueue()
                self._started.put(answer["started"])
            else:
                self._ended[answer["ended"]].put(answer["code"])

    def start(self, arguments: list[str], **faults) -> Command:
        """Starts a command; `faults` are those of `fork_server.Request`."""
        self._number += 1
        output = self._folder / f"{self._number}.txt"
        output.write_text("")
        request = Request(arguments=arguments, output=str(output), **faults)
        self._server.stdin.write(json.dumps(dataclasses.asdict(request)) + "\n")
        self._server.stdin.flush()
        pid = self._started.get(timeout=_LONGEST)  # The first one waits for the imports.
        return Command(pid, output, self._ended[pid])

    def run(self, arguments: list[str], **faults) -> Command:
        """Runs a command to its end, which must be a good one."""
        command = self.start(arguments, **faults)
        if code := command.wait():
            raise AssertionError(f"exit code {code}:\n{command.text()}")
        return command
