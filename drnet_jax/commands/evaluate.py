"""Scores on held-out clips, each beside what chance and trivial answers score."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from drnet_jax import report
from drnet_jax.base import prng
from drnet_jax.base.arrays import as_float
from drnet_jax.evaluation import few_shot, leakage, neighbors, rollouts, summary, swaps
from drnet_jax.evaluation.judges import actions as action_judge
from drnet_jax.evaluation.judges import objects as judge_lib
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import run as run_lib
from drnet_jax.runs.run import Run

SCHEMA_VERSION = 6
"""Of `evaluation.json`, as docs/evaluation.md says what is in it."""

NUM_MEAN_CLIPS = 1000
"""Clips behind the mean training frame."""


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
    record = score(run, drnet, predictor)
    writer.write_json(run.workdir / "evaluation.json", record)
    print(summary.text(record))


def score(run: Run, drnet: DrnetState, predictor: PredictorState | None = None) -> dict:
    """Returns the scores of held-out clips; the same seed gives the same clips.

    Every score has its mean over clips and the ends of its 95 % bootstrap interval. A part that the
    data or the model do not allow is None: docs/evaluation.md says what each is and needs.
    """
    config = run.config
    mean_frame = mean_training_frame(run)
    judge = judge_lib.train(run)
    record = {
        "schema_version": SCHEMA_VERSION,
        "data": {
            "name": config.data.name,
            "note": run.source.note,
            "stand_in": run.source.stand_in,
            "split": "validation" if config.data.get("validation") else "test",
        },
        "num_clips": config.evaluation.num_clips,
        "seed": config.seed,
        "steps": int(drnet.step),
        "judge": judge and judge.record,
    }
    record |= swaps.score(run, drnet, predictor, judge, mean_frame)
    record |= {"prediction": None, "rollout": None, "actions": None, "neighbors": None}
    if predictor is not None:
        record |= rollouts.score(run, drnet, predictor, judge, mean_frame)
        record["actions"] = action_judge.score(run, drnet, predictor)
        record["neighbors"] = neighbors.score(run, drnet, predictor)
    record["few_shot"] = few_shot.score(run, drnet)
    return record | leakage.score(run, drnet)


def mean_training_frame(run: Run) -> jax.Array:
    """Returns the mean of random training frames, `[height, width, channels]` in [0, 1]."""
    clips = run.source.sample("train", prng.stream(run.key, "mean frame"), NUM_MEAN_CLIPS)
    return jnp.mean(as_float(run.source.frames("train", clips, np.array([0]))), axis=(0, 1))
