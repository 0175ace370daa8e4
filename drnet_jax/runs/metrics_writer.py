"""A run's numbers as files: `metrics.jsonl`, TensorBoard events, and JSON records."""

import json
import math
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from absl import logging
from etils import epath
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary

from drnet_jax.base import checked_json, files
from drnet_jax.base.files import write_atomically

UPLOAD_SECONDS = 10.0
"""Least time between two uploads of what is logged to a bucket."""


def write_json(path: epath.PathLike, record: Mapping) -> None:
    """Writes `record` as indented JSON, atomically; raises ValueError for NaN."""
    write_atomically(path, json.dumps(record, indent=2, allow_nan=False) + "\n")


class MetricsWriter:
    """Writes the scalars of one stage to `metrics.jsonl` and to a TensorBoard event file.

    On a disk, lines are appended and readers see them at once. An object in a bucket cannot be
    appended to, so there both files are uploaded whole: at most every `upload_seconds`, and when
    `flush` is called, as it must be before a checkpoint is saved.
    """

    def __init__(
        self,
        workdir: epath.PathLike,
        stage: str,
        first_step: int,
        *,
        upload_seconds: float = UPLOAD_SECONDS,
    ):
        """Opens the logs at `first_step`, and drops what `stage` logged after that step.

        Those lines are from before an interruption; the resumed run writes them again. The event
        file is made anew from the lines that are kept, so both always hold the same points.
        """
        workdir = epath.Path(workdir)
        self._stage = stage
        self._path = workdir / "metrics.jsonl"
        self._local = files.is_local(workdir)
        self._upload_seconds = upload_seconds
        records = [
            record
            for record in _records(self._path)
            if record["stage"] != stage or record["step"] <= first_step
        ]
        self._lines = [checked_json.line(record) for record in records]
        write_atomically(self._path, "".join(self._lines))
        own = (record for record in records if record["stage"] == stage)
        self._events = _Events(workdir / "tensorboard" / stage, own)
        self._uploaded = time.monotonic()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *_) -> None:
        self.flush()
        self._events.close()

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes one line for `step`."""
        record = {"stage": self._stage, "step": step} | dict(scalars)
        self._events.add(record)
        if self._local:
            with self._path.open("a") as file:
                file.write(checked_json.line(record))
            return
        self._lines.append(checked_json.line(record))
        if time.monotonic() - self._uploaded >= self._upload_seconds:
            self.flush()

    def flush(self) -> None:
        """Has readers see everything that was written, when this returns."""
        if self._local:
            return
        write_atomically(self._path, "".join(self._lines))
        self._events.upload()
        self._uploaded = time.monotonic()


class _Events:
    """The event file of a stage, which replaces those of earlier processes."""

    def __init__(self, folder: epath.Path, records: Iterable[Mapping[str, Any]]):
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._folder = folder
        self._temporary = None
        if not files.is_local(folder):
            self._temporary = tempfile.TemporaryDirectory()
            folder = epath.Path(self._temporary.name)
        folder.mkdir(parents=True, exist_ok=True)
        # The rest of the name is the second and the host, which two writers may share.
        suffix = f".{uuid.uuid4().hex[:8]}"
        self._writer = EventsWriter(str(folder / "events"), suffix)
        [self._path] = folder.glob(f"*{suffix}")
        for record in records:
            self._write(record)
        self._writer.flush()

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds the finite scalars of `record`."""
        self._write(record)
        self._writer.flush()

    def upload(self) -> None:
        """Copies the file to its folder in the bucket."""
        write_atomically(self._folder / self._path.name, self._path.read_bytes())

    def close(self) -> None:
        self._writer.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _write(self, record: Mapping[str, Any]) -> None:
        scalars = {name: value for name, value in record.items() if name not in ("stage", "step")}
        values = [
            Summary.Value(tag=f"{record['stage']}/{name}", simple_value=value)
            for name, value in scalars.items()
            if math.isfinite(value)
        ]
        summary = Summary(value=values)
        self._writer.write_event(Event(wall_time=time.time(), step=record["step"], summary=summary))


def _records(path: epath.Path) -> list[dict[str, Any]]:
    """Returns the records in `path`, which may not exist or end in the middle of a line."""
    try:
        lines = files.read(path).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(checked_json.parse(line))
        except ValueError as error:
            if number < len(lines):  # Else a run was killed while writing this line.
                logging.warning("%s: line %d is taken out: %s.", path, number, error)
    return records
