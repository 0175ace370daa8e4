"""Figure 5 of the paper, left: straight lines between two poses, with one content.

python -m experiments.fig5_interpolation --data=suncg --preset=quick
"""

from collections.abc import Iterator

import numpy as np

from drnet_jax.pictures import drawing, grids
from experiments.shared import held_out, runs, script
from experiments.shared.figure import Figure

NUM_ROWS = 7
NUM_STEPS = 9


def interpolate(model, starts: np.ndarray, ends: np.ndarray, num_steps: int) -> np.ndarray:
    """Returns uint8 frames `[batch, num_steps, height, width, channels]`.

    `starts` and `ends` are frames `[batch, height, width, channels]`. The content is that of
    `starts`, and the pose moves from theirs to that of `ends`. The first frame is therefore the
    reconstruction of the start.
    """
    # [batch, 1, pose_dim] and [num_steps, 1], whose products are [batch, num_steps, pose_dim].
    start, end = (np.asarray(model.pose(frames))[:, None] for frames in (starts, ends))
    share = np.linspace(0, 1, num_steps, dtype=np.float32)[:, None]
    return held_out.decode(model, starts, (1 - share) * start + share * end)


def draw(trained: runs.Trained) -> Iterator[Figure]:
    """Yields a row of frames for each pair of held-out clips, with the scores of swaps."""
    starts, ends = held_out.pairs(trained.run, "interpolation", NUM_ROWS)
    between = interpolate(trained.model, starts, ends, NUM_STEPS)
    shares = [f"{share:.3g}" for share in np.linspace(0, 1, NUM_STEPS)]
    picture = grids.labeled_rows(
        [[start, *row, end] for start, row, end in zip(starts, between, ends, strict=True)],
        [f"pair {i + 1}" for i in range(NUM_ROWS)],
        ["content, pose", *shares, "pose"],
        groups=[
            ("real", drawing.OBSERVED, 1),
            ("decoded", drawing.GENERATED, NUM_STEPS),
            ("real", drawing.OBSERVED, 1),
        ],
    )
    yield Figure(
        f"fig5_interpolation_{trained.run.config.data.name}",
        picture,
        "The content is that of the frame on the left. The pose moves in a straight line from that "
        "frame (0) to the frame on the right (1), which is of another clip. All are held out.",
        [held_out.swap_table(trained.scores)],
        arrays=dict(starts=starts, ends=ends, between=between),
        numbers={"swap": trained.scores["swap"]},
    )


if __name__ == "__main__":
    script.start(draw, "suncg", "norb")
