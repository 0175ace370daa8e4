"""What a run has come to: everything that must not depend on what happened on the way."""

import hashlib
import json
import pathlib
from typing import Any

import jax
import numpy as np

from drnet_jax.runs.run import create_run
from drnet_jax.runs.workdir import STAGES
from tests.conftest import tiny_config

_TIMES = ("steps_per_second", "input_wait", "crc32")


def of_run(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns checksums of all parameters and optimizer states, metrics, scores and rollouts.

    A run that ended after training has neither scores nor rollouts.
    """
    run = create_run(tiny_config("unused"), workdir, with_data=False)
    states = {stage: run.restore_stage(stage, read_only=True) for stage in STAGES}
    rollouts, scores = {}, workdir / "evaluation.json"
    if (workdir / "samples" / "rollout.npz").exists():
        with np.load(workdir / "samples" / "rollout.npz") as arrays:
            rollouts = {name: _digest(arrays[name]) for name in arrays.files}
    return {
        "states": jax.tree.map(lambda leaf: _digest(np.asarray(leaf)), jax.device_get(states)),
        "metrics": metrics(workdir),
        "scores": json.loads(scores.read_text()) if scores.exists() else None,
        "rollouts": rollouts,
        "report": (workdir / "report.html").exists(),
    }


def metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Returns what was logged, without times."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if name not in _TIMES}
        for line in lines
    ]


def of_data(data_dir: pathlib.Path) -> dict[str, str]:
    """Returns a checksum of every file below a folder that is not hidden."""
    files = (path for path in data_dir.rglob("*") if path.is_file())
    named = {path.relative_to(data_dir): path for path in files}
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(named.items())
        if not any(part.startswith(".") for part in name.parts)
    }


def phase(workdir: pathlib.Path) -> str:
    """Returns what a run did when it ended, as far as its files tell."""
    if not (workdir / "config.json").exists():
        return "opening the data"
    if (workdir / "report.html").exists():
        return "finished"
    if (workdir / "evaluation.json").exists():
        return "generating"
    newest = {stage: _newest_step(workdir / "checkpoints" / stage) for stage in STAGES}
    if newest["predictor"] == 6:
        return "scoring"
    return "training predictor" if newest["drnet"] == 6 else "training drnet"


def _newest_step(folder: pathlib.Path) -> int:
    found = folder.glob("[0-9]*") if folder.exists() else ()
    return max((int(path.name) for path in found if path.name.isdigit()), default=0)


def _digest(array: np.ndarray) -> str:
    content = repr((array.dtype, array.shape)).encode() + array.tobytes()
    return hashlib.sha256(content).hexdigest()
