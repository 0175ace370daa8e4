"""Figure 9 of the paper: Inception score of generated people, step by step.

Read from `evaluation.json` of the run, and of the autoencoder with an LSTM, whose run is in
`<workdir>_one_encoder`. The judge sees every other of five frames, so the score begins where all of
them are generated.

  python -m experiments.fig9_inception --preset=quick
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from experiments.shared import actions, figure, plot, runs, variations

SHOWN = (5, 10, 20, 30, 40, 60, 80, 100)
"""Steps in the table."""

POOR = 0.75
"""Accuracy of a judge below which its verdicts say little."""


def draw(out: epath.Path, trained: runs.Trained, autoencoder: runs.Trained) -> None:
    """Writes the scores over steps, and prints some of them.

    Raises:
      ValueError: when the second run has a content encoder, or a run has no such scores, or they
        are not of the same clips.
    """
    same = ("steps", "num_clips", "judge.names", "judge.num_steps")
    own, baseline = actions.read_both("actions", same, trained, autoencoder)
    scores = {
        actions.REAL: own["truth"],
        actions.MODEL: own["model"],
        actions.AUTOENCODER: baseline["model"],
    }
    steps = own["steps"]
    print(_table(scores, steps))
    figure.write(
        out,
        "fig9_inception",
        plot.curves(
            {name: {"x": steps} | score["inception_score"] for name, score in scores.items()},
            x_label="steps after the last observed frame",
            y_label="Inception score",
            references={"no action recognized": 1.0},
        ),
        _caption(own["judge"], own["num_clips"]),
        [trained, autoencoder],
        arrays={"steps": np.array(steps)}
        | {name: np.array(score["inception_score"]["mean"]) for name, score in scores.items()},
        numbers={
            "judge": own["judge"],
            "steps": steps,
            "num_clips": own["num_clips"],
            "scores": scores,
        },
    )


def _table(scores: Mapping[str, Mapping[str, Any]], steps: Sequence[int]) -> str:
    rows = []
    for step in sorted({*SHOWN, steps[-1]} & set(steps)):
        at = steps.index(step)
        cells = [
            actions.cell(score[name], at, 2)
            for name in ("inception_score", "accuracy")
            for score in scores.values()
        ]
        rows.append((str(step), *cells))
    heads = [f"{what}: {name}" for what in ("score", "recognized") for name in scores]
    return figure.table(("step", *heads), rows)


def _caption(judge: Mapping[str, Any], num_clips: Sequence[int]) -> str:
    own, chance = judge["accuracy"], judge["chance"]
    words = (
        f"exp(E KL(p(y|x) || p(y))) of a judge of {len(judge['names'])} actions that sees every "
        "other of five frames, all of them generated; bands are 95 % intervals over clips. On real "
        f"clips of held-out people it is right in {figure.interval(own, 2)} (chance {chance:.2f})"
    )
    words += ". " if own["mean"] >= POOR else ", too seldom to rely on. "
    return words + (
        f"The score depends on the number of clips: {num_clips[0]} at the first step and "
        f"{num_clips[-1]} at the last, those whose real frames go on so long, the same for all."
    )


if __name__ == "__main__":
    runs.start(draw, "kth", variations=variations.ENCODERS)
