"""The long form of the chaos suite: faults, damage and hostile input, as tables.

python -m tests.chaos --kills=100 --out=reliability
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping

from tests.chaos import faults, full_disks, fuzz
from tests.chaos.commands import Commands
from tests.chaos.faults import Bench, Trial
from tests.chaos.readers import READERS


def main() -> None:
    """Makes the trials named on the command line, and prints and writes their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=0, help="number of kill -9")
    parser.add_argument("--stops", type=int, default=0, help="number of SIGTERM")
    parser.add_argument("--disks", type=int, default=0, help="number of full disks")
    parser.add_argument("--writes", action="store_true", help="full disks under other modes")
    parser.add_argument("--damage", type=int, default=0, help="number of changed bytes")
    parser.add_argument("--fuzz", type=int, default=0, help="damaged files for each reader")
    parser.add_argument("--others", action="store_true", help="folders, two at once, clocks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, help="folder for the trials, as JSON lines")
    given = parser.parse_args()
    if given.fuzz:
        print(table_of_counts("reader", fuzz.fuzz(list(READERS), given.fuzz)))
    runs = (given.kills, given.stops, given.disks, given.writes, given.damage, given.others)
    if not any(runs):
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        with Commands(folder / "output") as server:
            chosen = _chosen(server, folder, given)
            trials = list(
                _noted(itertools.chain(chosen, _writes(server, folder, given)), given.out)
            )
            if given.damage:
                print(table_of_counts("changed file", _damage(server, folder, given.damage)))
    print(table(trials))


def _damage(server: Commands, folder: pathlib.Path, num: int) -> dict[str, dict[str, int]]:
    workdir = Bench(server, folder / "scored", only_training=False).finished
    # In a process of its own, which Orbax leaves in disorder.
    command = [sys.executable, "-m", "tests.chaos.damage", str(workdir), str(num)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def _chosen(server: Commands, folder: pathlib.Path, given: argparse.Namespace) -> Iterator[Trial]:
    """Yields trials: most with training alone, and a tenth of the kills while scoring etc."""
    kills, seed = given.kills, given.seed
    bench = Bench(server, folder / "training")
    bench.prepare_people()
    print(f"Undisturbed, training takes {bench.seconds:.1f} s.", flush=True)
    if given.others:
        yield from faults.twins(bench)
        yield from faults.lost_folders(bench, 4, seed)
        yield from faults.clocks(bench, (-40 * 86400, 40 * 86400))
    changes = [1 + round(i * 80 / max(1, given.disks)) for i in range(given.disks)]
    sizes = [4**n for n in range(2, 2 + given.disks)]
    yield from faults.full_disks(bench, changes, sizes)
    yield from faults.kills_of_preparation(bench, kills // 10, seed)
    yield from faults.kills_at_changes(bench, kills // 5, seed)
    yield from faults.kills_of_training(bench, kills // 2, seed)
    yield from faults.stops(bench, given.stops, seed)
    if kills:
        bench = Bench(server, folder / "whole", only_training=False)
        for mode in ("evaluate", "generate"):
            yield from faults.kills_of_mode(bench, mode, kills // 20, seed)
        yield from faults.kills_of_training(bench, kills // 10, seed)


def _writes(server: Commands, folder: pathlib.Path, given: argparse.Namespace) -> Iterator[Trial]:
    """Yields trials of every file that the other modes write."""
    if given.writes:
        bench = Bench(server, folder / "written", only_training=False)
        for name in full_disks.MODES:
            yield from full_disks.changes_and_sizes(bench, name)
            if os.geteuid() == 0:
                yield from full_disks.small_disks(bench, name, (0, 0.3, 0.6, 0.9))


def _noted(trials: Iterable[Trial], out: pathlib.Path | None) -> Iterator[Trial]:
    """Yields `trials`, and writes each to a file as soon as it is known."""
    started = time.monotonic()
    for trial in trials:
        print(f"{time.monotonic() - started:6.0f} s: {trial}", flush=True)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            with (out / "trials.jsonl").open("a") as file:
                file.write(json.dumps(vars(trial)) + "\n")
        yield trial


def table(trials: Iterable[Trial]) -> str:
    """Returns the counts of `trials` as a table in Markdown."""
    groups = collections.defaultdict(list)
    for trial in trials:
        groups[trial.fault, trial.during].append(trial)
    lines = ["| fault | during | trials | bit-equal in the end | exit codes | longest exit |"]
    lines += ["|---|---|---|---|---|---|"]
    for (fault, during), group in groups.items():
        codes = ", ".join(str(code) for code in sorted({trial.code for trial in group}))
        equal, seconds = sum(bool(t.equal) for t in group), max(t.seconds for t in group)
        longest = f"{seconds:.1f} s" if seconds else ""
        lines.append(f"| {fault} | {during} | {len(group)} | {equal} | {codes} | {longest} |")
    return "\n".join(lines)


def table_of_counts(name: str, counts: Mapping[str, Mapping[str, int]]) -> str:
    """Returns counts of the ends of each kind as a table in Markdown."""
    ends = list(dict.fromkeys(end for found in counts.values() for end in found))
    rows = [[name, *ends], ["---"] * (1 + len(ends))]
    rows += [[kind, *(str(found.get(end, 0)) for end in ends)] for kind, found in counts.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
