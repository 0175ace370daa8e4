"""What a run left in its folder, read so that whatever is missing or broken is simply absent."""

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from drnet_jax.runs import renamed

Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""(step, value) pairs, ascending by step, of each metric of each stage."""

_MOST_PICTURE_BYTES = 8_000_000


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The contents of a run's folder.

    Attributes:
      workdir: the folder.
      config: settings as they were nested; empty when absent, as are the next two.
      environment: versions, devices, command.
      evaluation: scores.
      curves: what was logged in training.
    """

    workdir: epath.Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    curves: Curves

    @classmethod
    def read(cls, workdir: epath.Path) -> "Inputs":
        """Reads all but the pictures."""
        return cls(
            workdir=workdir,
            config=read_json(workdir / "config.json"),
            environment=read_json(workdir / "environment.json"),
            evaluation=renamed.present_scores(read_json(workdir / "evaluation.json")),
            curves=read_curves(workdir / "metrics.jsonl"),
        )

    def picture(self, name: str) -> bytes | None:
        """Returns `samples/<name>`, or None where it is absent or too large to be put in a page."""
        path = self.workdir / "samples" / name
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return data if len(data) <= _MOST_PICTURE_BYTES else None

    def step_pictures(self, stage: str) -> dict[int, str]:
        """Returns the names of the pictures made while training `stage`, by ascending step."""
        folder = self.workdir / "samples" / stage
        if not folder.is_dir():
            return {}
        names = {path.stem.removeprefix("step_"): path.name for path in folder.glob("step_*.png")}
        by_step = {int(step): f"{stage}/{name}" for step, name in names.items() if step.isdigit()}
        return dict(sorted(by_step.items()))

    def score(self, *path: str) -> dict[str, float] | None:
        """Returns mean, low and high of a score of the evaluation; None when it is not there.

        An end of the interval that is absent is the mean.
        """
        node = self.at(*path)
        if not isinstance(node, Mapping) or not _is_number(node.get("mean")):
            return None
        ends = (node.get(end) for end in ("low", "high"))
        low, high = (end if _is_number(end) else node["mean"] for end in ends)
        return {"mean": node["mean"], "low": low, "high": high}

    def at(self, *path: str) -> Any:
        """Returns what the evaluation holds under nested names; None when it is not there."""
        node: Any = self.evaluation
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def score_over_steps(self, *path: str) -> dict[str, list[float]] | None:
        """Returns mean, low and high of a score of rollouts at each of their steps, or None."""
        return self.columns(self.rollout_steps(), "rollout", *path)

    def columns(self, steps: Sequence[float], *path: str) -> dict[str, list[float]] | None:
        """Returns mean, low and high of a score at each of `steps`, None when it is not there."""
        node = self.at(*path)
        if not isinstance(node, Mapping) or not steps:
            return None
        columns = {end: node.get(end) for end in ("mean", "low", "high")}
        return columns if all(_is_column(c, len(steps)) for c in columns.values()) else None

    def rollout_steps(self) -> list[int]:
        """Returns the steps at which rollouts were scored, ascending and above 0; may be none."""
        return self.ascending("rollout", "steps")

    def ascending(self, *path: str) -> list[float]:
        """Returns the numbers under nested names; none unless they ascend and are above 0."""
        steps = self.at(*path)
        if not _is_column(steps, None):
            return []
        ascending = all(a < b for a, b in itertools.pairwise([0, *steps]))
        return steps if ascending else []


def read_curves(path: epath.Path) -> Curves:
    """Returns the scalars of a JSON-lines file; lines and values that cannot be used are skipped.

    A run that was killed may leave half a line, and one that was resumed a step twice, of which
    the later one counts.
    """
    try:
        lines = path.read_bytes().decode(errors="replace").splitlines()
    except OSError:
        return {}
    values: dict[str, dict[str, dict[int, float]]] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if not isinstance(record, dict) or not _is_number(record.get("step")):
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


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Returns at most `count` of `items`, evenly spaced, with the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def read_json(path: epath.Path) -> Mapping[str, Any]:
    """Returns the object in a file; an empty one where there is none that can be read."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_column(value: Any, length: int | None) -> bool:
    """Returns whether `value` is a list of numbers, of so many if `length` is given."""
    if not isinstance(value, list) or not all(map(_is_number, value)):
        return False
    return length is None or len(value) == length
