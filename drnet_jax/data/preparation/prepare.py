"""Preparing a data set: runs its jobs over the cores and leaves a complete folder, or none."""

import collections
import concurrent.futures
import contextlib
import fcntl
import functools
import io
import itertools
import math
import os
import pathlib
from collections.abc import Callable, Iterator

from absl import logging
from etils import epath
from tqdm import tqdm

from drnet_jax.base import files, progress
from drnet_jax.data.preparation import card, contact_sheet
from drnet_jax.data.preparation.builder import SPLITS, Clip, ClipBuilder, Job, UnreadableError
from drnet_jax.data.preparation.parts import Parts

_SHARD_BYTES = 256 * 2**20  # Of frames in a file; tfds holds those of one file in memory.
_MOST_WARNINGS = 10

# The clips of a job, or why there are none.
_Outcome = list[card.Entry] | str


def is_prepared(builder: ClipBuilder) -> bool:
    """Returns whether the data set is complete on disk: its folder appears all at once."""
    return builder.data_path.exists()


def prepare(
    builder: ClipBuilder, *, max_skipped: float = 0.05, workers: int | None = None
) -> epath.Path:
    """Makes all clips of `builder`, unless they are there already.

    A preparation that was stopped, in whatever way, goes on from the jobs that were finished and
    ends with the same bytes as one that was not. Of two processes the second waits.

    Args:
      builder: the data set; afterwards it can be read from.
      max_skipped: the largest fraction of the jobs whose input may be unreadable.
      workers: number of threads; by default one for each core.

    Returns:
      The folder with the records, `card.md` and `contact_sheet.png`.

    Raises:
      FileNotFoundError: there is no such folder of raw files, or it lacks some.
      ValueError: too many inputs cannot be used, or the clips cannot be written; what was
        finished is kept.
      RuntimeError: a job failed in a way that is not its input's fault.
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
    # What it knew of itself may be from before.
    builder.info.read_from_directory(folder)
    return folder


def _make_and_write(builder: ClipBuilder, parts: Parts, max_skipped: float, workers: int) -> None:
    jobs = builder.jobs()
    _check_jobs(builder, jobs)
    title, count = builder.CARD.title, sum(len(split) for split in jobs.values())
    print(f"Preparing {title}: {count:,} jobs, in {builder.data_path}.", flush=True)
    outcomes = _run_jobs(builder, parts, jobs, workers)
    contents = _gather(jobs, outcomes)
    _check_skipped(title, contents, count, max_skipped)
    _check_names(title, contents)
    _write(builder, parts, contents)


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
    """Returns what became of each job, by name; the clips themselves go to `parts`."""
    with _writing(builder.data_path):
        parts.folder.mkdir(parents=True, exist_ok=True)
    # Threads: decoders and compiled programs release the interpreter lock.
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    run = functools.partial(_run_job, builder, parts)
    names = {pool.submit(run, job): job.name for split in SPLITS for job in jobs[split]}
    outcomes = {}
    try:
        with progress.progress_bar("Making", len(names), "job") as bar:
            for future in concurrent.futures.as_completed(names):
                outcomes[names[future]] = future.result()
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return outcomes


def _run_job(builder: ClipBuilder, parts: Parts, job: Job) -> _Outcome:
    clips = parts.load(job)
    if clips is not None:
        return card.entries(job, clips)
    try:
        clips = builder.make(job)
        _check_clips(builder, clips)
    except UnreadableError as error:
        return _one_line(error)
    except Exception as error:
        reason = f"{type(error).__name__}: {_one_line(error)}"
        raise RuntimeError(f"{builder.CARD.title}: {job.name!r} failed: {reason}") from error
    with _writing(builder.data_path):
        parts.store(job, clips)
    return card.entries(job, clips)


def _check_clips(builder: ClipBuilder, clips: list[Clip]) -> None:
    """Raises an error unless `clips` fit the features, here where the job is known."""
    for clip in clips:
        if len(clip.frames) == 0:
            raise ValueError(f"the clip {clip.name!r} has no frames")
        builder.info.features.encode_example(builder.record(clip))


def _gather(jobs: dict[str, list[Job]], outcomes: dict[str, _Outcome]) -> card.Contents:
    splits: dict[str, list[card.Entry]] = {split: [] for split in SPLITS}
    skipped = []
    for split in SPLITS:
        for job in jobs[split]:
            outcome = outcomes[job.name]
            if isinstance(outcome, str):
                skipped.append((job.name, outcome))
            else:
                splits[split] += outcome
    return card.Contents(splits, skipped)


def _check_skipped(title: str, contents: card.Contents, count: int, max_skipped: float) -> None:
    """Lists what was skipped, and raises ValueError when that is too much."""
    skipped = contents.skipped
    for name, reason in skipped[:_MOST_WARNINGS]:
        logging.warning("Skipped %s: %s", name, reason)
    if (more := len(skipped) - _MOST_WARNINGS) > 0:
        logging.warning("Skipped %s more.", f"{more:,}")
    what = f"{title}: {len(skipped):,} of {count:,} inputs cannot be used"
    what += f", the first: {skipped[0][1].rstrip('.')}" if skipped else ""
    if len(skipped) > max_skipped * count:
        needed = math.ceil(100 * len(skipped) / count) / 100
        raise ValueError(
            f"{what}; at most {max_skipped:.3g} of all are allowed: "
            f"mend them, or allow more by config.data.max_skipped={needed:g}."
        )
    for split, clips in contents.splits.items():
        if not clips:
            raise ValueError(f"The split {split!r} would have no clips. {what}.")


def _check_names(title: str, contents: card.Contents) -> None:
    makers: dict[str, Job] = {}
    for split in SPLITS:
        for entry in contents.splits[split]:
            if first := makers.get(entry.name):
                raise ValueError(
                    f"{title}: two clips are named {entry.name!r}, of {first.name!r} and of "
                    f"{entry.job.name!r}; names must differ."
                )
            makers[entry.name] = entry.job


def _write(builder: ClipBuilder, parts: Parts, contents: card.Contents) -> None:
    """Has tfds write the data set from `parts`; it renames the folder when all is in it."""
    folder = builder.data_path
    load = functools.partial(_load, parts)
    total = sum(len(clips) for clips in contents.splits.values())
    with progress.progress_bar("Writing", total, "clip") as bar:

        def shards(split: str) -> list[Callable[[], Iterator[Clip]]]:
            by_file = _by_file(builder, contents.splits[split])
            return [functools.partial(_read, load, entries, bar) for entries in by_file]

        def finish(unfinished: epath.Path) -> None:
            # Names of files need not be UTF-8.
            text = card.text(builder, contents).encode(errors="backslashreplace")
            files.write_atomically(unfinished / "card.md", text)
            sheet = contact_sheet.png(
                builder, contents, lambda entry: load(entry.job)[entry.number]
            )
            files.write_atomically(unfinished / "contact_sheet.png", sheet)
            _flush(unfinished)

        builder.shards, builder.finish = shards, finish
        try:
            # What tfds prints is about sizes that it cannot know.
            with _writing(folder), contextlib.redirect_stdout(io.StringIO()):
                # Those of processes that were killed.
                for stale in folder.parent.glob(f"incomplete.*_{folder.name}"):
                    stale.rmtree()
                builder.download_and_prepare(file_format="array_record")
        finally:
            del builder.shards, builder.finish


def _load(parts: Parts, job: Job) -> list[Clip]:
    clips = parts.load(job)
    if clips is None:
        raise ValueError(f"What was made of {job.name!r} in {parts.folder} is lost; start again.")
    return clips


def _by_file(builder: ClipBuilder, entries: list[card.Entry]) -> list[list[card.Entry]]:
    """Returns `entries` by the file that they go to."""
    frame_bytes = math.prod(builder.info.features["frames"].shape[1:])
    by_file: list[list[card.Entry]] = [[]]
    filled = 0
    for entry in entries:
        if by_file[-1] and filled + entry.length * frame_bytes > _SHARD_BYTES:
            by_file.append([])
            filled = 0
        by_file[-1].append(entry)
        filled += entry.length * frame_bytes
    return by_file


def _read(
    load: Callable[[Job], list[Clip]], entries: list[card.Entry], bar: tqdm
) -> Iterator[Clip]:
    for _, same_job in itertools.groupby(entries, key=lambda entry: entry.job.name):
        wanted = list(same_job)
        clips = load(wanted[0].job)
        for entry in wanted:
            yield clips[entry.number]
            bar.update()


def _flush(folder: epath.Path) -> None:
    """Has the files of `folder` on disk before a rename can be, in case the power fails."""
    for path in folder.iterdir():
        with pathlib.Path(path).open("rb") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def _locked(builder: ClipBuilder) -> Iterator[None]:
    """Keeps other processes from preparing the same data set."""
    folder = builder.data_path
    path = pathlib.Path(folder.with_name(f".{folder.name}.lock"))
    with contextlib.ExitStack() as stack:
        with _writing(folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("a"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                title = builder.CARD.title
                print(f"Waiting for another process that prepares {title}.", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _writing(folder: epath.Path) -> Iterator[None]:
    """Says of errors in writing where and why, in one line."""
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
