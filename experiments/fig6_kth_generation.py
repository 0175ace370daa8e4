"""Figure 6 of the paper: 30 generated steps of the people of KTH.

The model is shown beside an autoencoder with an LSTM, whose run is in `<workdir>_one_encoder`. The
paper also shows MCNet, which is not implemented here.

  python -m experiments.fig6_kth_generation --preset=quick
"""

from collections.abc import Iterator

from experiments.shared import generation, runs, script, variations
from experiments.shared.figure import Figure

STEPS = (1, 5, 10, 15, 20, 25, 30)


def draw(trained: runs.Trained, autoencoder: runs.Trained) -> Iterator[Figure]:
    """Yields rollouts of one clip of each action."""
    yield generation.figure("fig6_kth_generation", trained, autoencoder, STEPS)


if __name__ == "__main__":
    script.start(draw, "kth", variations=variations.ENCODERS)
