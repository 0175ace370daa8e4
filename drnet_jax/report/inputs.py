"""The files that a run left in its folder; whatever is missing or broken reads as absent."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
from etils import epath

from drnet_jax.base import checked_json
from drnet_jax.runs import renamed, rollbacks

Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""(step, value) pairs, ascending by step, of each metric of each stage."""

# A page holds its pictures in base64, and browsers get slow at tens of megabytes.
MOST_PICTURE_BYTES = 8_000_000


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The contents of a run's folder.

    Attributes:
      workdir: the folder.
      config: nested settings; empty when absent, as are the next four.
      environment: versions, devices, command.
      evaluation: scores, under their present names.
      timings: where the time of the process went that finished the run.
      curves: metrics logged in training.
      rollbacks: a line on each rollback of training.
    """

    workdir: epath.Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    timings: Mapping[str, Any]
    curves: Curves
    rollbacks: Sequence[str]

    @classmethod
    def read(cls, workdir: epath.Path) -> "Inputs":
        """Reads everything except the pictures."""
        return cls(
            workdir=workdir,
            config=read_json(workdir / "config.json"),
            environment=read_json(workdir / "environment.json"),
            evaluation=renamed.present_scores(read_json(workdir / "evaluation.json")),
            timings=read_json(workdir / "timings.json"),
            curves=read_curves(workdir / "metrics.jsonl"),
            rollbacks=_rollbacks(workdir),
        )

    def phases(self) -> list[tuple[str, list[str]]]:
        """Returns the name of each phase of the run, with its seconds and its number of programs.

        Seconds are in all, tracing and compiling.
        """
        found = self.timings.get("phases")
        rows = []
        for phase in found if isinstance(found, list) else []:
            names = ("seconds", "tracing", "compiling", "programs")
            values = [phase.get(name) for name in names] if isinstance(phase, Mapping) else [None]
            if not all(isinstance(value, int | float) for value in values):
                return []
            *seconds, programs = values
            name = f"{phase.get('name')}{' (in parallel)' if phase.get('beside') else ''}"
            rows.append((name, [*(f"{s:.1f}" for s in seconds), str(programs)]))
        return rows

    def picture(self, name: str) -> bytes | None:
        """Returns the file `samples/<name>`, or None if it is absent or too large for a page."""
        try:
            data = (self.workdir / "samples" / name).read_bytes()
        except OSError:
            return None
        return data if len(data) <= MOST_PICTURE_BYTES else None

    def step_pictures(self, stage: str, count: int) -> dict[int, bytes]:
        """Returns at most `count` pictures made while training `stage`, by ascending step."""
        folder = self.workdir / "samples" / stage
        names = {path.stem.removeprefix("step_"): path.name for path in folder.glob("step_*.png")}
        by_step = {int(step): f"{stage}/{name}" for step, name in names.items() if step.isdigit()}
        pictures = {step: self.picture(by_step[step]) for step in spread(sorted(by_step), count)}
        return {step: picture for step, picture in pictures.items() if picture}

    def at(self, *path: str) -> Any:
        """Returns the evaluation's entry under nested names, or None."""
        node: Any = self.evaluation
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def number(self, *path: str) -> float | None:
        """Returns the evaluation's number under nested names, or None."""
        value = self.at(*path)
        return value if _is_number(value) else None

    def score(self, *path: str) -> dict[str, float | None] | None:
        """Returns `mean`, `low` and `high` of a score, or None; unknown ends are None."""
        ends = {end: self.number(*path, end) for end in ("mean", "low", "high")}
        return None if ends["mean"] is None else ends

    def rows(
        self, paths: Mapping[str, Sequence[str]], scores: Sequence[Sequence[str]]
    ) -> list[tuple[str, list[dict[str, float | None] | None]]]:
        """Returns the `scores` under each of `paths`, by its name; empty rows are left out."""
        rows = [(name, [self.score(*path, *key) for key in scores]) for name, path in paths.items()]
        return [(name, cells) for name, cells in rows if any(cells)]

    def series(self, steps: Sequence[float], *path: str) -> dict[str, list[float]] | None:
        """Returns `mean`, `low` and `high` of a score, lists as long as `steps`, or None.

        A score without intervals has its means at both ends.
        """
        columns = {end: self.at(*path, end) for end in ("mean", "low", "high")}
        if columns["low"] == columns["high"] == [None] * len(steps):
            columns |= dict.fromkeys(("low", "high"), columns["mean"])
        if not steps or not all(map(_are_numbers, columns.values())):
            return None
        return columns if all(len(c) == len(steps) for c in columns.values()) else None

    def ascending(self, *path: str) -> list[float]:
        """Returns the list of numbers under nested names; empty unless 0 < first < second < ..."""
        steps = self.at(*path)
        if not _are_numbers(steps):
            return []
        return steps if all(a < b for a, b in itertools.pairwise([0, *steps])) else []


def read_curves(path: epath.Path) -> Curves:
    """Returns the numbers in a file of JSON lines; unusable lines and values are skipped.

    A run that was killed may leave half a line, and a resumed run may log a step twice: the later
    value counts. Damaged lines are reported in the log.
    """
    try:
        lines = path.read_bytes().decode(errors="replace").splitlines()
    except OSError:
        return {}
    values: dict[str, dict[str, dict[int, float]]] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = checked_json.parse(line)
        except ValueError as error:
            logging.warning("%s: line %d is left out: %s.", path, number, error)
            continue
        if not _is_number(record.get("step")):
            continue
        stage = values.setdefault(str(record.pop("stage", "training")), {})
        step = int(record.pop("step"))
        for name, value in record.items():
            if _is_number(value):
                stage.setdefault(name, {})[step] = float(value)
    return {
        stage: {name: sorted(points.items()) for name, points in metrics.items()}
        for stage, metrics in values.items()
    }


def _rollbacks(workdir: epath.Path) -> list[str]:
    try:
        return [rollback.line for rollback in rollbacks.read(workdir)]
    except (ValueError, OSError) as error:
        logging.warning("%s It is left out.", error)
        return []


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Returns at most `count` of `items`, evenly spaced, including the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def read_json(path: epath.Path) -> Mapping[str, Any]:
    """Returns the JSON object in a file, or an empty one; warns if it is damaged."""
    try:
        return checked_json.read(path)
    except OSError:
        return {}
    except ValueError as error:
        logging.warning("%s It is left out.", error)
        return {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(map(_is_number, values))
