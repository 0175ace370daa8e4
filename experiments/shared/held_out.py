"""A model on held-out clips: swaps and rollouts as uint8 frames."""

from typing import Any

import jax
import numpy as np

from drnet_jax import api
from drnet_jax.base import prng
from drnet_jax.base.arrays import as_uint8
from drnet_jax.base.wording import ANSWERS, interval
from drnet_jax.evaluation.held_out import observe
from drnet_jax.pictures import grids
from drnet_jax.runs.run import Run
from experiments.shared import runs
from experiments.shared.figure import Figure, Table

NUM_CLIPS = 8
"""Contents and poses of a swap grid."""


def pairs(run: Run, name: str, num_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns two batches of uint8 frames `[num_pairs, height, width, channels]`.

    The frames of a pair are of different clips and, where the data allow it, of different content.
    They depend only on the seed of the run and on `name`.
    """
    first = run.source.sample("test", prng.stream(run.key, f"{name} first"), num_pairs)
    key = prng.stream(run.key, f"{name} second")
    second = run.source.sample("test", key, num_pairs, unlike=first)
    frames = [run.source.frames("test", clips, np.array([0])) for clips in (first, second)]
    return tuple(batch[:, 0] for batch in frames)  # Without the axis of time.


def decode(model: api.Model, content_frames: np.ndarray, poses: jax.Array) -> np.ndarray:
    """Returns the content of each frame in each of its poses, uint8 `[batch, num_poses, ...]`.

    `content_frames` are `[batch, height, width, channels]`, `poses` are `[batch, num_poses, dim]`.
    """
    return jax.device_get(as_uint8(model.decode(model.content(content_frames), poses)))


def swap(model: api.Model, contents: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Returns each content frame in the pose of each pose frame, uint8 `[contents, poses, ...]`."""
    codes = model.pose(poses)
    # [contents, poses, pose_dim]: every content gets all poses.
    return decode(model, contents, np.broadcast_to(codes, (len(contents), *codes.shape)))


def swap_figure(name: str, trained: runs.Trained, stream: str, caption: str) -> Figure:
    """Returns a swap grid of `NUM_CLIPS` contents and poses, with the scores of swaps.

    The clips depend only on the seed of the run and on `stream`.
    """
    contents, poses = pairs(trained.run, stream, NUM_CLIPS)
    swapped = swap(trained.model, contents, poses)
    return Figure(
        name,
        grids.swap_grid(poses, contents, swapped),
        caption,
        [swap_table(trained.scores)],
        arrays=dict(contents=contents, poses=poses, swapped=swapped),
        numbers={"swap": trained.scores["swap"]},
    )


def roll_out(
    run: Run, model: api.Model, clips: Any, num_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns observed frames, generated frames, and the frames that really followed.

    All are uint8 `[num_clips, time, height, width, channels]`. After the end of a clip the real
    frames are `runs.NO_TRUTH`. `clips` are clips of the test split, as its source samples them.
    """
    observed, truth = observe(run, clips, num_steps, past_end=runs.NO_TRUTH)
    return observed, jax.device_get(model.rollout(observed, num_steps)), truth


def swap_table(scores: dict[str, Any], title: str = "") -> Table:
    """Returns the scores of swaps in `evaluation.json`, beside those of trivial answers."""
    if scores["swap"] is None:
        words = "No scores of swaps: the true frames are unknown for these data."
        return Table((), (), f"{title}\n{words}" if title else words)
    names = ("model", "copy_content_frame", "copy_pose_frame", "mean_frame")
    rows = [
        (
            f"{ANSWERS[name]}, t+{record['horizon']}",
            interval(record[name]["psnr"], 2),
            interval(record[name]["ssim"], 3),
        )
        for record in scores["swap"]["by_horizon"]
        for name in names
    ]
    return Table(("swap of held-out clips", "PSNR [dB]", "SSIM"), rows, title)
