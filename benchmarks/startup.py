"""Whole runs in fresh processes: what a user waits for besides the steps, cold and warm.

  python -m benchmarks.startup --config=configs/mnist.py:quick --runs=3
  python -m benchmarks.startup --config=configs/mnist.py:quick --runs=3 --history
  python -m benchmarks.startup --compare

A cold run finds no compiled programs and no trained judges, a warm one those of the cold run before
it. Data are prepared beforehand. The figures are medians over runs, in seconds: of the whole
process, of each phase in the run's `timings.json`, of `import drnet_jax` and of `--help`.
`--history` adds them as a line to benchmarks/history.jsonl; `--compare` lists what got slower by
more than a tenth between the last two lines of a machine and its settings. The last line printed is
JSON.
"""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import app, flags

from drnet_jax.runs import environment

HISTORY = pathlib.Path(__file__).parent / "history.jsonl"
SLOWER = 1.1
"""A figure that is larger than before by this factor has got slower."""
_LEAST_SECONDS = 0.5  # Shorter phases vary by more than a tenth.

_IMPORT = ("-c", "import drnet_jax")
_HELP = ("-m", "drnet_jax.main", "--help")


def seconds_of(*arguments: str, **variables: str) -> float:
    """Returns how long Python takes with `arguments`; raises RuntimeError if it fails."""
    began = time.monotonic()
    result = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(result.stderr.strip().splitlines()[-1])
    return time.monotonic() - began


def measure(config: str, runs: int) -> dict[str, dict[str, float]]:
    """Returns the median seconds by phase: `cold`, `warm`, and `process` for the short commands."""
    found: dict[str, list[dict[str, float]]] = {"cold": [], "warm": [], "process": []}
    with tempfile.TemporaryDirectory() as folder:
        data = f"--config.data.data_dir={folder}/data"
        seconds_of("-m", "drnet_jax.main", f"--config={config}", data, "--mode=prepare")
        for number in range(runs):
            short = {"import": seconds_of(*_IMPORT), "--help": seconds_of(*_HELP)}
            found["process"].append(short)
            for kind in ("cold", "warm"):
                workdir = pathlib.Path(folder) / f"{kind}_{number}"
                arguments = ("-m", "drnet_jax.main", f"--config={config}", data)
                cache = f"{folder}/cache_{number}"
                seconds = seconds_of(*arguments, f"--workdir={workdir}", XDG_CACHE_HOME=cache)
                phases = json.loads((workdir / "timings.json").read_text())["phases"]
                by_phase = {
                    phase["name"] + " (beside)" * phase["beside"]: phase["seconds"]
                    for phase in phases
                }
                found[kind].append({"whole process": seconds} | by_phase)
                print(f"{kind} run {number + 1}: {seconds:.1f} s", flush=True)
    return {kind: medians(records) for kind, records in found.items()}


def medians(records: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the median of every figure; those that a record lacks count as 0."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name: statistics.median(r.get(name, 0.0) for r in records) for name in names}


def slower(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns in words which figures got slower between the last two lines of each machine.

    `lines` are those of the history, in order.
    """
    last: dict[tuple, list[Mapping[str, Any]]] = {}
    for line in lines:
        last.setdefault((line["machine"], line["config"]), []).append(line)
    words = []
    for (machine, config), records in last.items():
        if len(records) < 2:
            continue
        before, now = records[-2:]
        for kind, figures in now["seconds"].items():
            for name, seconds in figures.items():
                old = before["seconds"].get(kind, {}).get(name)
                if old and seconds > max(SLOWER * old, _LEAST_SECONDS):
                    words.append(
                        f"{config}, {kind}, {name}: {old:.1f} s at {before['revision']}, "
                        f"{seconds:.1f} s at {now['revision']} ({machine})"
                    )
    return words


def machine() -> str:
    """Returns the processor and the number of its cores."""
    name = platform.processor() or platform.machine()
    if (info := pathlib.Path("/proc/cpuinfo")).exists():
        models = [
            li.partition(":")[2] for li in info.read_text().splitlines() if "model name" in li
        ]
        name = models[0].strip() if models else name
    return f"{name}, {os.cpu_count()} cores"


def history() -> list[dict[str, Any]]:
    """Returns the lines of the history."""
    text = HISTORY.read_text() if HISTORY.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    if flags.FLAGS.compare:
        print("\n".join(slower(history())) or "Nothing got slower by more than a tenth.")
        return
    line = {
        "revision": environment.versions()["git_revision"],
        "machine": machine(),
        "config": flags.FLAGS.config,
        "runs": flags.FLAGS.runs,
        "seconds": measure(flags.FLAGS.config, flags.FLAGS.runs),
    }
    for kind, figures in line["seconds"].items():
        for name, seconds in figures.items():
            print(f"{kind:9}{name:36}{seconds:8.2f}")
    if flags.FLAGS.history:
        with HISTORY.open("a") as file:
            file.write(json.dumps(line) + "\n")
    print(json.dumps(line))


def define_flags() -> None:
    """Declares the command line; not on import, because benchmarks share names of flags."""
    flags.DEFINE_string("config", "configs/mnist.py:smoke", "A file of configs/, with a variant.")
    flags.DEFINE_integer("runs", 3, "Cold runs, each followed by a warm one.", lower_bound=1)
    flags.DEFINE_bool("history", False, "Whether to add the figures to benchmarks/history.jsonl.")
    flags.DEFINE_bool("compare", False, "Only lists what got slower, from the history.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
