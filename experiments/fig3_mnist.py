"""Figure 3 of the paper: swap grid and 500-step rollouts on Moving MNIST, with held-out digits.

  python -m experiments.fig3_mnist --preset=quick

A run that exists in --workdir is used as it is; else it is trained first. Both halves of the
figure, its arrays and the scores are copied to --out.
"""

from absl import app, flags
from etils import epath

from configs import mnist
from drnet_jax import train

FIGURES = {
    "samples/swap_grid.png": "fig3_left.png",
    "samples/rollout_strip.png": "fig3_right.png",
    "samples/rollout.npz": "fig3_right.npz",
    "evaluation.json": "fig3_scores.json",
}

_PRESET = flags.DEFINE_enum("preset", "quick", ["full", "quick"], "Settings of configs/mnist.py.")
_WORKDIR = flags.DEFINE_string("workdir", None, "The run; by default runs/mnist_<preset>.")
_OUT = flags.DEFINE_string("out", "runs/figures", "Where the figure goes.")


def main(argv: list[str]) -> None:
    """Trains where needed, then copies the figure."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    config = mnist.get_config(_PRESET.value)
    workdir = epath.Path(_WORKDIR.value or f"runs/mnist_{_PRESET.value}")
    train.prepare(config, workdir)()
    out = epath.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    for source, target in FIGURES.items():
        (workdir / source).copy(out / target, overwrite=True)
        print(out / target)


if __name__ == "__main__":
    app.run(main)
