"""Figure 5 of the paper, right: swap grid of SUNCG chairs that were not trained on.

python -m experiments.fig5_suncg --preset=quick
"""

from etils import epath

from drnet_jax.pictures import grids as viz
from experiments.shared import figure, held_out, runs

NUM_CLIPS = 8


def draw(out: epath.Path, trained: runs.Trained) -> None:
    """Writes the grid, and prints the scores of swaps."""
    contents, poses = held_out.pairs(trained.run, "figure 5", NUM_CLIPS)
    swapped = held_out.swap(trained.model, contents, poses)
    print(held_out.swap_scores(trained.scores))
    figure.write(
        out,
        "fig5_suncg",
        viz.swap_grid(poses, contents, swapped),
        "Chairs of the first column, turned as those of the top row are. All are held out.",
        [trained],
        arrays=dict(contents=contents, poses=poses, swapped=swapped),
        numbers={"swap": trained.scores["swap"]},
    )


if __name__ == "__main__":
    runs.start(draw, "suncg")
