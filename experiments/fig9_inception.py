"""Figure 9 of the paper: Inception score of generated people, step by step.

The scores come from `evaluation.json` of the run and of the autoencoder with an LSTM, whose run is
in `<workdir>_one_encoder`. The judge sees every other of five frames, so the scores start at the
first step at which all of them are generated.

  python -m experiments.fig9_inception --preset=quick
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from drnet_jax.base.wording import interval
from experiments.shared import actions, plot, runs, script, variations
from experiments.shared.figure import Figure, Table, at_step

SHOWN = (5, 10, 20, 30, 40, 60, 80, 100)
"""Steps in the table."""

POOR = 0.75
"""A judge of lower accuracy is not reliable."""


def draw(trained: runs.Trained, autoencoder: runs.Trained) -> Iterator[Figure]:
    """Yields the Inception score over steps.

    Raises:
      ValueError: if the second run has a content encoder, a run has no scores of this kind, or the
        two were not scored on the same clips.
    """
    # The score depends on the number of clips and on the judge.
    same = ("steps", "num_clips", "judge.names", "judge.num_steps")
    own, baseline = actions.read_both("actions", same, trained, autoencoder)
    scores = {
        actions.REAL: own["truth"],
        actions.MODEL: own["model"],
        actions.AUTOENCODER: baseline["model"],
    }
    steps, judge, num_clips = own["steps"], own["judge"], own["num_clips"]
    doubt = "" if judge["accuracy"]["mean"] >= POOR else ", too low to rely on"
    yield Figure(
        "fig9_inception",
        plot.curves(
            {name: {"x": steps} | score["inception_score"] for name, score in scores.items()},
            x_label="steps after the last observed frame",
            y_label="Inception score",
            references={"no action recognized": 1.0},  # All verdicts are the same: exp(0).
        ),
        f"exp(E KL(p(y|x) || p(y))) of a judge of {len(judge['names'])} actions that sees every "
        "other of five generated frames; bands are 95 % intervals over clips. Its accuracy on real "
        f"clips of held-out people is {interval(judge['accuracy'], 2)} (chance "
        f"{judge['chance']:.2f}){doubt}. The score depends on the number of clips: {num_clips[0]} "
        f"at the first step and {num_clips[-1]} at the last, those whose real frames last that "
        "long, the same for all.",
        [_table(scores, steps)],
        arrays={"steps": np.array(steps)}
        | {name: np.array(score["inception_score"]["mean"]) for name, score in scores.items()},
        numbers={name: own[name] for name in ("judge", "steps", "num_clips")} | {"scores": scores},
    )


def _table(scores: Mapping[str, Mapping[str, Any]], steps: Sequence[int]) -> Table:
    kinds = {"score": "inception_score", "recognized": "accuracy"}
    rows = []
    for step in sorted({*SHOWN, steps[-1]} & set(steps)):  # Short runs do not reach all of SHOWN.
        at = steps.index(step)
        cells = [
            interval(at_step(score[key], at), 2)
            for key in kinds.values()
            for score in scores.values()
        ]
        rows.append((str(step), *cells))
    return Table(("step", *(f"{kind}: {name}" for kind in kinds for name in scores)), rows)


if __name__ == "__main__":
    script.start(draw, "kth", variations=variations.ENCODERS)
