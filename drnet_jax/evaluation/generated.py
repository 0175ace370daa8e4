"""What a model makes of held-out clips, beside what really followed."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from drnet_jax.models import rollout
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run


def make_rollout(
    run: Run, state: DrnetState, predictor: PredictorState, num_steps: int
) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
    """Returns a function of sampled test clips to generated frames and those that followed.

    Both are uint8 `[clips, num_steps, height, width, channels]`. Past the end of a clip the truth
    is its last frame. The same number of clips each time is one compiled program.
    """
    times = np.arange(run.config.predictor.num_observed + num_steps)
    variables = predictor.predictor.variables("predictor")
    at_once = run.config.rollout.frames_at_once
    program = jax.jit(
        rollout.make_rollout(
            run.networks, run.predictor, num_steps=num_steps, frames_at_once=at_once
        )
    )

    def roll_out(clips: Any) -> tuple[np.ndarray, np.ndarray]:
        frames = jax.device_get(run.source.frames("test", clips, times))
        observed, truth = frames[:, :-num_steps], frames[:, -num_steps:]
        return jax.device_get(program(state.autoencoder, variables, observed)), truth

    return roll_out
