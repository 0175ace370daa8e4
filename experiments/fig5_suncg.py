"""Figure 5 of the paper, right: swap grid of SUNCG chairs that were not trained on.

python -m experiments.fig5_suncg --preset=quick
"""

from collections.abc import Iterator

from experiments.shared import held_out, runs, script
from experiments.shared.figure import Figure


def draw(trained: runs.Trained) -> Iterator[Figure]:
    """Yields the grid, with the scores of swaps."""
    caption = (
        "Chairs of the first column in the orientations of those in the top row. All are held out."
    )
    yield held_out.swap_figure("fig5_suncg", trained, "figure 5", caption)


if __name__ == "__main__":
    script.start(draw, "suncg")
