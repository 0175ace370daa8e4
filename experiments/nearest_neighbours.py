"""Closest training frames of generated ones: does the model repeat what it was trained on?

Real held-out frames are the yardstick: a model that repeats training frames lies much closer to
them than those do. Blurred frames lie closer too.

  python -m experiments.nearest_neighbours --data=mnist --preset=quick
"""

from collections.abc import Iterator

import jax
import numpy as np
from etils import epath

from drnet_jax import drawing, prng, viz
from drnet_jax.data.recorded import Recorded, RecordedSource
from drnet_jax.run import Run
from experiments import figure, held_out, runs

NUM_CLIPS = 100
NUM_SHOWN = 6
NUM_STEPS = 10
"""Which generated frame of each clip, where 1 follows the last observed one."""

NUM_NEIGHBOURS = 3
NUM_MADE_CLIPS = 2_000
FRAMES_A_CLIP = 10
"""Training frames to look at where there is no end of them."""


def training_frames(run: Run) -> Iterator[np.ndarray]:
    """Yields uint8 `[some, height, width, channels]`: all of the training split, or many."""
    source = run.source
    if isinstance(source, RecordedSource):
        for number, length in enumerate(source.stores["train"].lengths):
            clip = Recorded(np.array([number]), np.array([0]))
            yield source.frames("train", clip, np.arange(length))[0]
        return
    for i in range(NUM_MADE_CLIPS // NUM_CLIPS):
        clips = source.sample("train", prng.stream(run.key, "neighbours", i), NUM_CLIPS)
        key = prng.stream(run.key, "neighbours' times", i)
        times = source.random_times("train", clips, key, FRAMES_A_CLIP)
        frames = jax.device_get(source.frames("train", clips, times))
        yield frames.reshape(-1, *frames.shape[2:])


def find(
    queries: np.ndarray, batches: Iterator[np.ndarray], num: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the closest frames in `batches`, closest first, and their distances.

    Args:
      queries: uint8 `[num_queries, height, width, channels]`.
      batches: each uint8 `[some, height, width, channels]`.
      num: how many for each query; there must be so many.

    Returns:
      uint8 `[num_queries, num, height, width, channels]`, and the root mean square differences
      `[num_queries, num]` over pixels and channels, 1 being from black to white.
    """
    # Sums of products of bytes are whole numbers far below 2**53: nothing is rounded.
    flat = queries.reshape(len(queries), -1).astype(np.float64)
    frames = np.empty((len(queries), 0, *queries.shape[1:]), np.uint8)
    squares = np.empty((len(queries), 0))
    for batch in batches:
        others = batch.reshape(len(batch), -1).astype(np.float64)
        new = (flat**2).sum(1)[:, None] + (others**2).sum(1) - 2 * flat @ others.T
        best = np.argsort(new, axis=1, kind="stable")[:, :num]
        squares = np.concatenate([squares, np.take_along_axis(new, best, axis=1)], axis=1)
        frames = np.concatenate([frames, batch[best]], axis=1)
        best = np.argsort(squares, axis=1, kind="stable")[:, :num]
        squares = np.take_along_axis(squares, best, axis=1)
        frames = np.take_along_axis(frames, best[:, :, None, None, None], axis=1)
    return frames, np.sqrt(squares / flat.shape[1]) / 255


def draw(out: epath.Path, trained: runs.Trained) -> None:
    """Writes some frames with their neighbours, and prints the distances of all."""
    run = trained.run
    num_frames = run.config.predictor.num_observed + NUM_STEPS
    key = prng.stream(run.key, "neighbours of")
    clips = run.source.sample("test", key, NUM_CLIPS, num_frames=num_frames)
    _, generated, truth = held_out.roll_out(run, trained.model, clips, NUM_STEPS)
    queries = np.concatenate([generated[:, -1], truth[:, -1]])
    frames, distances = find(queries, training_frames(run), NUM_NEIGHBOURS)
    numbers = {
        name: {
            str(percent): float(np.percentile(closest, percent)) for percent in (5, 25, 50, 75, 95)
        }
        for name, closest in zip(("generated", "real"), np.split(distances[:, 0], 2), strict=True)
    }
    rows = [(name, *(f"{v:.4f}" for v in row.values())) for name, row in numbers.items()]
    heads = ("distance to the closest training frame", "5 %", "25 %", "median", "75 %", "95 %")
    print(figure.table(heads, rows))
    medians = [numbers[name]["50"] for name in ("generated", "real")]
    figure.write(
        out,
        f"nearest_neighbours_{run.config.data.name}",
        _picture(queries, frames, distances),
        f"Generated frames ({NUM_STEPS} steps after the last observed one) and the closest of "
        f"{_looked_at(run)}; on the right the real frames of the same held-out clips. Numbers are "
        "root mean square differences, 1 being from black to white; medians of "
        f"{NUM_CLIPS} clips: {medians[0]:.3f} generated, {medians[1]:.3f} real.",
        [trained],
        arrays=dict(queries=queries, neighbours=frames, distances=distances),
        numbers={"distance_percentiles": numbers},
    )


def _looked_at(run: Run) -> str:
    if isinstance(run.source, RecordedSource):
        return f"all {run.source.stores['train'].lengths.sum():,} training frames"
    return f"{NUM_MADE_CLIPS * FRAMES_A_CLIP:,} random training frames"


def _picture(queries: np.ndarray, frames: np.ndarray, distances: np.ndarray) -> np.ndarray:
    half = len(queries) // 2
    nearest = [str(i + 1) for i in range(NUM_NEIGHBOURS)]
    rows = [
        [queries[i], *frames[i], queries[half + i], *frames[half + i]]
        for i in range(min(NUM_SHOWN, half))
    ]
    labels = [
        f"clip {i + 1}\ngenerated {distances[i, 0]:.3f}\nreal {distances[half + i, 0]:.3f}"
        for i in range(len(rows))
    ]
    groups = [
        ("generated", drawing.GENERATED, 1),
        ("closest in training", drawing.MUTED, NUM_NEIGHBOURS),
        ("real", drawing.OBSERVED, 1),
        ("closest in training", drawing.MUTED, NUM_NEIGHBOURS),
    ]
    return viz.labelled_rows(rows, labels, ["", *nearest, "", *nearest], groups=groups)


if __name__ == "__main__":
    runs.start(draw, "mnist", "suncg", "norb", "kth")
