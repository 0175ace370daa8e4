"""Figure 3 of the paper: swap grid and 500-step rollouts on Moving MNIST, with held-out digits.

python -m experiments.fig3_mnist --preset=quick
"""

from collections.abc import Iterator

from drnet_jax.base import prng
from drnet_jax.pictures import grids
from experiments.shared import held_out, runs, script
from experiments.shared.figure import Figure

NUM_ROLLOUTS = 5
NUM_STEPS = 500
SHOWN = (6, 10, 25, 50, 100, 250, 505)
"""Time steps to draw; step 1 is the first observed one."""


def draw(trained: runs.Trained, num_steps: int = NUM_STEPS) -> Iterator[Figure]:
    """Yields both halves of the figure, with the scores of swaps and of rollouts."""
    caption = "Digits of the first column at the places of those in the top row. All are held out."
    yield held_out.swap_figure("fig3_left", trained, "figure 3", caption)
    run = trained.run
    # The name of a stream decides which clips are shown: renamed, it would show others.
    key = prng.stream(run.key, "figure 3 rollouts")
    num_frames = run.config.predictor.num_observed + num_steps
    clips = run.source.sample("test", key, NUM_ROLLOUTS, num_frames=num_frames)
    observed, generated, truth = held_out.roll_out(run, trained.model, clips, num_steps)
    yield Figure(
        "fig3_right",
        grids.rollout_strip(observed, generated, truth, SHOWN),
        f"{observed.shape[1]} observed frames and {num_steps} generated steps; the frames that "
        "really followed are below at half the size. All digits are held out.",
        [],
        arrays=dict(observed=observed, generated=generated, truth=truth),
        numbers={"rollout": trained.scores["rollout"]},
    )


if __name__ == "__main__":
    script.start(draw, "mnist")
