"""Closest training frames of generated ones: does a model repeat what it was trained on?

Real held-out frames are the yardstick: frames repeated from training are much closer to a training
frame than these are. Blurred frames are also closer.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from drnet_jax.base import prng
from drnet_jax.data import source as source_lib
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import metrics, samples
from drnet_jax.evaluation.held_out import roll_out
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

MOST_FRAMES = 20_000
"""The largest number of training frames that are searched; random ones if there are more."""

PERCENTILES = (5, 25, 50, 75, 95)

_FRAMES_PER_CLIP = 10
"""Frames that are searched of each clip, if clips are generated without end."""

_FRAMES_AT_ONCE = 1_000


def score(run: Run, state: DrnetState, predictor: PredictorState) -> dict[str, Any]:
    """Returns how far generated and real frames are from the closest training frame.

    `generated` and `real` have the `percentiles` of these distances over clips, by percent, and the
    `median` with its 95 % bootstrap interval over clips. The frames are those `step` steps after
    the last observed one.
    """
    step = run.config.evaluation.horizon
    clips = sample(run)
    drawn = samples.distinct(run.source, "test", clips)
    clips = source_lib.select(clips, drawn.rows)
    _, generated, truth = roll_out(run, state, predictor, clips, step)
    queries = np.concatenate([generated[:, -1], truth[:, -1]])
    distances = find(queries, training_frames(run), 1)[1][:, 0]
    searched, known = num_training_frames(run)
    record = {"step": step, **drawn.counts}
    record |= {"num_training_frames": searched, "num_known_frames": known}
    for name, closest in zip(("generated", "real"), np.split(distances, 2), strict=True):
        values = np.percentile(closest, PERCENTILES)
        record[name] = {
            "median": metrics.bootstrap_median(closest, run.config.seed, clusters=drawn.clusters),
            "percentiles": {str(p): float(v) for p, v in zip(PERCENTILES, values, strict=True)},
        }
    return record


def sample(run: Run) -> Clips:
    """Returns the test clips that are continued."""
    config = run.config
    return run.source.sample(
        "test",
        prng.stream(run.key, "neighbours of"),
        config.evaluation.rollout_clips,
        num_frames=config.predictor.num_observed + config.evaluation.horizon,
    )


def num_training_frames(run: Run) -> tuple[int, int | None]:
    """Returns how many training frames are searched, and how many there are: None if endless."""
    counts = run.source.frame_counts("train")
    if counts is None:
        return MOST_FRAMES, None
    known = int(counts.sum())
    return min(known, MOST_FRAMES), known


def training_frames(run: Run) -> Iterator[np.ndarray]:
    """Yields the training frames that are searched, uint8 `[some, height, width, channels]`."""
    num, known = num_training_frames(run)
    if known is not None:
        yield from _frames_of_all_clips(run, num)
        return
    num_clips = min(num, _FRAMES_AT_ONCE) // _FRAMES_PER_CLIP
    for i in range(num // (num_clips * _FRAMES_PER_CLIP)):
        clips = run.source.sample("train", prng.stream(run.key, "neighbours", i), num_clips)
        key = prng.stream(run.key, "neighbours' times", i)
        times = run.source.random_times("train", clips, key, _FRAMES_PER_CLIP)
        frames = run.source.frames("train", clips, times)
        yield frames.reshape(-1, *frames.shape[2:])  # [clips * times, ...]


def _frames_of_all_clips(run: Run, num: int) -> Iterator[np.ndarray]:
    """Yields `num` different frames of the training split."""
    clips, counts = run.source.all_clips("train"), run.source.frame_counts("train")
    ends = np.cumsum(counts)
    rng = prng.host_generator(prng.stream(run.key, "neighbours"))
    # Frames are numbered through the whole split, clip after clip.
    rows = np.sort(rng.choice(ends[-1], num, replace=False))
    for part in np.array_split(rows, -(-num // _FRAMES_AT_ONCE)):
        numbers = np.searchsorted(ends, part, side="right")
        times = part - (ends - counts)[numbers]
        # Clip by clip, as a packed clip has to be read as a whole for any of its frames.
        frames = []
        for number in np.unique(numbers):
            clip = source_lib.select(clips, np.array([number]))
            frames.append(run.source.frames("train", clip, times[None, numbers == number])[0])
        yield np.concatenate(frames)


def find(
    queries: np.ndarray, batches: Iterable[np.ndarray], num: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the closest frames in `batches`, closest first, and their distances.

    Args:
      queries: uint8 `[num_queries, height, width, channels]`.
      batches: each uint8 `[some, height, width, channels]`.
      num: how many frames to find for each query, at most the number of frames in all batches.

    Returns:
      uint8 `[num_queries, num, height, width, channels]`, and the root mean square differences
      `[num_queries, num]` over pixels and channels; black and white are 1 apart.
    """
    # Sums of products of bytes are integers far below 2**53, which float64 does not round.
    flat = queries.reshape(len(queries), -1).astype(np.float64)
    frames = np.empty((len(queries), 0, *queries.shape[1:]), np.uint8)
    squares = np.empty((len(queries), 0))
    for batch in batches:
        others = batch.reshape(len(batch), -1).astype(np.float64)
        new = (flat**2).sum(1)[:, None] + (others**2).sum(1) - 2 * flat @ others.T
        best = np.argsort(new, axis=1, kind="stable")[:, :num]
        squares = np.concatenate([squares, np.take_along_axis(new, best, axis=1)], axis=1)
        frames = np.concatenate([frames, batch[best]], axis=1)
        # Keep the best of the earlier batches and this one.
        best = np.argsort(squares, axis=1, kind="stable")[:, :num]
        squares = np.take_along_axis(squares, best, axis=1)
        frames = np.take_along_axis(frames, best[:, :, None, None, None], axis=1)
    return frames, np.sqrt(squares / flat.shape[1]) / 255
