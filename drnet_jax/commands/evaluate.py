"""Scores on held-out clips, each beside what chance and trivial answers score."""

from collections.abc import Callable

import ml_collections
from etils import epath

from drnet_jax import report
from drnet_jax.evaluation import summary
from drnet_jax.evaluation.score import score_run
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import run as run_lib
from drnet_jax.runs.run import Run


def prepare(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> Callable[[], None]:
    """Returns the evaluation of a trained workdir, ready to be called.

    Raises:
      ValueError: for settings that cannot be used, or that are another run's.
      OSError: for missing checkpoints or data.
    """
    run, drnet, predictor = run_lib.open_trained(config, workdir)

    def job() -> None:
        write(run, drnet, predictor)
        report.refresh(run.workdir)

    return job


def write(run: Run, drnet: DrnetState, predictor: PredictorState | None = None) -> None:
    """Scores the run, writes `evaluation.json` and prints the scores."""
    record = score_run(run, drnet, predictor)
    writer.write_json(run.workdir / "evaluation.json", record)
    print(summary.text(record))
