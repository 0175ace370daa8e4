"""What grows in a long run: memory, open files, threads and the workdir, while a stage trains.

  python -m benchmarks.long_run --config=configs/mnist.py:smoke --steps=100000

The first stage of the settings, made as small as it can be, trains with everything that a real run
does: logs, TensorBoard, pictures, checkpoints. The workdir is a temporary folder. A row is printed
for each of `--rows`, and then how much each column grows in 10,000 steps, by a line through the
second half. `logs` are `metrics.jsonl` and the TensorBoard events, which get a line for each log.

  python -m benchmarks.long_run --config=configs/mnist.py:smoke --rollout_steps=100000

This rolls out one clip in chunks instead, and says what a single array of all frames would need.

The last line is JSON. Linux only.
"""

import dataclasses
import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import app, flags, logging
from ml_collections import config_flags

from drnet_jax.commands import generate, train
from drnet_jax.models import rollout
from drnet_jax.runs import runtime
from drnet_jax.runs.run import Run, create_run

_CONFIG = config_flags.DEFINE_config_file("config", None, "Settings file.", lock_config=True)
_STEPS = flags.DEFINE_integer("steps", 100_000, "Training steps.", lower_bound=1)
_ROWS = flags.DEFINE_integer("rows", 20, "Rows of the table.", lower_bound=4)
_ROLLOUT_STEPS = flags.DEFINE_integer("rollout_steps", 0, "Frames to generate; 0: train.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 16, "Side of a frame.")

SMALLEST = {
    "model.width": 2,
    "model.content_dim": 4,
    "model.pose_dim": 3,
    "model.discriminator_width": 8,
    "drnet.batch_size": 2,
    "log_every_steps": 100,
    "checkpoint_every_steps": 1_000,
    "steps_at_once": 100,
}


@dataclasses.dataclass(frozen=True)
class Row:
    """What a process and its workdir hold at some moment; sizes are in MB."""

    seconds: float
    step: int
    memory: float
    files: int
    threads: int
    checkpoints: float
    samples: float
    logs: float


def measure(workdir: pathlib.Path, started: float, step: int) -> Row:
    """Returns the row of this moment."""
    process = pathlib.Path("/proc/self")
    pages = int((process / "statm").read_text().split()[1])
    logs = _size(workdir / "metrics.jsonl") + _size(workdir / "tensorboard")
    return Row(
        seconds=time.monotonic() - started,
        step=step,
        memory=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        checkpoints=_size(workdir / "checkpoints"),
        samples=_size(workdir / "samples"),
        logs=logs,
    )


def _size(path: pathlib.Path) -> float:
    """Returns the bytes of a file or of all files in a folder, in millions."""
    total = path.stat().st_size if path.is_file() else 0
    for file in path.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:  # Checkpoints are written and deleted in the background.
            continue
    return total / 1e6


def slopes(rows: list[Row]) -> dict[str, float]:
    """Returns how much each column grows in 10,000 steps, over the second half of `rows`."""
    half = rows[len(rows) // 2 :]
    steps = np.array([row.step for row in half]) / 10_000
    columns = [field.name for field in dataclasses.fields(Row)][2:]
    return {c: float(np.polyfit(steps, [getattr(r, c) for r in half], 1)[0]) for c in columns}


def train_long(run: Run) -> list[Row]:
    """Trains the first stage of `run`; returns a row for each picture."""
    started, rows = time.monotonic(), []
    print(" ".join(f"{field.name:>11}" for field in dataclasses.fields(Row)), flush=True)

    def write_sample(state, name: str) -> None:
        generate.write_sample(run, state, None, name)
        row = measure(pathlib.Path(run.workdir), started, int(state.step))
        rows.append(row)
        values = dataclasses.astuple(row)
        cells = (
            f"{value:11.2f}" if isinstance(value, float) else f"{value:11}" for value in values
        )
        print(" ".join(cells), flush=True)

    train.fit_stage(run, train.drnet_stage(run), run.init_drnet(), write_sample)
    return rows


def roll_out_long(run: Run, num_steps: int) -> dict[str, float]:
    """Rolls out one clip in chunks; returns the highest and lowest memory in MB, and seconds."""
    autoencoder, variables = run.init_drnet().autoencoder, run.init_predictor().variables
    autoencoder, variables = jax.device_get((autoencoder, variables))
    observed = jnp.zeros((1, run.config.predictor.num_observed, *run.frame_shape), jnp.uint8)
    frames_at_once = run.config.rollout.frames_at_once
    started, memory = time.monotonic(), []
    chunks = rollout.rollout_in_chunks(
        run.networks, run.predictor, autoencoder, variables, observed, num_steps, frames_at_once
    )
    for number, frames in enumerate(chunks):
        jax.device_get(frames)
        if number % 20 == 0:
            memory.append(measure(pathlib.Path(run.workdir), started, number).memory)
    seconds = time.monotonic() - started
    arguments = (autoencoder, variables, observed)
    program = rollout.compiled_rollout(run.networks, run.predictor, num_steps, frames_at_once)
    needs = program.lower(*arguments).compile().memory_analysis()
    at_once = needs.temp_size_in_bytes + needs.output_size_in_bytes
    return {
        "steps": num_steps,
        "seconds": seconds,
        "memory_after_first_chunks": memory[0],
        "memory_highest": max(memory),
        "memory_at_end": memory[-1],
        "all_frames": num_steps * int(np.prod(run.frame_shape)) / 1e6,
        "one_array_needs": at_once / 1e6,
    }


def smallest(config: ml_collections.ConfigDict, num_steps: int, rows: int) -> None:
    """Changes `config` to the smallest networks, and the steps and pictures that are asked for."""
    config.update_from_flattened_dict(SMALLEST)
    size = _IMAGE_SIZE.value
    config.data.update(image_size=size, digit_size=size // 2)
    config.drnet.num_steps = num_steps
    config.sample_every_steps = max(100, num_steps // rows // 100 * 100)


def main(argv: list[str], with_workdir: Callable = tempfile.TemporaryDirectory) -> None:
    """Trains or rolls out, and prints what was measured."""
    del argv
    if sys.platform != "linux":
        raise app.UsageError("This reads /proc, which only Linux has.")
    logging.set_verbosity(logging.WARNING)
    runtime.keep_freed_memory()
    config = _CONFIG.value
    smallest(config, _STEPS.value, _ROWS.value)
    with with_workdir() as workdir:
        run = create_run(config, workdir)
        if _ROLLOUT_STEPS.value:
            record = roll_out_long(run, _ROLLOUT_STEPS.value)
            print("\n".join(f"{name:>26} {value:12.1f}" for name, value in record.items()))
        else:
            rows = train_long(run)
            record = {"rows": [dataclasses.asdict(row) for row in rows], "slopes": slopes(rows)}
            print("in 10,000 steps:", {k: round(v, 3) for k, v in record["slopes"].items()})
    print(json.dumps(record))


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
