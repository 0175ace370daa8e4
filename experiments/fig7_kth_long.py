"""Figure 7 of the paper: what people of KTH do next, 100 steps.

Beside the model an autoencoder with an LSTM, whose run is in `<workdir>_one_encoder`.

  python -m experiments.fig7_kth_long --preset=quick
"""

from etils import epath

from experiments.shared import generation, runs, variations

STEPS = (10, 20, 30, 40, 60, 80, 100)


def draw(out: epath.Path, trained: runs.Trained, autoencoder: runs.Trained) -> None:
    """Writes the figure."""
    generation.draw(out, "fig7_kth_long", trained, autoencoder, STEPS)


if __name__ == "__main__":
    runs.start(draw, "kth", variations=variations.ENCODERS)
