"""The versions, devices and command behind a run, for `environment.json`."""

import datetime
import importlib.metadata
import platform
import shlex
import subprocess
import sys
from typing import Any

import jax
from etils import epath

import drnet_jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


def describe(data_note: str) -> dict[str, Any]:
    """Returns versions, devices, git revision, command and time, ready for JSON."""
    devices = jax.devices()
    return {
        **versions(),
        "command": _command(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "data": data_note,
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def versions() -> dict[str, str]:
    """Returns the version and the git revision of the sources."""
    return {"drnet_jax": drnet_jax.__version__, "git_revision": _git_revision()}


def _command() -> str:
    """Returns the command line of this process: of `drnet_jax.main`, or of an experiment."""
    spec = sys.modules["__main__"].__spec__
    # `python -m package` runs the module `package.__main__`.
    program = ["-m", spec.name.removesuffix(".__main__")] if spec else sys.argv[:1]
    return shlex.join(["python", *program, *sys.argv[1:]])


def _git_revision() -> str:
    """Returns the revision of the sources, with `-dirty` if changed; `unknown` if installed."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    if not (epath.Path(__file__).parent.parent.parent / ".git").exists():
        return "unknown"  # Otherwise a repository around the installation would answer.
    try:
        output = subprocess.run(
            command,
            cwd=epath.Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return output.stdout.strip()
