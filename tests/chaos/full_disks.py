"""Full disks under all that is written but training: scores, pictures, vectors, models, data.

A command is given where files of an older one lie, meets a disk that is full from some moment on,
and is given again. In the end every file must be as after an undisturbed command, and in between
every older file must be the older or the new one.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from drnet_jax.pictures import video
from tests.chaos import commands
from tests.chaos.faults import Bench, Trial, as_trial

_PRINTED = 2**14  # Bytes that a command prints to a file at most, which the limit must not stop.
_OLD = b"from before"


class Mode(NamedTuple):
    """A command that writes files.

    `arguments` takes the folder of a trial, which has the finished run `run` and the video
    `clip.mp4`; `older` are the files below it that an older command has written.
    """

    arguments: Callable[[pathlib.Path], list[str]]
    older: Sequence[str] = ()


def _of_run(mode: str, *others: str) -> Callable[[pathlib.Path], list[str]]:
    def arguments(folder: pathlib.Path) -> list[str]:
        filled = [other.format(folder=folder) for other in others]
        return [f"--mode={mode}", f"--workdir={folder / 'run'}", *filled]

    return arguments


_CLIP = "{folder}/clip.mp4"
_SAMPLES = ("rollout.npz", "rollout.mp4", "rollout.gif", "rollout_strip.png", "swap_grid.png")
MODES = {
    "evaluate": Mode(_of_run("evaluate"), ("run/evaluation.json", "run/report.html")),
    "generate": Mode(
        _of_run("generate"), ("run/report.html", *(f"run/samples/{name}" for name in _SAMPLES))
    ),
    "generate --input": Mode(_of_run("generate", f"--input={_CLIP}")),
    "swap": Mode(_of_run("swap", f"--content={_CLIP}", f"--pose={_CLIP}")),
    "embed": Mode(_of_run("embed", f"--input={_CLIP}")),
    "export": Mode(_of_run("export", "--output={folder}/model", "--formats=stablehlo")),
    "prepare": Mode(lambda folder: commands.prepare(folder / "people")),
}


def contents(folder: pathlib.Path) -> dict[str, str]:
    """Returns a checksum of every file below `folder`, hidden ones too, but for locks."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def changes_and_sizes(bench: Bench, name: str, every: int = 1) -> Iterator[Trial]:
    """Forbids each size of a file, and fills the disk at every so-many-th change of a file."""
    expected, sizes = _undisturbed(bench, name)
    limits = [size - 1 for size in sorted(set(sizes)) if size > _PRINTED]
    with _folder(bench, name) as folder:
        tried = functools.partial(_tried, bench, name, folder, contents(folder), expected)
        trials = [tried("a file beyond its limit", file_bytes=limit) for limit in limits]
        for number in itertools.count(1, every):
            trial = tried("no space on the disk", full_from=number, folder=f"{folder}/")
            if not trial.code:  # There are fewer changes.
                break
            trials.append(trial)
        yield from _settled(trials, contents(folder) == expected)


def small_disks(bench: Bench, name: str, shares: Sequence[float]) -> Iterator[Trial]:
    """Leaves a share of the needed space free on a real disk, in memory; needs root on Linux."""
    expected, sizes = _undisturbed(bench, name)
    with _folder(bench, name, small=True) as folder:
        ballast, older, trials = folder.with_name("ballast"), contents(folder), []
        for share in shares:
            _leave(ballast, round(share * sum(sizes)))
            trial = _tried(bench, name, folder, older, expected, "a small disk")
            ballast.unlink()
            if not trial.code:
                break
            trials.append(trial)
        else:
            bench.run_again(MODES[name].arguments(folder))
        yield from _settled(trials, contents(folder) == expected)


def _settled(trials: Sequence[Trial], equal: bool) -> Iterator[Trial]:
    """Yields the trials of a folder that is in the end as after an undisturbed command, or not."""
    yield from (dataclasses.replace(trial, equal=trial.equal and equal) for trial in trials)


def _undisturbed(bench: Bench, name: str) -> tuple[dict[str, str], list[int]]:
    """Returns what a folder holds afterwards, and the bytes of each file that was written."""
    with _folder(bench, name) as folder:
        before = contents(folder)
        bench.run_again(MODES[name].arguments(folder))
        after = contents(folder)
        written = [path for path in after if after[path] != before.get(path)]
        return after, [(folder / path).stat().st_size for path in written]


def _tried(
    bench: Bench,
    name: str,
    place: pathlib.Path,
    older: dict[str, str],
    expected: dict[str, str],
    fault: str,
    **faults,
) -> Trial:
    """Gives the command with a fault; it must leave every older file, or have the new one."""
    command = bench.start(MODES[name].arguments(place), **faults)
    trial = as_trial(fault, f"--mode={name}", command, command.wait())
    now = contents(place)
    kept = all(now.get(path) in (old, expected.get(path, old)) for path, old in older.items())
    return dataclasses.replace(trial, equal=kept)


@contextlib.contextmanager
def _folder(bench: Bench, name: str, *, small: bool = False) -> Iterator[pathlib.Path]:
    """Yields a folder to try in, always the same one, as paths are stored; perhaps a small disk."""
    disk = bench.folder / "written"
    disk.mkdir()
    with _mounted(disk) if small else contextlib.nullcontext():
        folder = disk / "folder"
        folder.mkdir()
        if name != "prepare":
            shutil.copytree(bench.finished, folder / "run")
            frames = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
            clip = video.write_mp4(folder / "clip.mp4", frames, 12)
            os.utime(clip, (0, 0))
        for older in MODES[name].older:
            (folder / older).write_bytes(_OLD)
        yield folder
    shutil.rmtree(disk)


@contextlib.contextmanager
def _mounted(folder: pathlib.Path) -> Iterator[None]:
    """Has a disk in memory at `folder`."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _leave(ballast: pathlib.Path, num_bytes: int) -> None:
    """Fills the disk with the file `ballast` until so many bytes are free."""
    disk = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - num_bytes)
