"""Prepares a data set: runs its jobs on all cores and leaves a complete folder, or none.

What happens to a user's file: `ClipBuilder.make` turns it into clips, `ClipBuilder.serialize` turns
each clip into a record, and the records are all that is kept, first in one file for each job and
in the end in the folder that tfds can read.
"""

import collections
import concurrent.futures
import contextlib
import functools
import hashlib
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import logging
from etils import epath

from drnet_jax import __version__
from drnet_jax.base import files, local_copy, progress, stopping, wording
from drnet_jax.data.preparation import card, copies, write_folder
from drnet_jax.data.preparation.builder import (
    SPLITS,
    Clip,
    ClipBuilder,
    Job,
    UnreadableError,
    without_frames,
)

_MOST_WARNINGS = 10  # The card lists all skipped inputs.

_DIGEST = "digest"  # Of a clip's frames, among what is kept of its record.

_Outcome = list[dict[str, Any]] | str
"""What became of a job: its decoded records without their frames, or why its input is unusable."""


def prepare_clips(
    builder: ClipBuilder, *, max_skipped: float, workers: int | None = None
) -> epath.Path:
    """Makes all clips of `builder`, unless they already exist.

    A preparation that was interrupted, even killed, continues with the jobs that are left, and
    the result has the same bytes. A second process waits for the first. `max_skipped` is the
    largest fraction of the jobs whose input may be unreadable, `workers` is the number of threads,
    by default one for each core.

    If the builder's folder is the local copy of one in a bucket, the clips are fetched from there
    if they are complete, and else uploaded.

    Returns:
      The local folder with the records, `card.md` and `contact_sheet.png`.

    Raises:
      FileNotFoundError: the folder of raw files or one of the required files does not exist.
      ValueError: too many inputs cannot be used, or the clips cannot be written; finished jobs
        are kept.
      RuntimeError: a job failed for a reason other than its input.
      OSError: a bucket cannot be used.
    """
    make = functools.partial(_prepare, builder, max_skipped, workers or _num_cores())
    local_copy.provide(builder.data_path, make)
    # A builder that was created before its data set was complete expects another format.
    if not builder.info.initialized:
        builder.info.set_file_format(write_folder.FORMAT, override=True)
    builder.info.read_from_directory(builder.data_path)
    return builder.data_path


def _prepare(builder: ClipBuilder, max_skipped: float, workers: int) -> None:
    folder, parts = builder.data_path, _parts(builder)
    # The folder of a data set appears all at once, when it is complete.
    if not folder.exists() or parts.exists():
        with _locked(builder):
            if not folder.exists():
                _make_and_write(builder, max_skipped, workers)
            with _writing(folder):
                parts.rmtree(missing_ok=True)


def _parts(builder: ClipBuilder) -> epath.Path:
    """Returns the folder where a preparation keeps what it has finished."""
    return builder.data_path.with_name(f".{builder.data_path.name}.parts")


def _part(builder: ClipBuilder, job: Job) -> epath.Path:
    """Returns the file that keeps the records of `job` for later processes.

    Its name depends on the job and on the version of drnet_jax, so records that were made in
    another way are never reused.
    """
    identity = repr((__version__, job.name, job.arguments))
    return _parts(builder) / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.records"


def _make_and_write(builder: ClipBuilder, max_skipped: float, workers: int) -> None:
    stopping.doing("preparing the data", "finished parts are kept")
    jobs = builder.jobs()
    _check_jobs(builder, jobs)
    title, num_jobs = builder.CARD.title, sum(len(split) for split in jobs.values())
    print(
        f"Preparing {title}: {wording.count(num_jobs, 'job')}, in {builder.data_path}.", flush=True
    )
    if ignored := builder.ignored():
        examples = ", ".join(f"{name} ({reason})" for name, reason in ignored[:_MOST_WARNINGS])
        what = f"Ignored {wording.count(len(ignored), 'file')}, listed in card.md: {examples}"
        logging.warning("%s%s", what, ", ..." if len(ignored) > _MOST_WARNINGS else ".")
    outcomes = _run_jobs(builder, jobs, workers)
    skipped = [(name, reason) for name, reason in outcomes.items() if isinstance(reason, str)]
    made = {name: clips for name, clips in outcomes.items() if not isinstance(clips, str)}
    kept = {split: [job for job in jobs[split] if job.name in made] for split in SPLITS}
    copied = _copies(made, kept)
    kept["test"] = [job for job in kept["test"] if job.name not in copied]
    clips = {split: [clip for job in kept[split] for clip in made[job.name]] for split in SPLITS}
    contents = card.Contents(clips, skipped, copied)
    _check_skipped(title, contents, num_jobs, max_skipped)
    _check_names(title, made)
    records = {split: _load_records(builder, kept[split]) for split in SPLITS}
    with _writing(builder.data_path):
        write_folder.write(builder, records, contents)


def _check_jobs(builder: ClipBuilder, jobs: dict[str, list[Job]]) -> None:
    title = builder.CARD.title
    if set(jobs) != set(SPLITS):
        raise RuntimeError(f"{title} has the splits {sorted(jobs)}; expected: {list(SPLITS)}.")
    for split in SPLITS:
        if not jobs[split]:
            raise ValueError(f"{title}: the split {split!r} has no inputs.")
    names = collections.Counter(job.name for split in SPLITS for job in jobs[split])
    if twice := [name for name in names if names[name] > 1]:
        raise ValueError(f"{title}: {twice[0]!r} occurs {names[twice[0]]} times; allowed: once.")


def _run_jobs(
    builder: ClipBuilder, jobs: dict[str, list[Job]], workers: int
) -> dict[str, _Outcome]:
    """Returns the outcome of each job, by name; its records are kept in a file of `_parts`."""
    with _writing(builder.data_path):
        _parts(builder).mkdir(parents=True, exist_ok=True)
    # Threads: decoders and compiled programs release the interpreter lock.
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    run = functools.partial(_run_job, builder)
    futures = {job.name: pool.submit(run, job) for split in SPLITS for job in jobs[split]}
    try:
        with progress.progress_bar("Making", len(futures), "job") as bar:
            for future in concurrent.futures.as_completed(futures.values()):
                future.result()  # Raises the error of the first job that fails, which stops all.
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return {name: future.result() for name, future in futures.items()}


def _run_job(builder: ClipBuilder, job: Job) -> _Outcome:
    """Makes and keeps the records of `job`, unless an earlier process did."""
    records = files.read_checked(_part(builder, job))
    if records is None:
        try:
            clips = builder.make(job)
            problem = _problem(builder, clips)
            records = [] if problem else [builder.serialize(clip) for clip in clips]
        except UnreadableError as error:
            return _one_line(error)
        except Exception as error:
            reason = f"{type(error).__name__}: {_one_line(error)}"
            raise RuntimeError(f"{builder.CARD.title}: {job.name!r} failed: {reason}") from error
        if problem:
            raise ValueError(f"{builder.CARD.title}: {job.name!r}: {problem}.")
        with _writing(builder.data_path):
            files.write_checked(_part(builder, job), records)
    described = []
    for record in records:
        clip = builder.deserialize(record)
        found = copies.digest(clip["frames"]) if builder.LEAVE_OUT_COPIES else None
        described.append(without_frames(clip) | {_DIGEST: found})
    return described


def _problem(builder: ClipBuilder, clips: list[Clip]) -> str | None:
    """Returns what is wrong with the frames of a job's clips, None if they can be used."""
    size, channels = builder.builder_config.image_size, builder.channels
    for clip in clips:
        frames = np.asarray(clip.frames)
        if frames.dtype != np.uint8 or frames.shape[1:] != (size, size, channels):
            return (
                f"the frames of the clip {clip.name!r} are {frames.dtype} {list(frames.shape)}; "
                f"allowed: uint8 [time, {size}, {size}, {channels}]"
            )
        if not len(frames):
            return f"the clip {clip.name!r} has no frames"
    return None


def _copies(made: dict[str, list[dict[str, Any]]], kept: dict[str, list[Job]]) -> dict[str, str]:
    """Returns the original of each test job that is a copy, by name, and logs them.

    Takes the digests out of the records in `made`.
    """
    digests = {job: [clip.pop(_DIGEST) for clip in clips] for job, clips in made.items()}
    train, test = ({job.name: digests[job.name] for job in kept[split]} for split in SPLITS)
    copied = copies.of_training(train, test)
    for name in list(copied)[:_MOST_WARNINGS]:
        logging.warning("Left out of the test: %s has the frames of %s.", name, copied[name])
    if (more := len(copied) - _MOST_WARNINGS) > 0:
        logging.warning("Left out %s more copies.", f"{more:,}")
    return copied


def _check_skipped(title: str, contents: card.Contents, num_jobs: int, max_skipped: float) -> None:
    """Logs what was skipped, and raises ValueError if that is too much."""
    skipped = contents.skipped
    for name, reason in skipped[:_MOST_WARNINGS]:
        logging.warning("Skipped %s: %s", name, reason)
    if (more := len(skipped) - _MOST_WARNINGS) > 0:
        logging.warning("Skipped %s more.", f"{more:,}")
    what = f"{title}: {len(skipped):,} of {wording.count(num_jobs, 'input')} cannot be used"
    what += f", the first: {skipped[0][1].rstrip('.')}" if skipped else ""
    # One bad file must not stop a small folder; 0 is for those who want none.
    allowed = max(1, max_skipped * num_jobs) if max_skipped else 0
    if len(skipped) > allowed:
        needed = math.ceil(100 * len(skipped) / num_jobs) / 100
        raise ValueError(
            f"{what}; at most {max_skipped:.3g} of all are allowed: "
            f"fix them, or allow more with config.data.max_skipped={needed:g}."
        )
    if contents.copies:
        what += f", {wording.count(len(contents.copies), 'test input')} left out as copies"
    for split, clips in contents.splits.items():
        if not clips:
            raise ValueError(f"The split {split!r} would have no clips. {what}.")


def _check_names(title: str, made: dict[str, list[dict[str, Any]]]) -> None:
    makers: dict[bytes, str] = {}
    for job, name in ((job, clip["name"]) for job, clips in made.items() for clip in clips):
        if name in makers:
            raise ValueError(
                f"{title}: two clips are named {name.decode()!r}, one from {makers[name]!r} and "
                f"one from {job!r}; names must differ."
            )
        makers[name] = job


def _load_records(builder: ClipBuilder, jobs: list[Job]) -> Iterator[bytes]:
    for job in jobs:
        records = files.read_checked(_part(builder, job))
        if records is None:
            raise ValueError(
                f"The records of {job.name!r} in {_parts(builder)} are lost; start again."
            )
        yield from records


def _locked(builder: ClipBuilder) -> contextlib.AbstractContextManager:
    """Returns a held lock that keeps other processes from preparing the same data set."""
    folder = builder.data_path
    waiting = f"Waiting for another process that prepares {builder.CARD.title}."
    with _writing(folder):
        return files.lock(folder.with_name(f".{folder.name}.lock"), waiting)


@contextlib.contextmanager
def _writing(folder: epath.Path) -> Iterator[None]:
    """Turns errors in writing into one line that says where and why."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # ArrayRecord raises the latter on a full disk.
        reason = getattr(error, "strerror", None) or _one_line(error).partition(";")[0]
        raise ValueError(f"Clips cannot be written to {folder}: {reason}.") from error


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Only some platforms say which cores a process may use.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
