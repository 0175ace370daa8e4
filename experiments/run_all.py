"""All figures and tables of the paper, one after the other, and one page with all of them.

Each script runs in a process of its own and uses finished runs again, so the same command goes on
where it stopped. What a script says is in <out>/<name>.log; the page is <out>/index.html. The
comparison of recipes, experiments.recipe, is not part of it.

  python -m experiments.run_all --preset=quick
"""

import contextlib
import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from absl import app, flags
from etils import epath

from drnet_jax.runs import environment
from drnet_jax.runs import metrics_writer as writer
from experiments.shared import page

PRESETS = ("full", "quick", "smoke")

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
"""The scripts in the paper's order, and the data that each is asked to use."""

_SECONDS_TO_SAVE = 20  # For a script that trains, when it is stopped.


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a script ended.

    Attributes:
      name: of the script.
      command: that started it.
      code: its exit status, 0 for success.
      seconds: it took.
    """

    name: str
    command: str
    code: int
    seconds: float


def command_of(name: str, *, preset: str, out: str, runs: str, data_dir: str | None) -> list[str]:
    """Returns the command line of a script."""
    command = [sys.executable, "-m", f"experiments.{name}", f"--preset={preset}", f"--out={out}"]
    command += [f"--data={DATA[name]}", f"--workdir={runs}/{DATA[name]}_{preset}"]
    return [*command, f"--data_dir={data_dir}"] if data_dir else command


def run_script(name: str, command: Sequence[str], log: epath.Path) -> Outcome:
    """Runs a script, shows what it says and keeps that in `log`.

    Raises:
      KeyboardInterrupt: when it comes; the script has been stopped then, and may have saved.
    """
    started = time.monotonic()
    # Lines at once, and Ctrl-C for us alone: a script that gets it twice would not save.
    settings = os.environ | {"PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=settings,
        start_new_session=True,
    )
    with log.open("wb") as file:
        try:
            while said := child.stdout.read1():
                file.write(said)
                file.flush()
                sys.stdout.buffer.write(said)
                sys.stdout.buffer.flush()
            code = child.wait()
        except KeyboardInterrupt:
            file.write(_stop(child))
            raise
    child.stdout.close()
    return Outcome(name, shlex.join(command), code, time.monotonic() - started)


def _stop(child: subprocess.Popen) -> bytes:
    """Asks a script to stop, kills it and its children if it does not; returns its last words."""
    child.send_signal(signal.SIGINT)
    try:
        return child.communicate(timeout=_SECONDS_TO_SAVE)[0]
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()[0]


def run_all(names: Sequence[str], out: epath.Path, **settings: str | None) -> list[Outcome]:
    """Runs scripts, says how far it is, and returns how each ended."""
    outcomes = []
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}{_remaining(outcomes, names)}", flush=True)
        command = command_of(name, out=str(out), **settings)
        outcome = run_script(name, command, out / f"{name}.log")
        writer.write_json(out / "outcomes" / f"{name}.json", dataclasses.asdict(outcome))
        words = "done" if outcome.code == 0 else f"FAILED with exit code {outcome.code}"
        print(f"[{number}/{len(names)}] {name}: {words}, {outcome.seconds:.0f} s", flush=True)
        outcomes.append(outcome)
    return outcomes


def _remaining(outcomes: Sequence[Outcome], names: Sequence[str]) -> str:
    if not outcomes:
        return ""
    mean = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
    return f", about {mean * (len(names) - len(outcomes)) / 60:.0f} min to go"


def chosen(only: Sequence[str]) -> list[str]:
    """Returns the scripts named in `only`, all of them if it is empty, in the paper's order.

    Raises:
      ValueError: for an unknown name.
    """
    if unknown := [name for name in only if name not in DATA]:
        raise ValueError(f"--only={','.join(unknown)}; allowed: {', '.join(DATA)}.")
    return [name for name in DATA if not only or name in only]


def make(names: Sequence[str], out: epath.Path, **settings: str | None) -> int:
    """Runs scripts, builds the page, says what failed, and returns the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    outcomes = run_all(names, out, **settings)
    command = shlex.join(["python", "-m", "experiments.run_all", *sys.argv[1:]])
    # Not before: this takes hold of the devices, which the scripts need.
    record = environment.describe("") | {"command": command}
    print(f"Open {page.write(out, list(DATA), record)}")
    failed = [outcome.name for outcome in outcomes if outcome.code]
    for name in failed:
        print(f"{name} failed: {page.last_line(out / f'{name}.log')}")
    return 1 if failed else 0


def main(argv: list[str]) -> None:
    """Runs what the flags say; a mistake is one line, and so is Ctrl-C."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    given = flags.FLAGS
    # Stopped by a scheduler, too, no script is left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = {name: given[name].value for name in ("preset", "runs", "data_dir")}
    try:
        status = make(chosen(given.only), epath.Path(given.out), **settings)
    except (ValueError, OSError) as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from there.")
        status = 130
    sys.exit(status)


def _define_flags() -> None:
    """Declares the command line; not on import, as other programs have flags of these names."""
    flags.DEFINE_enum("preset", "quick", PRESETS, "Settings of runs that are still to be trained.")
    flags.DEFINE_list("only", [], f"Names of scripts: {', '.join(DATA)}. All by default.")
    flags.DEFINE_string("runs", "runs", "Runs are in <runs>/<data>_<preset>.")
    flags.DEFINE_string("data_dir", None, "Where prepared data are kept, for runs yet to train.")
    flags.DEFINE_string("out", "runs/figures", "Where figures, logs and the page go.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
