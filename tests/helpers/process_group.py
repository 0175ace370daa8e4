"""Runs the command line in several processes at once, as the hosts of a pod do."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

from tests.conftest import ROOT
from tests.helpers.command_line import environment


class ProcessGroup:
    """Processes of one command that train together.

    A `with` block kills what is left of them. Attributes:
      processes: one `subprocess.Popen` each, by number.
    """

    def __init__(
        self,
        num: int,
        *arguments: str,
        devices: int = 1,
        module: str = "drnet_jax.main",
        slurm: bool = False,
        each: Sequence[Mapping[str, str]] = (),
    ):
        """Starts `num` processes of `module`.

        Args:
          num: the number of processes; one is started as a user would start it.
          arguments: what follows `module`.
          devices: the number of fake devices of each process.
          module: what Python runs.
          slurm: whether the processes find each other by the variables of Slurm, not by flags.
          each: environment variables of single processes, by number; the variable PWD is the folder
            that the process starts in.
        """
        port = free_port()
        variables = environment() | {"JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": str(ROOT)}
        self._files = [tempfile.TemporaryFile("w+") for _ in range(num)]  # noqa: SIM115
        self.processes = []
        for number, file in enumerate(self._files):
            flags, own = [], dict(each[number]) if each else {}
            if slurm:
                own |= _slurm(num, number)
            elif num > 1:
                flags += [f"--coordinator_address=127.0.0.1:{port}", f"--num_processes={num}"]
                flags += [f"--process_id={number}"]
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, *flags],
                env=variables | own,
                cwd=own.get("PWD", ROOT),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            self.processes.append(process)

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.kill()  # JAX keeps a process from ending on SIGTERM.
            process.wait()
        for file in self._files:
            file.close()

    def output(self, number: int) -> str:
        """Returns what process `number` has printed so far."""
        # A copy of the file descriptor would share its position with the process that writes.
        return os.pread(self._files[number].fileno(), 2**24, 0).decode()

    def wait(self, seconds: float = 240) -> list[int]:
        """Returns the exit codes, after all processes have ended.

        Raises:
          TimeoutError: not all have ended within `seconds`; the message has their output.
        """
        self.wait_until(
            lambda: all(process.poll() is not None for process in self.processes), seconds
        )
        return [process.returncode for process in self.processes]

    def wait_until(self, condition: Callable[[], bool], seconds: float = 240) -> None:
        """Waits until `condition()`; raises TimeoutError as `wait` does, also if all have ended."""
        end = time.monotonic() + seconds
        while not condition():
            ended = all(process.poll() is not None for process in self.processes)
            if (ended and not condition()) or time.monotonic() > end:
                texts = [self.output(number) for number in range(len(self.processes))]
                raise TimeoutError("\n".join(texts))
            time.sleep(0.02)


def free_port() -> int:
    """Returns a port of this machine that nothing uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _slurm(num: int, number: int) -> dict[str, str]:
    """Returns what Slurm's `srun` tells a task."""
    return {
        # JAX derives the port from the number of the job.
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(num),
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": "0",
    }


def run(num: int, *arguments: str, **options) -> list[tuple[int, str]]:
    """Returns (exit code, output) of every process."""
    with ProcessGroup(num, *arguments, **options) as group:
        codes = group.wait()
        return [(code, group.output(number)) for number, code in enumerate(codes)]
