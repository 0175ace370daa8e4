"""What a model makes of held-out clips: swaps and rollouts, as uint8 frames."""

from typing import Any

import jax
import numpy as np

from drnet_jax import api
from drnet_jax.base import prng
from drnet_jax.base.arrays import as_uint8
from drnet_jax.commands import generate
from drnet_jax.evaluation.held_out import observe
from drnet_jax.runs.run import Run
from experiments.shared import figure


def pairs(run: Run, name: str, num_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 frames `[num_pairs, height, width, channels]` of different clips, twice.

    Where the data tell, the two of a pair do not show the same content either. The same seed and
    `name` give the same frames.
    """
    first = run.source.sample("test", prng.stream(run.key, f"{name} first"), num_pairs)
    key = prng.stream(run.key, f"{name} second")
    second = run.source.sample("test", key, num_pairs, unlike=first)
    frames = [run.source.frames("test", clips, np.array([0])) for clips in (first, second)]
    return tuple(jax.device_get(batch)[:, 0] for batch in frames)


def decode(model: api.Model, content_frames: np.ndarray, poses: jax.Array) -> np.ndarray:
    """Returns uint8 `[batch, poses, ...]`: the content of each frame in each of its poses.

    `content_frames` are `[batch, height, width, channels]`, `poses` `[batch, poses, pose_dim]`.
    """
    return jax.device_get(as_uint8(model.decode(model.content(content_frames), poses)))


def swap(model: api.Model, contents: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Returns uint8 `[contents, poses, ...]`: each content frame in the pose of each pose frame."""
    codes = model.pose(poses)
    return decode(model, contents, np.broadcast_to(codes, (len(contents), *codes.shape)))


def roll_out(
    run: Run, model: api.Model, clips: Any, num_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns observed frames, generated ones and what really followed, all uint8.

    `clips` are sampled ones of the test split. Shapes are `[num_clips, time, height, width,
    channels]`; after the end of a clip the truth is `generate.NO_TRUTH`.
    """
    observed, truth = observe(run, clips, num_steps, past_end=generate.NO_TRUTH)
    return observed, jax.device_get(model.rollout(observed, num_steps)), truth


def swap_scores(scores: dict[str, Any]) -> str:
    """Returns a table of the swaps in `evaluation.json`, against the truth and trivial answers."""
    if scores["swap"] is None:
        return "Nobody knows what a swap of these data ought to look like: no scores."
    names = ("model", "copy_content_frame", "copy_pose_frame", "mean_frame")
    rows = [
        (
            f"{name.replace('_', ' ')}, t+{record['horizon']}",
            figure.interval(record[name]["psnr"], 2),
            figure.interval(record[name]["ssim"], 3),
        )
        for record in scores["swap"]["by_horizon"]
        for name in names
    ]
    return figure.table(("swap of held-out clips", "PSNR [dB]", "SSIM"), rows)
