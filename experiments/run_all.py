"""All figures and tables of the paper, one after the other, and one page with all of them.

Each script runs in a process of its own and reuses finished runs, so the same command continues
where it was stopped. The output of a script is in <out>/<name>.log, and the page is
<out>/index.html. The comparison of recipes, experiments.recipe, is not included.

  python -m experiments.run_all --preset=quick
"""

import ast
import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from absl import flags
from etils import epath

from drnet_jax.runs import environment
from drnet_jax.runs import metrics_writer as writer
from experiments.shared import page, script

DATA = {
    "fig3_mnist": "mnist",
    "fig4_norb_adversarial": "norb",
    "table1_norb": "norb",
    "fig5_suncg": "suncg",
    "fig5_interpolation": "suncg",
    "fig6_kth_generation": "kth",
    "fig7_kth_long": "kth",
    "fig8_few_shot": "kth",
    "fig9_inception": "kth",
    "nearest_neighbors": "mnist",
    "baselines": "mnist",
    "sweep_pose_dim_beta": "norb",
}
"""The scripts in the order of the paper, and the --data of each."""

_SECONDS_TO_SAVE = 20  # For a script that is stopped while it trains.


Outcome = dict[str, Any]
"""How a script ended: its `name`, `command` line, exit `code` (0 for success), running time in
`seconds`, and the `last_line` of its output."""


def command_of(name: str, *, preset: str, out: str, runs: str, data_dir: str | None) -> list[str]:
    """Returns the command line of a script."""
    command = [sys.executable, "-m", f"experiments.{name}", f"--preset={preset}", f"--out={out}"]
    command += [f"--data={DATA[name]}", f"--workdir={runs}/{DATA[name]}_{preset}"]
    return [*command, f"--data_dir={data_dir}"] if data_dir else command


def title_of(name: str) -> str:
    """Returns the first line of a script's docstring."""
    # Parsed, not imported: importing all scripts takes longer than the page.
    source = (pathlib.Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)).splitlines()[0].rstrip(".")


def run_script(name: str, command: Sequence[str], log: epath.Path) -> Outcome:
    """Runs a script, shows its output and keeps it in `log`.

    Raises:
      KeyboardInterrupt: after a signal; the script has been stopped and may have saved its state.
    """
    started = time.monotonic()
    # In a session of its own, so that Ctrl-C reaches only us: a script that gets it twice would
    # not save its state. Unbuffered, so that its lines are shown at once.
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    with child.stdout, log.open("wb") as file:
        try:
            while output := child.stdout.read1():
                file.write(output)
                file.flush()
                sys.stdout.buffer.write(output)
                sys.stdout.buffer.flush()
            code = child.wait()
        except KeyboardInterrupt:
            file.write(_stop(child))
            raise
    # A progress bar returns to the start of its line.
    lines = log.read_bytes().decode(errors="replace").replace("\r", "\n").split("\n")
    last_line = next((line for line in reversed(lines) if line.strip()), "no output")
    return {
        "name": name,
        "command": shlex.join(command),
        "code": code,
        "seconds": time.monotonic() - started,
        "last_line": last_line,
    }


def _stop(child: subprocess.Popen) -> bytes:
    """Asks a script to stop, else kills it and its children; returns the rest of its output."""
    child.send_signal(signal.SIGINT)
    try:
        return child.communicate(timeout=_SECONDS_TO_SAVE)[0]
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()[0]


def chosen(only: Sequence[str]) -> list[str]:
    """Returns the scripts named in `only` in the order of the paper; all of them if it is empty.

    Raises:
      ValueError: for an unknown name.
    """
    if unknown := [name for name in only if name not in DATA]:
        raise ValueError(f"--only={','.join(unknown)}; allowed: {', '.join(DATA)}.")
    return [name for name in DATA if not only or name in only]


def make(names: Sequence[str], out: epath.Path, **settings: str | None) -> int:
    """Runs scripts one by one, builds the page of their figures, and returns the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    for number, name in enumerate(names, 1):
        remaining = ""
        if outcomes:
            mean = sum(outcome["seconds"] for outcome in outcomes) / len(outcomes)
            remaining = f", about {mean * (len(names) - len(outcomes)) / 60:.0f} min to go"
        print(f"[{number}/{len(names)}] {name}{remaining}", flush=True)
        outcome = run_script(name, command_of(name, out=str(out), **settings), out / f"{name}.log")
        writer.write_json(out / "outcomes" / f"{name}.json", outcome)
        words = f"FAILED with exit code {outcome['code']}" if outcome["code"] else "done"
        print(f"[{number}/{len(names)}] {name}: {words}, {outcome['seconds']:.0f} s", flush=True)
        outcomes.append(outcome)
    # Only now: this initializes the devices, which the scripts need.
    titles = {name: title_of(name) for name in DATA}
    print(f"Open {page.write(out, titles, environment.describe(data_note=''))}")
    failed = [outcome for outcome in outcomes if outcome["code"]]
    for outcome in failed:
        print("{name} failed: {last_line}".format_map(outcome))
    return 1 if failed else 0


def start() -> None:
    """Entry point of `python -m experiments.run_all`."""
    script.define_flags()
    flags.DEFINE_list("only", [], f"Names of scripts, all by default: {', '.join(DATA)}.")
    flags.DEFINE_string("runs", "runs", "Folder of the runs, which are <runs>/<data>_<preset>.")
    script.launch(_make_from_flags)


def _make_from_flags() -> None:
    # A process that is started by `nohup ... &` ignores SIGINT, and so would the scripts, which
    # could then not be stopped. A scheduler's SIGTERM stops them like Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    given = flags.FLAGS
    settings = {name: given[name].value for name in ("preset", "runs", "data_dir")}
    sys.exit(make(chosen(given.only), epath.Path(given.out), **settings))


if __name__ == "__main__":
    start()
