"""Training for a fixed time, and scores of swaps during training."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections
import numpy as np
from etils import epath

from drnet_jax.evaluation import swaps
from drnet_jax.evaluation.judges import objects
from drnet_jax.evaluation.judges.classifier import Judge
from drnet_jax.evaluation.score import mean_training_frame
from drnet_jax.models.state import DrnetState
from drnet_jax.runs.run import Run, create_run
from drnet_jax.training.stages import Stage
from experiments.shared.runs import drnet_stage

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
"""Shares of the budget after which the state is scored."""

_WARM_STEPS = 5  # The first step compiles, and some more are slow.
_STEPS_AT_ONCE = 20
_SHARE_TO_MEASURE = 0.1  # The part of the budget in which the time of a step is measured.


class Referee:
    """Scores all recipes on the same held-out clips, with one judge and one mean frame."""

    def __init__(self, run: Run):
        """Uses the data of `run` for clips, judge and mean frame; they are made when needed."""
        self.run = run

    @functools.cached_property
    def _answers(self) -> tuple[Judge, jax.Array]:
        return objects.train(self.run), mean_training_frame(self.run)

    def score(self, run: Run, state: DrnetState) -> dict[str, float | None]:
        """Returns scores of swaps by the networks of another run, and those of trivial answers.

        Scores that are not finite, since the run has diverged, are None.
        """
        judging = dataclasses.replace(self.run, networks=run.networks)
        judge, mean_frame = self._answers
        record = swaps.score(judging, state, None, judge, mean_frame)
        swap, judged = record["swap"], record["swap_judge"]
        scores = {
            "swap_psnr": swap["model"]["psnr"]["mean"],
            "mean_frame_psnr": swap["mean_frame"]["psnr"]["mean"],
            "identity_kept": judged["model"]["accuracy_kept"]["mean"],
            "identity_of_truth": judged["truth"]["accuracy_kept"]["mean"],
            "identity_by_chance": judge.record["chance"],
            "position_error": judged["position_error"]["mean"],
            "reconstruction_psnr": record["reconstruction"]["psnr"]["mean"],
        }
        return {name: value if np.isfinite(value) else None for name, value in scores.items()}


def steps_that_fit(config: ml_collections.ConfigDict, workdir: epath.Path, budget: float) -> int:
    """Returns how many compiled training steps this machine makes in `budget` seconds."""
    run = create_run(config, workdir)
    stage = drnet_stage(run)
    with contextlib.closing(stage.inputs(0, 1)) as inputs:
        state = _advance(stage, run.init_drnet(), inputs, _WARM_STEPS)
        started, num_steps = time.monotonic(), 0
        while (passed := time.monotonic() - started) < _SHARE_TO_MEASURE * budget:
            state = _advance(stage, state, inputs, _STEPS_AT_ONCE)
            num_steps += _STEPS_AT_ONCE
    return max(1, int(budget * num_steps / passed))


def fit(
    config: ml_collections.ConfigDict, workdir: epath.Path, referee: Referee
) -> list[dict[str, float | None]]:
    """Trains for `config.drnet.num_steps` steps and returns the scores after each of `SHARES`.

    Each has its step and the seconds of training before it, without compilation and scoring.
    """
    run = create_run(config, workdir)
    stage, state = drnet_stage(run), run.init_drnet()
    with contextlib.closing(stage.inputs(0, 1)) as inputs:
        _advance(stage, run.init_drnet(), inputs, 1)  # Compiles, which does not count.
    step, seconds, scores = 0, 0.0, []
    with contextlib.closing(stage.inputs(0, 1)) as inputs:
        for share in SHARES:
            due = max(1, round(share * stage.num_steps))
            started = time.monotonic()
            state = _advance(stage, state, inputs, due - step)
            seconds += time.monotonic() - started
            step = due
            scores.append({"step": step, "seconds": seconds} | referee.score(run, state))
    return scores


def _advance(stage: Stage, state, inputs: Iterator[Any], num_steps: int):
    """Returns the state `num_steps` later, once it is computed."""
    for number in range(num_steps):
        state, _ = stage.step(1, state, next(inputs))
        if number % _STEPS_AT_ONCE == 0:
            jax.block_until_ready(state)  # Keeps batches from piling up on a fast device.
    return jax.block_until_ready(state)
