"""Figure 4 of the paper: swap grids of small NORB with and without the adversarial term.

The second run is the preset's with a weight of 0, in `<workdir>_no_adversary`.

  python -m experiments.fig4_norb_adversarial --preset=quick
"""

import numpy as np
from etils import epath

from drnet_jax import drawing, viz
from experiments import figure, held_out, runs

NUM_CLIPS = 6

WITHOUT = {"drnet.adversarial_weight": 0.0}


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
        words = f"beta = {weight:g}: {_swap_psnr(scores)}"
        panels.append(_titled(viz.swap_grid(poses, contents, grids[name]), words))
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
    """Returns a line on how well a fresh discriminator tells pose pairs of one clip from others."""
    auc = scores["leakage"]["discriminator"]["same_clip"]
    return f"fresh discriminator on poses, AUC (chance 0.5): {figure.interval(auc, 3)}"


def _swap_psnr(scores: dict) -> str:
    if scores["swap"] is None:
        return "no truth of swaps"
    return f"swap PSNR {figure.interval(scores['swap']['model']['psnr'], 2)} dB"


def _titled(picture: np.ndarray, words: str) -> np.ndarray:
    title = drawing.blank(picture.shape[1], drawing.LINE + drawing.MARGIN)
    middle = (drawing.MARGIN, drawing.LINE // 2 + drawing.MARGIN)
    drawing.text(title, words, middle, drawing.TEXT, anchor="lm", size=17)
    return np.concatenate([np.asarray(title), picture])


if __name__ == "__main__":
    runs.start(draw, "norb", variations={"": {}, "_no_adversary": WITHOUT})
