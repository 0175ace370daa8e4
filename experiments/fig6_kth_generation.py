"""Figure 6 of the paper: what people of KTH do next, 30 steps.

Beside the model an autoencoder with an LSTM, whose run is in `<workdir>_one_encoder`. The paper
shows MCNet too, which is not here.

  python -m experiments.fig6_kth_generation --preset=quick
"""

from etils import epath

from experiments.shared import generation, runs, variations

STEPS = (1, 5, 10, 15, 20, 25, 30)


def draw(out: epath.Path, trained: runs.Trained, autoencoder: runs.Trained) -> None:
    """Writes the figure."""
    generation.draw(out, "fig6_kth_generation", trained, autoencoder, STEPS)


if __name__ == "__main__":
    runs.start(draw, "kth", variations=variations.ENCODERS)
