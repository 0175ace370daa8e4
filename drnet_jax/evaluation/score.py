"""All scores of a run on held-out clips, beside chance and trivial answers."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from drnet_jax.base import prng, sharding, stopping
from drnet_jax.base.arrays import as_float
from drnet_jax.evaluation import (
    collapse,
    few_shot,
    leakage,
    neighbors,
    pde_sep,
    rollouts,
    samples,
    swaps,
)
from drnet_jax.evaluation.judges import actions as action_judge
from drnet_jax.evaluation.judges import objects as object_judge
from drnet_jax.evaluation.judges.classifier import Judge
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

SCHEMA_VERSION = 8
"""The version of `evaluation.json`, raised when parts change; docs/evaluation.md describes it."""

NUM_MEAN_CLIPS = 1000
"""The number of clips behind the mean training frame."""


@dataclasses.dataclass(frozen=True)
class FirstStageScores:
    """Scores of a run that need no predictor, as futures, since threads may still compute them.

    Attributes:
      mean_frame: the mean training frame, `[height, width, channels]` in [0, 1].
      judge: the judge of objects; None if the objects of the data are unknown.
      record: the parts of the record that need no predictor.
    """

    mean_frame: Future
    judge: Future
    record: Future


def begin(run: Run, drnet: DrnetState) -> FirstStageScores:
    """Starts threads that score what needs no predictor, and returns at once.

    The predictor may train meanwhile, as that leaves most of a processor idle. An error in a part
    is raised by `result()` of its future. The threads do not keep the process from ending.
    """
    drnet = sharding.on_first_device(drnet)
    scores = FirstStageScores(Future(), Future(), Future())

    def score() -> None:
        _fulfill(scores.mean_frame, lambda: _mean_frame(run))
        _fulfill(scores.record, lambda: _score_first_stage(run, drnet, scores.mean_frame.result()))

    stopping.start_thread(lambda: _fulfill(scores.judge, lambda: _judge(run)), "judge")
    stopping.start_thread(score, "scores of the first stage")
    return scores


def _fulfill(future: Future, compute: Callable[[], Any]) -> None:
    """Sets the result of `future`, or the exception, so that nobody waits forever."""
    try:
        future.set_result(compute())
    except BaseException as error:
        future.set_exception(error)


def score_run(
    run: Run,
    drnet: DrnetState,
    predictor: PredictorState | None = None,
    first: FirstStageScores | None = None,
) -> dict:
    """Returns the scores of held-out clips; the same seed gives the same clips.

    A score is a mean over distinct samples with the ends of its 95 % bootstrap interval over what
    is independent. A part that the data or the model does not allow is None. docs/evaluation.md
    describes every part. Logs the `warnings` of the record. `first` are the scores of the first
    stage, if they were begun before.
    """
    config = run.config
    first = first or begin(run, drnet)
    drnet, predictor = sharding.on_first_device((drnet, predictor))
    for future in (first.mean_frame, first.judge):
        if future.done():
            future.result()  # Raises now what went wrong while the predictor trained.
    of_predictor = dict.fromkeys(("prediction", "rollout", "pde_sep", "actions", "neighbors"))
    if predictor is not None:  # First what needs no judge, which may still be training.
        _begin("neighbors")
        of_predictor["neighbors"] = neighbors.score(run, drnet, predictor)
        _begin("PDE-sep's test")
        of_predictor["pde_sep"] = pde_sep.score(run, drnet, predictor)
        _begin("actions")
        of_predictor["actions"] = action_judge.score(run, drnet, predictor)
    _begin("waiting for the first stage's scores")
    mean_frame, judge = first.mean_frame.result(), first.judge.result()
    record = {
        "schema_version": SCHEMA_VERSION,
        "data": {
            "name": config.data.name,
            "note": run.source.note,
            "stand_in": run.source.stand_in,
            "split": "validation" if config.data.get("validation") else "test",
        },
        "seed": config.seed,
        "steps": int(drnet.step),
        "judge": judge and judge.record,
    }
    _begin("swaps")
    record |= swaps.score(run, drnet, predictor, judge, mean_frame)
    record |= of_predictor
    if predictor is not None:
        _begin("rollouts")
        record |= rollouts.score(run, drnet, predictor, judge, mean_frame)
    _begin("waiting for the first stage's scores")
    record |= first.record.result()
    record["warnings"] = samples.warnings(record)
    for warning in record["warnings"]:
        logging.warning("%s", warning)
    return record


def _mean_frame(run: Run) -> jax.Array:
    _begin("trivial answers")
    return mean_training_frame(run)


def _judge(run: Run) -> Judge | None:
    _begin("judge")
    return object_judge.train(run)


def _score_first_stage(run: Run, drnet: DrnetState, mean_frame: jax.Array) -> dict:
    _begin("collapse")
    record = collapse.score(run, drnet, mean_frame)
    _begin("few-shot classification")
    record["few_shot"] = few_shot.score(run, drnet)
    _begin("leakage")
    return record | leakage.score(run, drnet)


def _begin(part: str) -> None:
    stopping.doing(f"scoring: {part}", "the trained model is saved")


def mean_training_frame(run: Run) -> jax.Array:
    """Returns the mean of random training frames, `[height, width, channels]` in [0, 1]."""
    clips = run.source.sample("train", prng.stream(run.key, "mean frame"), NUM_MEAN_CLIPS)
    return jnp.mean(as_float(run.source.frames("train", clips, np.array([0]))), axis=(0, 1))
