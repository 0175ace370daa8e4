"""Closest training frames of generated ones: does the model repeat what it was trained on?

Distances are those of `evaluation.json`; this script shows some of the frames. The real frames of
the same held-out clips are the yardstick (drnet_jax/evaluation/neighbors.py).

  python -m experiments.nearest_neighbors --data=mnist --preset=quick
"""

from collections.abc import Iterator

import numpy as np

from drnet_jax.base.wording import interval
from drnet_jax.evaluation import neighbors
from drnet_jax.pictures import drawing, grids
from experiments.shared import held_out, runs, script
from experiments.shared.figure import Figure, Table

NUM_SHOWN = 6
NUM_NEIGHBORS = 3


def draw(trained: runs.Trained) -> Iterator[Figure]:
    """Yields some frames with their neighbors, and the distances of all clips.

    Raises:
      ValueError: if the run has no scores of this kind.
    """
    run, scores = trained.run, runs.part(trained, "neighbors")
    clips = neighbors.sample(run)
    _, generated, truth = held_out.roll_out(run, trained.model, clips, scores["step"])
    # [2 * NUM_SHOWN, height, width, channels]: the last step generated, then the real one.
    queries = np.concatenate([generated[:NUM_SHOWN, -1], truth[:NUM_SHOWN, -1]])
    frames, distances = neighbors.find(queries, neighbors.training_frames(run), NUM_NEIGHBORS)
    percentiles = {name: scores[name]["percentiles"] for name in ("generated", "real")}
    rows = [(name, *(f"{v:.4f}" for v in row.values())) for name, row in percentiles.items()]
    medians = {name: interval(scores[name]["median"], 3) for name in percentiles}
    searched, total = scores["num_training_frames"], scores["num_known_frames"]
    which = f"all {total:,}" if searched == total else f"{searched:,} random"
    percents = [f"{percent} %" for percent in percentiles["real"]]
    yield Figure(
        f"nearest_neighbors_{run.config.data.name}",
        _picture(queries, frames, distances),
        f"Generated frames ({scores['step']} steps after the last observed one) and the closest of "
        f"{which} training frames; on the right, the real frames of the same held-out clips. "
        "Distances are root mean square differences; black and white differ by 1. Medians over "
        f"{scores['num_clips']} clips: {medians['generated']} generated, {medians['real']} real.",
        [Table(("distance to the closest training frame", *percents), rows)],
        arrays=dict(queries=queries, neighbors=frames, distances=distances),
        numbers={"neighbors": scores},
    )


def _picture(queries: np.ndarray, frames: np.ndarray, distances: np.ndarray) -> np.ndarray:
    half = len(queries) // 2
    nearest = [str(i + 1) for i in range(NUM_NEIGHBORS)]
    rows = [[queries[i], *frames[i], queries[half + i], *frames[half + i]] for i in range(half)]
    labels = [
        f"clip {i + 1}\ngenerated {distances[i, 0]:.3f}\nreal {distances[half + i, 0]:.3f}"
        for i in range(half)
    ]
    groups = [
        ("generated", drawing.GENERATED, 1),
        ("closest in training", drawing.MUTED, NUM_NEIGHBORS),
        ("real", drawing.OBSERVED, 1),
        ("closest in training", drawing.MUTED, NUM_NEIGHBORS),
    ]
    return grids.labeled_rows(rows, labels, ["", *nearest, "", *nearest], groups=groups)


if __name__ == "__main__":
    script.start(draw, "mnist", "suncg", "norb", "kth")
