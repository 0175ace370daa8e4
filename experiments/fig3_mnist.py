"""Figure 3 of the paper: swap grid and 500-step rollouts on Moving MNIST, with held-out digits.

python -m experiments.fig3_mnist --preset=quick
"""

from etils import epath

from drnet_jax.base import prng
from drnet_jax.pictures import grids as viz
from experiments.shared import figure, held_out, runs

NUM_CLIPS = 8
NUM_ROLLOUTS = 5
NUM_STEPS = 500
SHOWN = (6, 10, 25, 50, 100, 250, 505)
"""Time steps that are drawn, where 1 is the first observed one."""


def draw(out: epath.Path, trained: runs.Trained, num_steps: int = NUM_STEPS) -> None:
    """Writes both halves of the figure, and prints the scores of swaps."""
    run, model = trained.run, trained.model
    contents, poses = held_out.pairs(run, "figure 3", NUM_CLIPS)
    swapped = held_out.swap(model, contents, poses)
    print(held_out.swap_scores(trained.scores))
    figure.write(
        out,
        "fig3_left",
        viz.swap_grid(poses, contents, swapped),
        "Digits of the first column, where those of the top row are. All are held out.",
        [trained],
        arrays=dict(contents=contents, poses=poses, swapped=swapped),
        numbers={"swap": trained.scores["swap"]},
    )
    key = prng.stream(run.key, "figure 3 rollouts")
    num_frames = run.config.predictor.num_observed + num_steps
    clips = run.source.sample("test", key, NUM_ROLLOUTS, num_frames=num_frames)
    observed, generated, truth = held_out.roll_out(run, model, clips, num_steps)
    figure.write(
        out,
        "fig3_right",
        viz.rollout_strip(observed, generated, truth, SHOWN),
        f"{num_steps} steps generated after {observed.shape[1]} observed ones; what really "
        "followed stands below in half the size. All digits are held out.",
        [trained],
        arrays=dict(observed=observed, generated=generated, truth=truth),
        numbers={"rollout": trained.scores["rollout"]},
    )


if __name__ == "__main__":
    runs.start(draw, "mnist")
