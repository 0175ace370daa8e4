"""Trials: a command, a fault, the same command again, and what has come of it.

Every function yields a `Trial` for each fault. A trial is good if the run ends as an undisturbed
one does, bit for bit, after the fault or after the same command has been given again.
"""

import dataclasses
import os
import pathlib
import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence

from tests.chaos import commands, outcome
from tests.chaos.commands import Command, Commands


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of one fault.

    Attributes:
      fault: what was done.
      during: what the program did meanwhile.
      code: the exit code; negative for a signal.
      line: the last line that was printed.
      lines: how many lines there were on why it ended: 1, or those of a traceback.
      seconds: from the fault to the end.
      equal: whether the run came to the same end; None if other faults follow before its end.
    """

    fault: str
    during: str
    code: int
    line: str = ""
    lines: int = 1
    seconds: float = 0.0
    equal: bool | None = None


class Bench:
    """Undisturbed runs to compare with, and folders for others.

    Attributes:
      folder: holds all of these.
      seconds: how long an undisturbed training took.
      run: what it came to, as `outcome.of_run` has it.
      finished: its workdir; its data are in `data`.
      people: a checksum of every file of prepared people; `people_seconds` as `seconds`.
    """

    def __init__(
        self,
        server: Commands,
        folder: pathlib.Path,
        *,
        only_training: bool = True,
        finished: pathlib.Path | None = None,
    ):
        """Trains a run, without scores and rollouts if it is `only_training`.

        With a workdir that is `finished` it only makes folders and starts commands.
        """
        self.server, self.folder, self._number = server, folder, 0
        self._only_training = only_training
        if finished:
            self.finished = finished
            return
        self.finished, self.data = folder / "undisturbed", folder / "data"
        # The first run fills the cache of compiled programs, so that the second tells how long one
        # takes.
        for _ in range(2):
            shutil.rmtree(self.finished, ignore_errors=True)
            shutil.rmtree(self.data, ignore_errors=True)
            started = time.monotonic()
            self.run_again(commands.train(self.finished, self.data))
            self.seconds = time.monotonic() - started
        self.run = outcome.of_run(self.finished)

    def start(self, arguments: list[str], **faults) -> Command:
        """Starts a command with faults."""
        return self.server.start(arguments, only_training=self._only_training, **faults)

    def run_again(self, arguments: list[str]) -> None:
        """Gives a command without faults, which must end well."""
        self.server.run(arguments, only_training=self._only_training)

    def prepare_people(self) -> None:
        """Prepares the people whose checksums are `people`."""
        folder = self.new_folder() / "people"
        started = time.monotonic()
        self.server.run(commands.prepare(folder))
        self.people, self.people_seconds = outcome.of_data(folder), time.monotonic() - started

    def new_folder(self) -> pathlib.Path:
        self._number += 1
        folder = self.folder / f"trial_{self._number}"
        folder.mkdir(parents=True)
        return folder

    def copy(self) -> pathlib.Path:
        """Returns a new copy of the finished workdir."""
        return shutil.copytree(self.finished, self.new_folder() / "run")


def as_trial(fault: str, during: str, command: Command, code: int, **others) -> Trial:
    """Returns the trial of a command that has ended."""
    text = command.text().replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.strip()]
    traceback = "Traceback (most recent call last)" in text
    num_lines = len(lines) - lines.index(_first(lines, "Traceback")) if traceback else 1
    line = lines[-1] if lines else ""
    return Trial(fault=fault, during=during, code=code, line=line, lines=num_lines, **others)


def _first(lines: Sequence[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def kills_of_training(bench: Bench, num: int, seed: int = 0, per_run: int = 4) -> Iterator[Trial]:
    """Kills whole runs at random moments, each up to `per_run` times."""
    rng = random.Random(seed)
    done = 0
    while done < num:
        folder = bench.new_folder()
        workdir, arguments = folder / "run", commands.train(folder / "run", folder / "data")
        trials = []
        while len(trials) < min(per_run, num - done):
            command = bench.start(arguments)
            code, _ = command.signal_after(rng.uniform(0, bench.seconds), signal.SIGKILL)
            if not code:
                break
            trials.append(as_trial("kill", outcome.phase(workdir), command, code))
        if not trials:
            continue
        bench.run_again(arguments)
        equal = outcome.of_run(workdir) == bench.run
        done += len(trials)
        yield from (dataclasses.replace(trial, equal=equal) for trial in trials)
        shutil.rmtree(folder)


def kills_at_changes(bench: Bench, num: int, seed: int = 0, most: int = 150) -> Iterator[Trial]:
    """Kills runs just before a file is opened to write, renamed, made or deleted."""
    rng = random.Random(seed)
    for number in sorted(rng.sample(range(1, most), num)):
        folder = bench.new_folder()
        workdir, arguments = folder / "run", commands.train(folder / "run", folder / "data")
        command = bench.start(arguments, folder=str(folder), kill_at=number)
        code = command.wait()
        if not code:  # There are fewer changes.
            return
        trial = as_trial("kill before a change of a file", outcome.phase(workdir), command, code)
        bench.run_again(arguments)
        yield dataclasses.replace(trial, equal=outcome.of_run(workdir) == bench.run)
        shutil.rmtree(folder)


def kills_of_preparation(bench: Bench, num: int, seed: int = 0) -> Iterator[Trial]:
    """Kills the preparation of a data set at random moments."""
    rng = random.Random(seed)
    done = 0
    while done < num:
        folder = bench.new_folder()
        arguments = commands.prepare(folder / "people")
        command = bench.start(arguments)
        code, _ = command.signal_after(rng.uniform(0, bench.people_seconds), signal.SIGKILL)
        if code:
            trial = as_trial("kill", "preparing", command, code)
            bench.run_again(arguments)
            done += 1
            yield dataclasses.replace(
                trial, equal=outcome.of_data(folder / "people") == bench.people
            )
        shutil.rmtree(folder)


def kills_of_mode(bench: Bench, mode: str, num: int, seed: int = 0) -> Iterator[Trial]:
    """Kills `mode`, evaluate or generate, of a finished run with scores at random moments."""
    rng = random.Random(seed)
    workdir = bench.copy()
    arguments = commands.again(mode, workdir)
    started = time.monotonic()
    bench.run_again(arguments)
    seconds = time.monotonic() - started
    for _ in range(num):
        command = bench.start(arguments)
        code, _ = command.signal_after(rng.uniform(0, seconds), signal.SIGKILL)
        trial = as_trial("kill", f"--mode={mode}", command, code)
        whole = outcome.of_run(workdir) == bench.run  # What was there is still there.
        bench.run_again(arguments)
        yield dataclasses.replace(trial, equal=whole and outcome.of_run(workdir) == bench.run)


def stops(bench: Bench, num: int, seed: int = 0, *, compile_anew: bool = True) -> Iterator[Trial]:
    """Sends SIGTERM at random moments, to programs that compile everything anew if asked."""
    rng = random.Random(seed)
    done = 0
    while done < num:
        folder = bench.new_folder()
        workdir, arguments = folder / "run", commands.train(folder / "run", folder / "data")
        cache = str(folder / "programs") if compile_anew else None
        command = bench.start(arguments, cache=cache)
        moment = rng.uniform(0, bench.seconds)
        code, seconds = command.signal_after(moment, signal.SIGTERM)
        if code:
            during = outcome.phase(workdir)
            trial = as_trial("SIGTERM", during, command, code, seconds=seconds)
            bench.run_again(arguments)
            done += 1
            yield dataclasses.replace(trial, equal=outcome.of_run(workdir) == bench.run)
        shutil.rmtree(folder)


def full_disks(bench: Bench, changes: Sequence[int], sizes: Sequence[int]) -> Iterator[Trial]:
    """Fills the disk at the given changes of files, and limits files to the given sizes."""
    faults = [("no space from a change of a file on", {"full_from": n}) for n in changes]
    faults += [(f"no file beyond {size:,} bytes", {"file_bytes": size}) for size in sizes]
    for fault, options in faults:
        folder = bench.new_folder()
        workdir, arguments = folder / "run", commands.train(folder / "run", folder / "data")
        command = bench.start(arguments, folder=str(folder), **options)
        code = command.wait()
        trial = as_trial(fault, outcome.phase(workdir), command, code)
        if code:
            bench.run_again(arguments)
        yield dataclasses.replace(trial, equal=outcome.of_run(workdir) == bench.run)
        shutil.rmtree(folder)


def lost_folders(bench: Bench, num: int, seed: int = 0) -> Iterator[Trial]:
    """Moves the workdir away while training, or puts a file in its place."""
    rng = random.Random(seed)
    for number in range(num):
        folder = bench.new_folder()
        workdir, arguments = folder / "run", commands.train(folder / "run", folder / "data")
        command = bench.start(arguments)
        wanted = ("training drnet", "training predictor")[number // 2 % 2]
        while outcome.phase(workdir) != wanted:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5))
        during = outcome.phase(workdir)
        workdir.rename(folder / "away")
        fault = "workdir moved away"
        if number % 2:
            workdir.write_text("")  # As root we may write everywhere, but not into a file.
            fault = "workdir replaced by a file"
        code = command.wait()
        trial = as_trial(fault, during, command, code)
        if workdir.is_dir():
            shutil.rmtree(workdir)
        workdir.unlink(missing_ok=True)
        (folder / "away").rename(workdir)
        bench.run_again(arguments)
        yield dataclasses.replace(trial, equal=outcome.of_run(workdir) == bench.run)
        shutil.rmtree(folder)


def twins(bench: Bench) -> Iterator[Trial]:
    """Starts two runs in one workdir, and two preparations of one data set, at once."""
    folder = bench.new_folder()
    arguments = commands.train(folder / "run", folder / "data")
    both = [bench.start(arguments) for _ in range(2)]
    codes = [command.wait() for command in both]
    equal = outcome.of_run(folder / "run") == bench.run
    number = codes.index(max(codes))
    yield as_trial("second run in a workdir", "starting", both[number], codes[number], equal=equal)
    arguments = commands.prepare(folder / "people")
    both = [bench.start(arguments) for _ in range(2)]
    codes = [command.wait() for command in both]
    equal = outcome.of_data(folder / "people") == bench.people
    yield as_trial("second preparation", "preparing", both[1], max(codes), equal=equal)


def clocks(bench: Bench, seconds: Sequence[float]) -> Iterator[Trial]:
    """Kills a run, dates its files in the future and goes on with another clock."""
    for change in seconds:
        folder = bench.new_folder()
        workdir, arguments = folder / "run", commands.train(folder / "run", folder / "data")
        command = bench.start(arguments, clock=-change)
        code, _ = command.signal_after(0.6 * bench.seconds, signal.SIGKILL)
        during = outcome.phase(workdir)
        for path in folder.rglob("*"):
            status = path.stat()
            os.utime(path, (status.st_atime - change, status.st_mtime - change))
        bench.run_again(arguments)
        equal = outcome.of_run(workdir) == bench.run
        days = change / 86400
        yield as_trial(f"clock set by {days:+g} days", during, command, code, equal=equal)
        shutil.rmtree(folder)
