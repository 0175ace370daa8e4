"""Figure 6 of the paper: what people of KTH do next, 30 steps.

The paper shows MCNet and an autoencoder with an LSTM beside it; these are not here.

  python -m experiments.fig6_kth_generation --preset=quick
"""

from etils import epath

from experiments import generation, runs

STEPS = (1, 5, 10, 15, 20, 25, 30)


def draw(out: epath.Path, trained: runs.Trained) -> None:
    """Writes the figure."""
    generation.draw(out, "fig6_kth_generation", trained, STEPS)


if __name__ == "__main__":
    runs.start(draw, "kth")
