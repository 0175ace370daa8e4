"""Figure 7 of the paper: 100 generated steps of the people of KTH.

The model is shown beside an autoencoder with an LSTM, whose run is in `<workdir>_one_encoder`.

  python -m experiments.fig7_kth_long --preset=quick
"""

from collections.abc import Iterator

from experiments.shared import generation, runs, script, variations
from experiments.shared.figure import Figure

STEPS = (10, 20, 30, 40, 60, 80, 100)


def draw(trained: runs.Trained, autoencoder: runs.Trained) -> Iterator[Figure]:
    """Yields rollouts of one clip of each action."""
    yield generation.figure("fig7_kth_long", trained, autoencoder, STEPS)


if __name__ == "__main__":
    script.start(draw, "kth", variations=variations.ENCODERS)
