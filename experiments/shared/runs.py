"""What every script here begins with: its flags, and finished runs to draw figures of."""

import contextlib
import dataclasses
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections
from absl import app, flags, logging
from etils import epath

from drnet_jax import api
from drnet_jax.commands import evaluate, train
from drnet_jax.evaluation.score import SCHEMA_VERSION
from drnet_jax.runs import checks as settings
from drnet_jax.runs import runtime
from drnet_jax.runs.run import Run, create_run
from drnet_jax.runs.workdir import is_finished, stored_settings
from drnet_jax.training.loop import StoppedError
from experiments.shared.variations import Variation

Variations = Mapping[str, Variation | None]

PRESETS = ("full", "quick", "smoke")
"""Variants of the settings in configs/; `smoke` takes seconds and only shows that it runs."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
      run: its settings and its data.
      model: its networks.
    """

    run: Run
    model: api.Model

    @property
    def scores(self) -> dict[str, Any]:
        """What `evaluation.json` has, see docs/evaluation.md."""
        return json.loads((self.run.workdir / "evaluation.json").read_text())

    @property
    def note(self) -> str:
        """A line on the data and on how long the run was trained."""
        config = self.run.config
        steps = f"{config.drnet.num_steps:,} + {config.predictor.num_steps:,} training steps"
        return f"{self.run.source.note}. {steps}."

    @property
    def record(self) -> dict[str, Any]:
        """What a figure's JSON says of the run."""
        return {
            "workdir": str(self.run.workdir),
            "data": self.run.source.note,
            "stand_in": self.run.source.stand_in,
            "settings": self.run.config.to_dict(),
        }


def part(trained: Trained, name: str) -> dict[str, Any]:
    """Returns a part of what `evaluation.json` has.

    Raises:
      ValueError: where it has none.
    """
    found = trained.scores.get(name)
    if found is None:
        raise ValueError(
            f"{trained.run.workdir / 'evaluation.json'} has no {name}; --mode=evaluate adds that "
            "where data and model allow it (docs/evaluation.md)."
        )
    return found


def finish(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> Trained:
    """Returns the run in `workdir`, trained first where it is not finished.

    A run that is there goes on with its own settings; if they are not those of `config`, that is
    printed.

    Raises:
      ValueError: for settings that cannot be used, or a run of other data.
      OSError: for missing data, or a workdir that cannot be used.
    """
    workdir = epath.Path(workdir)
    stored = stored_settings(workdir)
    if stored is not None:
        name = stored["data"]["name"]
        if name != config.data.name:
            raise ValueError(f"{workdir} is a run of {name}; expected one of {config.data.name}.")
        if difference := settings.difference(stored, config.to_dict()):
            print(f"{workdir} has settings of its own: {difference}.")
        config = ml_collections.ConfigDict(stored)
    if not is_finished(workdir):
        train.run(config, workdir)
    elif _scored_by(workdir) != SCHEMA_VERSION:
        print(f"{workdir} is scored again, as its scores are of another version.")
        evaluate.run(config, workdir)
    run = create_run(config, workdir)
    return Trained(run, api.Model(run))


def _scored_by(workdir: epath.Path) -> Any:
    """Returns the version of the scores of a finished run; None where there are none to read."""
    try:
        return json.loads((workdir / "evaluation.json").read_text()).get("schema_version")
    except (OSError, ValueError):
        return None


def start(
    draw: Callable[..., None],
    *data: str,
    variations: Variations | Callable[[], Variations] | None = None,
) -> None:
    """Parses the flags, finishes the runs, and has the figure drawn.

    Args:
      draw: called with the folder for its files, and a `Trained` for each variation.
      *data: names of files in configs/; the flag --data chooses if there are several.
      variations: what is added to --workdir, and what changes the preset's settings, if anything;
        by default one run that is the preset's. A function is called once flags are parsed.
    """
    _define_flags(data)

    def main(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
        runtime.keep_freed_memory()
        runtime.keep_compiled_programs()
        with errors_in_one_line():
            chosen = variations() if callable(variations) else variations or {"": None}
            trained = [_finish_variation(*item) for item in chosen.items()]
            check_same_data(trained)
            draw(epath.Path(flags.FLAGS.out), *trained)

    logging.set_verbosity(logging.WARNING)
    app.run(main)


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Ends the program after what is a user's to mend, or after a signal, with one line."""
    try:
        yield
    except (ValueError, OSError, FloatingPointError) as error:
        logging.debug("In full:", exc_info=True)
        print(str(error).splitlines()[0], file=sys.stderr)
        sys.exit(2)
    except (StoppedError, KeyboardInterrupt) as error:
        print(f"{str(error) or 'Stopped.'} The same command goes on from there.")
        sys.exit(130)


def check_same_data(trained: Sequence[Trained]) -> None:
    """Raises ValueError unless all runs are of the same data, so that none has seen test clips."""
    first, *others = (
        {"data": each.run.config.data.to_dict() | {"consecutive": False}} for each in trained
    )
    for each, other in zip(trained[1:], others, strict=True):
        if difference := settings.difference(first, other):
            raise ValueError(
                f"{trained[0].run.workdir} and {each.run.workdir} are not of the same data: "
                f"{difference}."
            )


def _finish_variation(suffix: str, change: Variation | None) -> Trained:
    given = flags.FLAGS
    config = importlib.import_module(f"configs.{given.data}").get_config(given.preset)
    if change is not None:
        change(config)
    if given.data_dir:
        config.data.data_dir = given.data_dir
    return finish(config, (given.workdir or f"runs/{given.data}_{given.preset}") + suffix)


def _define_flags(data: tuple[str, ...]) -> None:
    """Declares the command line; not on import, as other programs have flags of these names."""
    flags.DEFINE_enum("preset", "quick", PRESETS, "Settings of a run that is still to be trained.")
    flags.DEFINE_enum("data", data[0], data, "Which settings file of configs/.")
    flags.DEFINE_string("workdir", None, "The run; by default runs/<data>_<preset>.")
    flags.DEFINE_string("data_dir", None, "Where prepared data are kept, for a run yet to train.")
    flags.DEFINE_string("out", "runs/figures", "Where the figure and the data behind it go.")
    for name in ("preset", "data", "workdir", "data_dir", "out"):
        # That --help shows them.
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
