"""Preparing a data set: runs its jobs over the cores and leaves a complete folder, or none."""

import collections
import concurrent.futures
import contextlib
import functools
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from absl import logging
from array_record.python import array_record_module
from etils import epath

from drnet_jax.base import files, lock, plural, progress
from drnet_jax.data.preparation import card, contact_sheet
from drnet_jax.data.preparation.builder import (
    SPLITS,
    ClipBuilder,
    Job,
    UnreadableError,
    without_frames,
)
from drnet_jax.data.preparation.parts import Parts

_FILE_FORMAT = "array_record"
_FILE_BYTES = 256 * 2**20  # Frames in one file of records; readers open files in parallel.
_MOST_WARNINGS = 10

# What became of a job: its records without their frames, or why there are none.
_Outcome = list[dict[str, Any]] | str


def is_prepared(builder: ClipBuilder) -> bool:
    """Returns whether the data set is complete on disk: its folder appears all at once."""
    return builder.data_path.exists()


def prepare_clips(
    builder: ClipBuilder, *, max_skipped: float, workers: int | None = None
) -> epath.Path:
    """Makes all clips of `builder`, unless they already exist.

    A preparation that was stopped, in whatever way, continues after the jobs that were finished
    and ends with the same bytes as one that was not. A second process waits for the first.

    Args:
      builder: the data set; afterwards it can be read from.
      max_skipped: the largest fraction of the jobs whose input may be unreadable.
      workers: number of threads; by default one for each core.

    Returns:
      The folder with the records, `card.md` and `contact_sheet.png`.

    Raises:
      FileNotFoundError: the folder of raw files or one of the required files does not exist.
      ValueError: too many inputs cannot be used, or the clips cannot be written; finished jobs
        are kept.
      RuntimeError: a job failed for a reason other than its input.
    """
    folder = builder.data_path
    if "://" in os.fspath(folder):
        raise ValueError(f"Clips can be prepared in a local folder only, not in {folder}.")
    parts = Parts(folder.with_name(f".{folder.name}.parts"))
    if not is_prepared(builder) or parts.folder.exists():
        with _locked(builder):
            if not is_prepared(builder):
                _make_and_write(builder, parts, max_skipped, workers or _num_cores())
            with _writing(folder):
                parts.delete()
    # The builder may have been created before the data set was complete.
    builder.info.read_from_directory(folder)
    return folder


def _make_and_write(builder: ClipBuilder, parts: Parts, max_skipped: float, workers: int) -> None:
    jobs = builder.jobs()
    _check_jobs(builder, jobs)
    title, num_jobs = builder.CARD.title, sum(len(split) for split in jobs.values())
    print(
        f"Preparing {title}: {plural.count(num_jobs, 'job')}, in {builder.data_path}.", flush=True
    )
    outcomes = _run_jobs(builder, parts, jobs, workers)
    skipped = [
        (job.name, outcomes.pop(job.name))
        for split in SPLITS
        for job in jobs[split]
        if isinstance(outcomes[job.name], str)
    ]
    made = {split: [job for job in jobs[split] if job.name in outcomes] for split in SPLITS}
    _check_names(title, outcomes)
    records = {s: [record for job in made[s] for record in outcomes[job.name]] for s in SPLITS}
    _check_skipped(title, card.Contents(records, skipped), num_jobs, max_skipped)
    with _writing(builder.data_path):
        _write(builder, parts, made, card.Contents(records, skipped))


def _check_jobs(builder: ClipBuilder, jobs: dict[str, list[Job]]) -> None:
    title = builder.CARD.title
    if set(jobs) != set(SPLITS):
        raise RuntimeError(f"{title} has the splits {sorted(jobs)}; expected: {list(SPLITS)}.")
    for split in SPLITS:
        if not jobs[split]:
            raise ValueError(f"{title}: there is nothing to make the split {split!r} of.")
    names = collections.Counter(job.name for split in SPLITS for job in jobs[split])
    if twice := [name for name in names if names[name] > 1]:
        raise ValueError(f"{title}: {twice[0]!r} occurs {names[twice[0]]} times; allowed: once.")


def _run_jobs(
    builder: ClipBuilder, parts: Parts, jobs: dict[str, list[Job]], workers: int
) -> dict[str, _Outcome]:
    """Returns the outcome of each job, by name and in order; the records go to `parts`."""
    with _writing(builder.data_path):
        parts.folder.mkdir(parents=True, exist_ok=True)
    # Threads: decoders and compiled programs release the interpreter lock.
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    run = functools.partial(_run_job, builder, parts)
    futures = {job.name: pool.submit(run, job) for split in SPLITS for job in jobs[split]}
    try:
        with progress.progress_bar("Making", len(futures), "job") as bar:
            for future in concurrent.futures.as_completed(futures.values()):
                future.result()  # Raises what the job raised: the first failure stops all.
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return {name: future.result() for name, future in futures.items()}


def _run_job(builder: ClipBuilder, parts: Parts, job: Job) -> _Outcome:
    records = parts.load(job)
    if records is None:
        try:
            records = _make_records(builder, job)
        except UnreadableError as error:
            return _one_line(error)
        except Exception as error:
            reason = f"{type(error).__name__}: {_one_line(error)}"
            raise RuntimeError(f"{builder.CARD.title}: {job.name!r} failed: {reason}") from error
        with _writing(builder.data_path):
            parts.store(job, records)
    return [without_frames(builder.deserialize(record)) for record in records]


def _make_records(builder: ClipBuilder, job: Job) -> list[bytes]:
    clips = builder.make(job)
    for clip in clips:
        if len(clip.frames) == 0:
            raise ValueError(f"the clip {clip.name!r} has no frames")
    return [builder.serialize(clip) for clip in clips]


def _check_skipped(title: str, contents: card.Contents, num_jobs: int, max_skipped: float) -> None:
    """Logs what was skipped, and raises ValueError when that is too much."""
    skipped = contents.skipped
    for name, reason in skipped[:_MOST_WARNINGS]:
        logging.warning("Skipped %s: %s", name, reason)
    if (more := len(skipped) - _MOST_WARNINGS) > 0:
        logging.warning("Skipped %s more.", f"{more:,}")
    what = f"{title}: {len(skipped):,} of {plural.count(num_jobs, 'input')} cannot be used"
    what += f", the first: {skipped[0][1].rstrip('.')}" if skipped else ""
    if len(skipped) > max_skipped * num_jobs:
        needed = math.ceil(100 * len(skipped) / num_jobs) / 100
        raise ValueError(
            f"{what}; at most {max_skipped:.3g} of all are allowed: "
            f"mend them, or allow more by config.data.max_skipped={needed:g}."
        )
    for split, records in contents.splits.items():
        if not records:
            raise ValueError(f"The split {split!r} would have no clips. {what}.")


def _check_names(title: str, outcomes: dict[str, list[dict[str, Any]]]) -> None:
    makers: dict[bytes, str] = {}
    for job, records in outcomes.items():
        for name in (record["name"] for record in records):
            if name in makers:
                raise ValueError(
                    f"{title}: two clips are named {name.decode()!r}, of {makers[name]!r} and of "
                    f"{job!r}; names must differ."
                )
            makers[name] = job


def _write(
    builder: ClipBuilder, parts: Parts, jobs: dict[str, list[Job]], contents: card.Contents
) -> None:
    """Writes all files into a folder that gets its final name when it is complete."""
    folder = builder.data_path
    # Processes that were killed may have left some.
    for stale in folder.parent.glob(f"incomplete.*_{folder.name}"):
        stale.rmtree()
    unfinished = folder.with_name(f"incomplete.drnet_jax_{folder.name}")
    unfinished.mkdir()
    try:
        shown = _write_records(builder, parts, jobs, contents, unfinished)
        # Names of files need not be UTF-8.
        text = card.text(builder, contents).encode(errors="backslashreplace")
        files.write_atomically(unfinished / "card.md", text)
        sheet = contact_sheet.png(builder, contents, shown)
        files.write_atomically(unfinished / "contact_sheet.png", sheet)
        _flush(unfinished)
        unfinished.rename(folder)
    except BaseException:
        unfinished.rmtree()  # The disk may be full.
        raise


def _write_records(
    builder: ClipBuilder,
    parts: Parts,
    jobs: dict[str, list[Job]],
    contents: card.Contents,
    folder: epath.Path,
) -> dict[str, list[dict[str, Any]]]:
    """Writes the records as tfds lays them out; returns the decoded ones to draw, by split."""
    builder.info.set_file_format(_FILE_FORMAT, override=True)
    infos, shown = [], {split: [] for split in SPLITS}
    num_clips = sum(len(records) for records in contents.splits.values())
    with progress.progress_bar("Writing", num_clips, "clip") as bar:
        for split, decoded in contents.splits.items():
            chosen = contact_sheet.choose(len(decoded))
            records = _load_records(parts, jobs[split])
            template = tfds.core.ShardedFileTemplate(
                folder, dataset_name=builder.name, split=split, filetype_suffix=_FILE_FORMAT
            )
            numbers = _numbers_by_file(builder, [record["length"] for record in decoded])
            paths = template.sharded_filepaths(len(numbers))
            for path, in_file in zip(paths, numbers, strict=True):
                # Groups of one record, as tfds writes them: reading one unpacks no other.
                writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")
                for number in in_file:
                    record = next(records)
                    writer.write(record)
                    if number in chosen:
                        shown[split].append(builder.deserialize(record))
                    bar.update()
                writer.close()
            sizes = [len(in_file) for in_file in numbers]
            num_bytes = sum(path.stat().length for path in paths)
            infos.append(tfds.core.SplitInfo(split, sizes, num_bytes, template))
    builder.info.set_splits(tfds.core.SplitDict(infos))
    builder.info.write_to_directory(folder)
    return shown


def _load_records(parts: Parts, jobs: list[Job]) -> Iterator[bytes]:
    for job in jobs:
        records = parts.load(job)
        if records is None:
            raise ValueError(
                f"What was made of {job.name!r} in {parts.folder} is lost; start again."
            )
        yield from records


def _numbers_by_file(builder: ClipBuilder, lengths: list[int]) -> list[list[int]]:
    """Returns the numbers of the clips in each file of records."""
    frame_bytes = math.prod(builder.info.features["frames"].shape[1:])
    by_file: list[list[int]] = [[]]
    filled = 0
    for number, length in enumerate(lengths):
        if by_file[-1] and filled + length * frame_bytes > _FILE_BYTES:
            by_file.append([])
            filled = 0
        by_file[-1].append(number)
        filled += length * frame_bytes
    return by_file


def _flush(folder: epath.Path) -> None:
    """Writes the files of `folder` through to the disk, in case the power fails after a rename."""
    for path in folder.iterdir():
        with pathlib.Path(path).open("rb") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def _locked(builder: ClipBuilder) -> Iterator[None]:
    """Keeps other processes from preparing the same data set."""
    folder = builder.data_path
    waiting = f"Waiting for another process that prepares {builder.CARD.title}."
    with contextlib.ExitStack() as stack:
        with _writing(folder):
            stack.enter_context(lock.locked(folder.with_name(f".{folder.name}.lock"), waiting))
        yield


@contextlib.contextmanager
def _writing(folder: epath.Path) -> Iterator[None]:
    """Turns errors in writing into one line that says where and why."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or _one_line(error)
        raise ValueError(f"Clips cannot be written to {folder}: {reason}.") from error
    except RuntimeError as error:  # What ArrayRecord raises when the disk is full.
        reason = _one_line(error).partition(";")[0]
        raise ValueError(f"Clips cannot be written to {folder}: {reason}.") from error


def _num_cores() -> int:
    # Not all platforms know which cores a process may use.
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
