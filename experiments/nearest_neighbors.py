"""Closest training frames of generated ones: does the model repeat what it was trained on?

Distances are those of `evaluation.json`; this shows some of the frames. The real frames of the same
held-out clips are the yardstick (drnet_jax/evaluation/neighbors.py).

  python -m experiments.nearest_neighbors --data=mnist --preset=quick
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from drnet_jax.evaluation import neighbors
from drnet_jax.pictures import drawing
from drnet_jax.pictures import grids as viz
from experiments.shared import figure, held_out, runs

NUM_SHOWN = 6
NUM_NEIGHBORS = 3


def draw(out: epath.Path, trained: runs.Trained) -> None:
    """Writes some frames with their neighbors, and prints the distances of all clips.

    Raises:
      ValueError: when the run has no such scores.
    """
    run, scores = trained.run, runs.part(trained, "neighbors")
    clips = neighbors.sample(run)
    _, generated, truth = held_out.roll_out(run, trained.model, clips, scores["step"])
    queries = np.concatenate([generated[:NUM_SHOWN, -1], truth[:NUM_SHOWN, -1]])
    frames, distances = neighbors.find(queries, neighbors.training_frames(run), NUM_NEIGHBORS)
    print(_table(scores))
    figure.write(
        out,
        f"nearest_neighbors_{run.config.data.name}",
        _picture(queries, frames, distances),
        _caption(scores),
        [trained],
        arrays=dict(queries=queries, neighbors=frames, distances=distances),
        numbers={"neighbors": scores},
    )


def _table(scores: Mapping[str, Any]) -> str:
    percentiles = {name: scores[name]["percentiles"] for name in ("generated", "real")}
    rows = [(name, *(f"{v:.4f}" for v in row.values())) for name, row in percentiles.items()]
    percents = [f"{percent} %" for percent in percentiles["real"]]
    return figure.table(("distance to the closest training frame", *percents), rows)


def _caption(scores: Mapping[str, Any]) -> str:
    looked_at, known = scores["num_training_frames"], scores["num_known_frames"]
    which = f"all {known:,}" if looked_at == known else f"{looked_at:,} random"
    medians = (figure.interval(scores[name]["median"], 3) for name in ("generated", "real"))
    return (
        f"Generated frames ({scores['step']} steps after the last observed one) and the closest of "
        f"{which} training frames; on the right the real frames of the same held-out clips. "
        "Numbers are root mean square differences, 1 being from black to white; medians of "
        f"{scores['num_clips']} clips: {next(medians)} generated, {next(medians)} real."
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
    return viz.labeled_rows(rows, labels, ["", *nearest, "", *nearest], groups=groups)


if __name__ == "__main__":
    runs.start(draw, "mnist", "suncg", "norb", "kth")
