"""Figure 5 of the paper, left: straight lines between two poses, with one content.

python -m experiments.fig5_interpolation --data=suncg --preset=quick
"""

import numpy as np
from etils import epath

from drnet_jax.pictures import drawing
from drnet_jax.pictures import grids as viz
from experiments.shared import figure, held_out, runs

NUM_ROWS = 7
NUM_STEPS = 9


def interpolate(model, starts: np.ndarray, ends: np.ndarray, num_steps: int) -> np.ndarray:
    """Returns uint8 `[batch, num_steps, height, width, channels]`.

    Content is that of `starts`, the pose goes from theirs to that of `ends`; both are frames
    `[batch, height, width, channels]`. So the first frame is the reconstruction of the start.
    """
    start, end = (np.asarray(model.pose(frames))[:, None] for frames in (starts, ends))
    share = np.linspace(0, 1, num_steps, dtype=np.float32)[:, None]
    return held_out.decode(model, starts, (1 - share) * start + share * end)


def draw(out: epath.Path, trained: runs.Trained) -> None:
    """Writes a row for every pair of held-out clips."""
    starts, ends = held_out.pairs(trained.run, "interpolation", NUM_ROWS)
    print(held_out.swap_scores(trained.scores))
    between = interpolate(trained.model, starts, ends, NUM_STEPS)
    shares = [f"{share:.3g}" for share in np.linspace(0, 1, NUM_STEPS)]
    picture = viz.labeled_rows(
        [[start, *row, end] for start, row, end in zip(starts, between, ends, strict=True)],
        [f"pair {i + 1}" for i in range(NUM_ROWS)],
        ["content, pose", *shares, "pose"],
        groups=[
            ("real", drawing.OBSERVED, 1),
            ("decoded", drawing.GENERATED, NUM_STEPS),
            ("real", drawing.OBSERVED, 1),
        ],
    )
    name = trained.run.config.data.name
    figure.write(
        out,
        f"fig5_interpolation_{name}",
        picture,
        "Content of the left frame; the pose goes in a straight line from that of the left frame "
        "(0) to that of the right one (1), which is of another clip. All are held out.",
        [trained],
        arrays=dict(starts=starts, ends=ends, between=between),
        numbers={"swap": trained.scores["swap"]},
    )


if __name__ == "__main__":
    runs.start(draw, "suncg", "norb")
