"""Figure 4 of the paper: swap grids of small NORB with and without the adversarial term.

The second run has beta = 0, the weight of the adversarial term, and is in `<workdir>_no_adversary`.

  python -m experiments.fig4_norb_adversarial --preset=quick
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from drnet_jax.base.wording import interval
from drnet_jax.pictures import drawing, grids
from experiments.shared import held_out, runs, script, variations
from experiments.shared.figure import Figure, Table

NUM_CLIPS = 6


def draw(trained: runs.Trained, without: runs.Trained) -> Iterator[Figure]:
    """Yields the grids of both runs, of the same frames, with their scores.

    Raises:
      ValueError: if the second run has an adversarial term.
    """
    weight = without.run.config.drnet.adversarial_weight
    if weight:
        raise ValueError(f"{without.run.workdir} has adversarial_weight={weight}; expected 0.")
    # Both runs have the same test clips, so that their grids can be compared frame by frame.
    contents, poses = held_out.pairs(trained.run, "figure 4", NUM_CLIPS)
    swapped, panels, numbers, tables, leaks = {}, [], {}, [], []
    for name, each in (("with", trained), ("without", without)):
        swapped[name] = held_out.swap(each.model, contents, poses)
        weight, scores = each.run.config.drnet.adversarial_weight, each.scores
        parts = {part: scores[part] for part in ("swap", "discriminator", "leakage")}
        numbers[name] = {"adversarial_weight": weight} | parts
        panels.append(_titled(grids.swap_grid(poses, contents, swapped[name]), weight, scores))
        title = f"{name} adversarial term, beta = {weight:g}"
        tables.append(held_out.swap_table(scores, title))
        leaks.append((title, _auc(scores)))
    tables.append(Table(("AUC of a fresh discriminator on poses", "chance 0.5"), leaks))
    yield Figure(
        "fig4_norb_adversarial",
        np.concatenate(panels, axis=1),
        "Objects of the first column in the orientations of those in the top row, with the "
        "adversarial term (left) and without it (right). All are held out. Scores are means over "
        "held-out clips with 95 % intervals.",
        tables,
        arrays=dict(contents=contents, poses=poses) | swapped,
        numbers=numbers,
    )


def _auc(scores: dict[str, Any]) -> str:
    return interval(scores["leakage"]["discriminator"]["same_clip"], 3)


def _titled(picture: np.ndarray, weight: float, scores: dict[str, Any]) -> np.ndarray:
    """Returns `picture` below the weight of the adversarial term and two scores."""
    lines = [f"beta = {weight:g}"]
    lines.append(f"AUC of a fresh discriminator on poses (chance 0.5): {_auc(scores)}")
    if scores["swap"] is not None:
        lines[0] += f", swap PSNR {interval(scores['swap']['model']['psnr'], 2)} dB"
    title = drawing.blank(picture.shape[1], len(lines) * drawing.LINE + drawing.MARGIN)
    for i, words in enumerate(lines):
        place = (drawing.MARGIN, drawing.MARGIN + i * drawing.LINE + drawing.LINE // 2)
        color, size = (drawing.MUTED, 13) if i else (drawing.TEXT, 17)  # The first is a heading.
        drawing.text(title, words, place, color, anchor="lm", size=size)
    return np.concatenate([np.asarray(title), picture])


if __name__ == "__main__":
    script.start(draw, "norb", variations=variations.ADVERSARY)
