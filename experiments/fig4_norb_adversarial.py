"""Figure 4 of the paper: swap grids of small NORB with and without the adversarial term.

The second run is the preset's with a weight of 0, in `<workdir>_no_adversary`.

  python -m experiments.fig4_norb_adversarial --preset=quick
"""

import numpy as np
from etils import epath

from drnet_jax.pictures import drawing
from drnet_jax.pictures import grids as viz
from experiments.shared import figure, held_out, runs, variations

NUM_CLIPS = 6


def draw(out: epath.Path, trained: runs.Trained, without: runs.Trained) -> None:
    """Writes both grids, of the same frames, and prints the scores of both runs.

    Raises:
      ValueError: when the second run has an adversarial term.
    """
    weight = without.run.config.drnet.adversarial_weight
    if weight:
        raise ValueError(f"{without.run.workdir} has adversarial_weight={weight}; expected 0.")
    contents, poses = held_out.pairs(trained.run, "figure 4", NUM_CLIPS)
    grids, panels, numbers = {}, [], {}
    for name, each in (("with", trained), ("without", without)):
        grids[name] = held_out.swap(each.model, contents, poses)
        weight, scores = each.run.config.drnet.adversarial_weight, each.scores
        numbers[name] = {"adversarial_weight": weight} | {
            part: scores[part] for part in ("swap", "discriminator", "leakage")
        }
        panels.append(_titled(viz.swap_grid(poses, contents, grids[name]), weight, scores))
        print(f"{name} adversarial term, beta = {weight:g}")
        print(held_out.swap_scores(scores))
        print(leakage(scores))
    figure.write(
        out,
        "fig4_norb_adversarial",
        np.concatenate(panels, axis=1),
        "Objects of the first column, turned as those of the top row are: with the adversarial "
        "term (left) and without (right). All are held out. Scores: mean over held-out clips and "
        "95 % interval.",
        [trained, without],
        arrays=dict(contents=contents, poses=poses) | grids,
        numbers=numbers,
    )


def leakage(scores: dict) -> str:
    """Returns how well a fresh discriminator tells poses of one clip from poses of two."""
    auc = scores["leakage"]["discriminator"]["same_clip"]
    return f"AUC of a fresh discriminator on poses (chance 0.5): {figure.interval(auc, 3)}"


def _titled(picture: np.ndarray, weight: float, scores: dict) -> np.ndarray:
    """Returns `picture` with the weight of the adversarial term and two scores above."""
    lines = [f"beta = {weight:g}", leakage(scores)]
    if scores["swap"] is not None:
        lines[0] += f", swap PSNR {figure.interval(scores['swap']['model']['psnr'], 2)} dB"
    title = drawing.blank(picture.shape[1], len(lines) * drawing.LINE + drawing.MARGIN)
    for i, words in enumerate(lines):
        place = (drawing.MARGIN, drawing.MARGIN + i * drawing.LINE + drawing.LINE // 2)
        color, size = (drawing.MUTED, 13) if i else (drawing.TEXT, 17)
        drawing.text(title, words, place, color, anchor="lm", size=size)
    return np.concatenate([np.asarray(title), picture])


if __name__ == "__main__":
    runs.start(draw, "norb", variations=variations.ADVERSARY)
