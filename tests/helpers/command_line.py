"""Runs the command line in separate processes."""

import json
import os
import subprocess
import sys

import jax

from tests.conftest import ROOT

# Imports take seconds, so each command runs in a fork of one process that has made them all.
_FORK_EACH = """
import json, os, sys, tempfile
import drnet_jax.commands.train
from drnet_jax import main

answers = []
for arguments in json.loads(sys.argv[1]):
    files = [tempfile.TemporaryFile() for _ in range(2)]
    sys.stdout.flush()
    child = os.fork()
    if not child:
        for number, file in enumerate(files, 1):
            os.dup2(file.fileno(), number)
        sys.argv = ["drnet_jax.main", *arguments]
        main.run()
    _, status = os.waitpid(child, 0)
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read().decode())
    answers.append([os.waitstatus_to_exitcode(status), *texts])
print(json.dumps(answers))
"""

SIGNALED_IN_STEP = """
import dataclasses, os, sys
from drnet_jax import main
from drnet_jax.commands import train

stage, step, number = sys.argv.pop(1), int(sys.argv.pop(1)), int(sys.argv.pop(1))
make = getattr(train, f"{stage}_stage")

def make_signaled(*args):
    built = make(*args)

    def signaled(num_steps, state, inputs):
        if int(state.step) == step:
            os.kill(os.getpid(), number)
        return built.step(num_steps, state, inputs)

    return dataclasses.replace(built, step=signaled)

setattr(train, f"{stage}_stage", make_signaled)
main.run()
"""
"""The command line after a stage, a step and a signal that it sends itself there; for `run`."""

SIGNALED_IN_PHASE = """
import os, sys, time
from drnet_jax import main
from drnet_jax.base import stopping

phase, number = sys.argv.pop(1), int(sys.argv.pop(1))
doing = stopping.doing

def signaled(what, *args):
    doing(what, *args)
    if what == phase:
        os.kill(os.getpid(), number)
        time.sleep(600)

stopping.doing = signaled
main.run()
"""
"""The command line after a phase and a signal that it sends itself in it; for `run`.

The phase would last ten minutes, so that it cannot end before the signal has come.
"""


def command(*arguments: str) -> list[str]:
    """Returns the command that a user would type."""
    return [sys.executable, "-m", "drnet_jax.main", *arguments]


def environment() -> dict[str, str]:
    """Returns environment variables for the devices, flags and compiled programs of the tests."""
    return os.environ | {
        "JAX_NUM_CPU_DEVICES": str(jax.config.jax_num_cpu_devices),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def run(*arguments: str, cwd=ROOT, program=None, **variables: str) -> subprocess.CompletedProcess:
    """Runs the command line and returns how it ended; `program` is code to run in its place."""
    return subprocess.run(
        command(*arguments) if program is None else [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def run_each(commands: list[list[str]]) -> list[tuple[int, str, str]]:
    """Returns (exit status, stdout, stderr) of commands that end before they compile anything."""
    result = run(json.dumps(commands), program=_FORK_EACH)
    assert result.returncode == 0, result.stderr
    return [tuple(answer) for answer in json.loads(result.stdout)]
