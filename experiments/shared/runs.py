"""Finished runs, trained first if need be: all that figures take from commands of the package."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import ml_collections
from etils import epath

from drnet_jax import api
from drnet_jax.commands import evaluate, generate, train
from drnet_jax.evaluation.score import SCHEMA_VERSION
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.report.inputs import read_json
from drnet_jax.runs import checks as settings
from drnet_jax.runs import renamed
from drnet_jax.runs.run import Run, create_run
from drnet_jax.runs.workdir import is_finished, stored_settings

NO_TRUTH = generate.NO_TRUTH
drnet_stage = train.drnet_stage

# Version 5 has other names; it and 6 lack the part `collapse`, which no figure reads. Up to 7,
# intervals are over draws of clips, which are too narrow for recorded clips.
_VERSIONS = (5, 6, 7, SCHEMA_VERSION)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
      run: its settings and its data.
      model: its networks.
      other_settings: the first setting that differs from what the script asked for, in words.
    """

    run: Run
    model: api.Model
    other_settings: str | None = None

    @property
    def scores(self) -> dict[str, Any]:
        """The scores in `evaluation.json`; docs/evaluation.md explains them."""
        return renamed.present_scores(read_json(self.run.workdir / "evaluation.json"))

    @property
    def record(self) -> dict[str, Any]:
        """The entry of the run in the JSON record of a figure."""
        config, source = self.run.config, self.run.source
        steps = f"{config.drnet.num_steps:,} + {config.predictor.num_steps:,} training steps"
        return {
            "workdir": str(self.run.workdir),
            "data": source.note,
            "note": f"{source.note}. {steps}.",
            "stand_in": source.stand_in,
            "settings": config.to_dict(),
            "other_settings": self.other_settings,
        }


def part(trained: Trained, name: str) -> dict[str, Any]:
    """Returns part `name` of the scores of a run.

    Raises:
      ValueError: if the run has no scores of this name.
    """
    scores = trained.scores.get(name)
    if scores is None:
        raise ValueError(
            f"{trained.run.workdir / 'evaluation.json'} has no {name}; --mode=evaluate adds it "
            "where data and model allow it (docs/evaluation.md)."
        )
    return scores


def finish(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> Trained:
    """Returns the run in `workdir`, trained or scored first if it is not finished.

    A run that already exists keeps its own settings. If they differ from `config`, a line says so.

    Raises:
      ValueError: for settings that cannot be used, or a run of other data.
      OSError: for missing data, or a workdir that cannot be used.
    """
    workdir, difference = epath.Path(workdir), None
    stored = stored_settings(workdir)
    if stored is not None:
        name = stored["data"]["name"]
        if name != config.data.name:
            raise ValueError(f"{workdir} is a run of {name}; expected one of {config.data.name}.")
        if difference := settings.difference(stored, config.to_dict()):
            print(f"{workdir} keeps its own settings: {difference}.")
        # Training must not continue with other settings than it began with.
        config = ml_collections.ConfigDict(stored)
    if not is_finished(workdir):
        train.run(config, workdir)
    elif read_json(workdir / "evaluation.json").get("schema_version") not in _VERSIONS:
        print(f"Scoring {workdir} again: its scores are of another version.")
        evaluate.run(config, workdir)
    run = create_run(config, workdir)
    return Trained(run, api.restore(run), difference)


def finish_drnet(run: Run) -> DrnetState:
    """Returns the first stage of `run` alone, trained as far as it is not yet."""
    train.write_settings(run)
    state = run.restore_stage("drnet")
    return train.fit_stage(run, drnet_stage(run), state or run.init_drnet())


def finish_predictor(run: Run, drnet: DrnetState) -> PredictorState:
    """Returns the second stage of `run`, trained on the encoders of any finished first stage."""
    train.write_settings(run)
    state = run.restore_stage("predictor")
    return train.fit_stage(run, train.predictor_stage(run, drnet), state or run.init_predictor())


def check_same_data(trained: Sequence[Trained]) -> None:
    """Raises ValueError unless all runs share their data, and with them the held-out clips."""
    # Consecutive frames change how clips are cut, not which of them are held out.
    data = [{"data": each.run.config.data.to_dict() | {"consecutive": False}} for each in trained]
    for each, other in zip(trained, data, strict=True):
        if difference := settings.difference(data[0], other):
            raise ValueError(
                f"{trained[0].run.workdir} and {each.run.workdir} have different data: "
                f"{difference}."
            )
