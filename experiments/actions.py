"""Clips whose motion has a name, and the baseline that figures of them show beside the model."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from drnet_jax.data.recorded import Recorded
from drnet_jax.run import Run
from experiments import figure, runs, variations

VARIATIONS = {"": None, "_one_encoder": variations.one_encoder}
"""Runs that a script needs: the model's, and the autoencoder's with an LSTM."""

MODEL, AUTOENCODER, REAL = "DrNET", "autoencoder + LSTM", "real frames"


def labels(run: Run, split: str, clips: Recorded) -> tuple[np.ndarray, list[str]]:
    """Returns what clips show, int `[clips]`, and the names of all classes.

    Raises:
      ValueError: for data of which it is not known.
    """
    known = run.source.labels(split, clips)
    if known is None:
        raise ValueError(f"{run.config.data.name} has no labels of motion; KTH has.")
    return known


def in_batches(clips: Recorded, size: int) -> Iterator[Recorded]:
    """Yields batches of `size`: all clips, then the first of them again until the last is full.

    Equally large, for one compiled program to do them all.
    """
    for begin in range(0, len(clips.numbers), size):
        rows = np.arange(begin, begin + size) % len(clips.numbers)
        yield Recorded(clips.numbers[rows], clips.starts[rows])


def cell(score: Mapping[str, Sequence[float]], at: int, digits: int) -> str:
    """Returns number `at` of a score that has lists, with its interval."""
    one = {name: score[name][at] for name in ("mean", "low", "high")}
    return figure.interval(one, digits)


def check_baseline(autoencoder: runs.Trained) -> None:
    """Raises ValueError for a run that has a content encoder."""
    encoder = autoencoder.run.config.model.content_encoder
    if encoder != "none":
        raise ValueError(
            f"{autoencoder.run.workdir} has content_encoder={encoder!r}; expected 'none'."
        )
