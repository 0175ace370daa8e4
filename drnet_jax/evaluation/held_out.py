"""Rollouts of held-out clips beside the frames that really followed."""

import jax
import numpy as np

from drnet_jax.base import sharding
from drnet_jax.data.source import Clips
from drnet_jax.models.rollout import compiled_rollout
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

_TIMES_AT_ONCE = 100
"""Time steps of true frames that are rendered at once, so that rollouts of any length fit."""


def observe(
    run: Run, clips: Clips, num_steps: int, *, past_end: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the observed frames of test clips and the `num_steps` frames that really followed.

    Args:
      run: provides the data.
      clips: sampled from the test split.
      num_steps: how many frames follow the observed ones.
      past_end: the gray value of frames past the end of a clip; None repeats the last frame.

    Returns:
      uint8 `[clips, num_observed, height, width, channels]` and `[clips, num_steps, ...]`.
    """
    num_observed = run.config.predictor.num_observed
    times = np.arange(num_observed + num_steps)
    pieces = np.array_split(times, -(-len(times) // _TIMES_AT_ONCE))
    frames = np.concatenate([run.source.frames("test", clips, piece) for piece in pieces], axis=1)
    if past_end is not None:
        frames[times >= run.source.lengths("test", clips)[:, None]] = past_end
    return frames[:, :num_observed], frames[:, num_observed:]


def roll_out(
    run: Run,
    drnet: DrnetState,
    predictor: PredictorState,
    clips: Clips,
    num_steps: int,
    *,
    past_end: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns observed frames, the frames generated after them, and those that really followed.

    All are uint8; arguments and shapes are those of `observe`.
    """
    observed, truth = observe(run, clips, num_steps, past_end=past_end)
    program = compiled_rollout(
        run.networks, run.predictor, num_steps, run.config.rollout.frames_at_once
    )
    variables = sharding.on_first_device((drnet.autoencoder, predictor.variables))
    return observed, jax.device_get(program(*variables, observed)), truth
