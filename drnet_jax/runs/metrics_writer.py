"""A run's numbers as files: `metrics.jsonl`, TensorBoard events, and JSON records."""

import json
import math
from collections.abc import Mapping

import tensorboardX
from etils import epath

from drnet_jax.base.files import write_atomically


def write_json(path: epath.PathLike, record: Mapping) -> None:
    """Writes `record` as indented JSON, atomically; raises ValueError for NaN."""
    write_atomically(path, json.dumps(record, indent=2, allow_nan=False) + "\n")


class MetricsWriter:
    """Appends the scalars of one stage to `metrics.jsonl` and to TensorBoard event files."""

    def __init__(self, workdir: epath.PathLike, stage: str, first_step: int):
        """Opens the logs at `first_step`, and drops what `stage` logged after that step.

        Those lines are from before an interruption; the resumed run writes them again.
        """
        workdir = epath.Path(workdir)
        self._stage = stage
        self._path = workdir / "metrics.jsonl"
        kept = [line for line in self._lines() if not self._is_lost(line, first_step)]
        write_atomically(self._path, "".join(line + "\n" for line in kept))
        self._events = tensorboardX.SummaryWriter(
            str(workdir / "tensorboard" / stage), purge_step=first_step + 1
        )

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *_) -> None:
        self._events.close()

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes one line for `step`; readers see it immediately."""
        record = {"stage": self._stage, "step": step} | dict(scalars)
        with self._path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        for name, value in scalars.items():
            if math.isfinite(value):
                self._events.add_scalar(f"{self._stage}/{name}", value, step)

    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []

    def _is_lost(self, line: str, first_step: int) -> bool:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # A run was killed while writing this line.
            return True
        return record["stage"] == self._stage and record["step"] > first_step
