"""The command line of every script: its flags, its finished runs, and its errors in one line."""

import contextlib
import functools
import importlib
import pathlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from absl import app, flags, logging
from etils import epath

from drnet_jax.base.stopping import StoppedError
from drnet_jax.runs import runtime
from experiments.shared import figure, runs
from experiments.shared.figure import Figure
from experiments.shared.variations import Variation

PRESETS = ("full", "quick", "smoke")
"""Variants of the settings in configs/; `smoke` takes seconds and only shows that it runs."""

Draw = Callable[..., Iterator[Figure]]
Variations = Mapping[str, Variation | None]
VariationsOf = Variations | Callable[[flags.FlagValues], Variations]

# The flags below belong to the script that is run: its --help lists them.
flags.disclaim_key_flags()


def define_flags(presets: Sequence[str] = PRESETS, out: str = "runs/figures") -> None:
    """Defines the flags that all scripts share; `out` is the default of --out.

    A function, because other programs that import a script have flags of the same names.
    """
    flags.DEFINE_enum("preset", "quick", presets, "Settings of runs that have yet to be trained.")
    flags.DEFINE_string("data_dir", None, "Folder of prepared data, for runs yet to be trained.")
    flags.DEFINE_string("out", out, "Folder for figures and the data behind them.")


def launch(job: Callable[[], None]) -> None:
    """Parses the flags and calls `job`."""

    def main(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
        runtime.keep_freed_memory()
        runtime.keep_compiled_programs()  # Many scripts use the same networks.
        with errors_in_one_line():
            job()

    logging.set_verbosity(logging.WARNING)
    app.run(main)


def start(draw: Draw, *data: str, variations: VariationsOf | None = None) -> None:
    """Runs the script whose figures `draw` makes: finishes its runs and writes the figures.

    Args:
      draw: yields the figures; called with one `runs.Trained` for each variation.
      *data: settings files of configs/ that the flag --data chooses from; the first is the default.
      variations: for each run, the suffix of --workdir, and the function that changes the settings
        of the preset. By default there is one run, of the preset itself. If callable, it is called
        with the parsed flags.
    """
    define_flags()
    flags.DEFINE_enum("data", data[0], data, "Settings file of configs/.")
    flags.DEFINE_string("workdir", None, "Folder of the run; by default runs/<data>_<preset>.")
    launch(functools.partial(_make_figures, draw, variations or {"": None}))


def _make_figures(draw: Draw, variations: VariationsOf) -> None:
    chosen = variations(flags.FLAGS) if callable(variations) else variations
    trained = [_finish(suffix, change) for suffix, change in chosen.items()]
    runs.check_same_data(trained)
    records, name = [each.record for each in trained], pathlib.Path(sys.argv[0]).stem
    for each in draw(*trained):  # Written one by one: the next may take long, or fail.
        figure.write(epath.Path(flags.FLAGS.out), each, records, name)


def _finish(suffix: str, change: Variation | None) -> runs.Trained:
    given = flags.FLAGS
    config = importlib.import_module(f"configs.{given.data}").get_config(given.preset)
    if change is not None:
        change(config)
    if given.data_dir:
        config.data.data_dir = given.data_dir
    return runs.finish(config, (given.workdir or f"runs/{given.data}_{given.preset}") + suffix)


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Ends the program with one line after an error that the user can mend, or after a signal."""
    try:
        yield
    except (ValueError, OSError, FloatingPointError) as error:
        logging.debug("In full:", exc_info=True)
        print(str(error).splitlines()[0], file=sys.stderr)
        sys.exit(2)
    except (StoppedError, KeyboardInterrupt) as error:
        print(f"{str(error) or 'Stopped.'} The same command continues from there.")
        sys.exit(128 + getattr(error, "signal", signal.SIGINT))
