"""Content and pose of every frame of a data set or of a user's videos, as Parquet and NPZ."""

import functools
import io
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ml_collections
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from absl import logging
from etils import epath

from drnet_jax import api
from drnet_jax.base import files, processes, progress, stopping, wording
from drnet_jax.base.errors import InputError, input_errors
from drnet_jax.commands import generate
from drnet_jax.data import registry
from drnet_jax.data.preparation.builder import SPLITS, UnreadableError
from drnet_jax.data.preparation.prepare import prepare_clips
from drnet_jax.data.readers import inputs, raw_files
from drnet_jax.runs.metrics_writer import write_json

SHARD_FRAMES = 2**16
"""Frames of a shard; no more vectors than these are in memory, however long the videos are."""

BATCH_FRAMES = api.BATCH_FRAMES

_METADATA = b"drnet_jax"
_MOST_WARNINGS = 10

TimedFrames = Iterator[tuple[Any, np.ndarray]]
"""Seconds since the start, None if unknown, and uint8 `[height, width, channels]`."""


class Clips(NamedTuple):
    """What is to be embedded."""

    readers: dict[str, Callable[[], TimedFrames]]  # By name, in the order of the rows.
    ignored: list[tuple[str, str]]  # Name and reason of each file that is no clip.
    fingerprint: str  # Changes when any of the frames may have.


class Row(NamedTuple):
    """A frame that is to be embedded."""

    clip: int
    name: str  # Of the clip.
    number: int
    seconds: float | None
    frame: np.ndarray


class Position(NamedTuple):
    """How far an embedding has come."""

    shards: int = 0
    frames: int = 0  # In all shards together.
    clip: int = 0  # The next row is frame `number` of clip `clip`, if it has so many.
    number: int = 0


def run(config: ml_collections.ConfigDict, workdir: epath.PathLike, path: str | None) -> None:
    """Writes the vectors of all frames to `embeddings/` of a trained workdir.

    An interrupted run of the same command continues after its last complete shard.

    Args:
      config: the settings of the run.
      workdir: its folder.
      path: a video, or a folder of videos and of numbered images; None is the run's data set.

    Raises:
      InputError: for a path that cannot be read, data without recorded clips, missing checkpoints,
        or a folder with vectors of something else.
    """
    with input_errors():
        model = generate.open_model(config, workdir)
        clips = _clips_at(model, pathlib.Path(path).expanduser()) if path else _clips_of(config)
        name = generate.clip_name(path) if path else config.data.name
        folder = epath.Path(workdir) / "embeddings" / name
        key = raw_files.fingerprint([repr(model), clips.fingerprint])
        position, skipped = _resume(folder, key)
    if not processes.is_first():
        return
    stopping.doing("embedding", "finished files are kept")
    total = len(clips.readers)
    with progress.progress_bar("Embedding", total, "clip", initial=position.clip) as bar:
        position = _embed(model, clips, folder, key, position, skipped, bar)
    if not position.frames:
        raise InputError(f"Nothing could be read: {next(iter(skipped.values()), 'no frames')}")
    for file, reason in itertools.islice(skipped.items(), _MOST_WARNINGS):
        logging.warning("Skipped %s: %s", file, reason)
    summary = {"frames": position.frames, "shards": position.shards, "clips": total}
    summary |= {"skipped": skipped, "ignored": dict(clips.ignored)}
    write_json(folder / "summary.json", summary)
    what = f"{wording.count(position.frames, 'frame')} of {wording.count(total, 'clip')}"
    left = f"{len(skipped):,} skipped, {wording.count(len(clips.ignored), 'other file')} ignored"
    print(f"Vectors of {what} are in {folder}; {left}, listed in summary.json.")


def _clips_at(model: api.Model, path: pathlib.Path) -> Clips:
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}; allowed: {inputs.CONTENTS}.")
    found = inputs.find(path)
    if not found.inputs:
        others = wording.count(len(found.ignored), "other file")
        raise ValueError(f"{path} holds {others}; expected {inputs.CONTENTS}.")
    readers = {
        name: functools.partial(source.frames, *model.video_form)
        for name, source in found.inputs.items()
    }
    described = [(f.name, f.size, f.changed) for i in found.inputs.values() for f in i.files]
    return Clips(readers, found.ignored, raw_files.fingerprint(described))


def _clips_of(config: ml_collections.ConfigDict) -> Clips:
    """Returns the clips of the run's data set, named by split and clip."""
    if config.data.name == registry.MOVING_MNIST:
        raise ValueError("Moving MNIST has clips without end; give your own videos with --input.")
    builder = registry.make_builder(config.data)
    prepare_clips(builder, max_skipped=config.data.max_skipped)
    readers = {}
    for split in SPLITS:
        records = builder.as_data_source(split=split)
        for number in range(len(records)):
            name = f"{split}/{records[number]['name'].decode()}"
            readers[name] = functools.partial(_recorded, records, number)
    return Clips(readers, [], builder.builder_config.name)


def _recorded(records: Any, number: int) -> TimedFrames:
    return ((None, frame) for frame in records[number]["frames"])


def _resume(folder: epath.Path, key: str) -> tuple[Position, dict[str, str]]:
    """Returns where to continue in `folder`, and what has been skipped so far."""
    shards = sorted(folder.glob("*.parquet")) if folder.exists() else []
    if not shards:
        return Position(), {}
    schema = pa.parquet.read_schema(io.BytesIO(files.read(shards[-1])))
    stored = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))
    if stored.get("key") != key:
        raise ValueError(
            f"{folder} holds vectors of other frames or of another state of the model; delete it."
        )
    return Position(*stored["position"]), stored["skipped"]


def _embed(
    model: api.Model,
    clips: Clips,
    folder: epath.Path,
    key: str,
    position: Position,
    skipped: dict[str, str],
    bar: Any,
) -> Position:
    """Writes all shards that are missing; returns where it ended."""
    rows = _rows(clips, position, skipped)
    parts: list[dict[str, Any]] = []
    while batch := list(itertools.islice(rows, BATCH_FRAMES)):
        parts.append(_vectors(model, batch))
        position = position._replace(
            frames=position.frames + len(batch), clip=batch[-1].clip, number=batch[-1].number + 1
        )
        # Not refreshed here, which would fill log files: `update` does so when it is time.
        bar.set_postfix(frames=f"{position.frames:,}", refresh=False)
        bar.update(position.clip - bar.n)
        if len(parts) * BATCH_FRAMES >= SHARD_FRAMES:
            position = _write_shard(folder, key, position, skipped, parts)
            parts.clear()
    if parts:
        position = _write_shard(folder, key, position, skipped, parts)
    bar.update(len(clips.readers) - bar.n)
    return position


def _rows(clips: Clips, position: Position, skipped: dict[str, str]) -> Iterator[Row]:
    """Yields frames from `position` on, one at a time; adds what cannot be read to `skipped`."""
    for clip, (name, read) in enumerate(clips.readers.items()):
        if clip < position.clip:
            continue
        begin = position.number if clip == position.clip else 0
        try:
            for number, (seconds, frame) in enumerate(read()):
                if number >= begin:
                    yield Row(clip, name, number, seconds, frame)
        except UnreadableError as error:
            skipped[name] = " ".join(str(error).split())


def _vectors(model: api.Model, batch: list[Row]) -> dict[str, Any]:
    """Returns the columns of a batch; all batches have one size, so one program encodes them."""
    frames = np.stack([row.frame for row in batch])
    missing = ((0, BATCH_FRAMES - len(batch)), (0, 0), (0, 0), (0, 0))
    content, pose = (array[: len(batch)] for array in model.embed(np.pad(frames, missing)))
    times = [np.nan if row.seconds is None else float(row.seconds) for row in batch]
    return {
        "clip": np.array([row.name for row in batch]),
        "frame": np.array([row.number for row in batch], np.int64),
        "seconds": np.array(times, np.float64),
        "content": content,
        "pose": pose,
    }


def _write_shard(
    folder: epath.Path,
    key: str,
    position: Position,
    skipped: dict[str, str],
    parts: list[dict[str, Any]],
) -> Position:
    """Writes `parts` as the next shard; returns `position` with that shard counted."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    path = folder / f"{position.shards:05d}.parquet"
    position = position._replace(shards=position.shards + 1)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **columns)
    files.write_atomically(path.with_suffix(".npz"), buffer.getvalue())
    arrays = {name: pa.array(columns[name]) for name in ("clip", "frame")}
    arrays["seconds"] = pa.array(columns["seconds"], from_pandas=True)  # NaN is null.
    for name in ("content", "pose"):
        if size := columns[name].shape[1]:
            flat = pa.array(columns[name].reshape(-1))
            arrays[name] = pa.FixedSizeListArray.from_arrays(flat, size)
    state = {"key": key, "position": position, "skipped": skipped}
    table = pa.table(arrays).replace_schema_metadata({_METADATA: json.dumps(state).encode()})
    buffer = io.BytesIO()
    pa.parquet.write_table(table, buffer)
    # Written last: a shard counts once this file is there.
    files.write_atomically(path, buffer.getvalue())
    return position
