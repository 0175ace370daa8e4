"""How far the azimuths of generated frames are off, for clips that are full turns."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.base.arrays import Array, as_float
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import metrics
from drnet_jax.runs.run import Run

TURNS = (1, 2, 10)
"""The turns after the last observed frame of which every step is scored."""

NEAR = (10, 30)
"""Errors in degrees; the share of clips within each of them is scored."""

NAMES = ("azimuth_error", *(f"azimuth_within_{limit}" for limit in NEAR), "turns")
"""The names of the scores in `records`."""

CHANCE = 90.0
"""The mean and the median error, in degrees, of azimuths drawn at random."""


def turn_steps(num_frames: int) -> set[int]:
    """Returns all steps of `TURNS`, for turns of `num_frames` frames."""
    return {(turn - 1) * num_frames + step for turn in TURNS for step in range(1, num_frames + 1)}


def measure(
    run: Run, clips: Clips, answers: Mapping[str, Array], steps: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the errors of the azimuths in degrees, 0 to 180, `[batch, steps]` by answer.

    `answers` are frames at `steps`, `[batch, steps, height, width, channels]`. An azimuth is read
    from a frame by comparing it with all true frames of the clip's turn: that with the least
    squared distance tells it.
    """
    views = np.arange(run.source.truth.turn_length("test"))
    turns = run.source.frames("test", clips, views)
    azimuths = run.source.truth.azimuths("test", clips, views)
    # From the last observed frame on.
    times = run.config.predictor.num_observed - 1 + np.insert(steps, 0, 0)
    expected = run.source.truth.azimuths("test", clips, times)
    seen = {"copy_last_frame": expected[:, :1]}
    for name, frames in answers.items():
        seen[name] = np.take_along_axis(azimuths, np.asarray(nearest(frames, turns)), axis=1)
    return {name: difference(degrees, expected[:, 1:]) for name, degrees in seen.items()}


@jax.jit
def nearest(frames: Array, views: Array) -> jax.Array:
    """Returns for each frame the number of the view with the least squared distance to it.

    `frames` are `[batch, time, ...]` and `views` `[batch, views, ...]`; the numbers are int
    `[batch, time]`.
    """
    frames, views = (as_float(x).reshape(*x.shape[:2], -1) for x in (frames, views))
    # Around the mean view, products are small and lose less to rounding.
    center = jnp.mean(views, axis=1, keepdims=True)
    frames, views = frames - center, views - center
    products = jnp.einsum("btp,bvp->btv", frames, views, precision="highest")
    return jnp.argmin(jnp.sum(jnp.square(views), axis=-1)[:, None] - 2 * products, axis=-1)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the angle between azimuths in degrees, 0 to 180."""
    return np.abs((a - b + 180) % 360 - 180)


def records(
    errors: Mapping[str, np.ndarray],
    steps: np.ndarray,
    num_frames: int,
    seed: int,
    clusters: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns the scores at each step and for each turn, from errors `[clips, steps]` by answer.

    `seed` and `clusters` determine the intervals, as for `metrics.bootstrap`.
    Medians, because an object that looks alike from two sides may be read as seen from the other.
    """
    median = functools.partial(metrics.bootstrap_median, seed=seed, clusters=clusters)
    share = functools.partial(metrics.bootstrap, seed=seed, clusters=clusters)
    record = {"azimuth_error": {name: median(e) for name, e in errors.items()}}
    record["azimuth_error"]["chance"] = CHANCE
    for limit in NEAR:
        near = {name: share(e <= limit) for name, e in errors.items()}
        record[f"azimuth_within_{limit}"] = near
    turns = [turn for turn in TURNS if turn * num_frames <= steps[-1]]
    record["turns"] = {"num_frames": num_frames, "numbers": turns}
    for name, error in errors.items() if turns else ():
        within = [error[:, -(-steps // num_frames) == turn].mean(axis=1) for turn in turns]
        record["turns"][name] = median(np.stack(within, axis=1))
    return record
