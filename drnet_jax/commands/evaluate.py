"""Scores on held-out clips, each beside what chance and trivial answers score."""

import ml_collections
from etils import epath

from drnet_jax import report
from drnet_jax.base import checked_json, processes, timings
from drnet_jax.base.errors import input_errors
from drnet_jax.evaluation import summary
from drnet_jax.evaluation.score import FirstStageScores, score_run
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs import memory
from drnet_jax.runs.run import Run, open_trained


def run(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> None:
    """Scores a trained workdir, and writes its report again.

    Raises:
      InputError: for impossible settings, those of another run, or missing checkpoints.
    """
    with input_errors():
        run, drnet, predictor = open_trained(config, workdir)
        memory.check(run, memory.scoring_needs)
    if processes.is_first():
        write(run, drnet, predictor)
        report.refresh(run.workdir)
        print(timings.table())


def write(
    run: Run,
    drnet: DrnetState,
    predictor: PredictorState | None = None,
    first: FirstStageScores | None = None,
) -> None:
    """Scores the run, writes `evaluation.json` and prints the scores.

    `first` are the scores of the first stage, if they were begun before.
    """
    record = score_run(run, drnet, predictor, first)
    checked_json.write(run.workdir / "evaluation.json", record)
    print(summary.text(record))
