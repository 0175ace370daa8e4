"""Scores of actions, and the autoencoder that their figures show beside the model."""

import functools
import operator
import textwrap
from collections.abc import Sequence
from typing import Any

from drnet_jax.runs import checks as settings
from experiments.shared import runs

MODEL, AUTOENCODER, REAL = "DrNET", "autoencoder + LSTM", "real frames"


def check_baseline(autoencoder: runs.Trained) -> None:
    """Raises ValueError for a run that has a content encoder."""
    encoder = autoencoder.run.config.model.content_encoder
    if encoder != "none":
        raise ValueError(
            f"{autoencoder.run.workdir} has content_encoder={encoder!r}; expected 'none'."
        )


def read_both(
    name: str, same: Sequence[str], trained: runs.Trained, autoencoder: runs.Trained
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns part `name` of the scores of both runs.

    Args:
      name: name of the part.
      same: dotted names of entries of the part that must be equal in both.
      trained: the run of the model.
      autoencoder: the run of the baseline.

    Raises:
      ValueError: if the second run has a content encoder, a run has no part of this name, or the
        two were not scored on the same clips.
    """
    check_baseline(autoencoder)
    both = (trained, autoencoder)
    parts = [runs.part(each, name) for each in both]
    own, baseline = (
        # The seed and the data decide which clips are scored.
        {"seed": each.run.config.seed, "fingerprint": each.run.config.data.fingerprint}
        | {f"{name}.{k}": functools.reduce(operator.getitem, k.split("."), part) for k in same}
        for each, part in zip(both, parts, strict=True)
    )
    if difference := settings.difference(baseline, own):
        raise ValueError(
            f"{autoencoder.run.workdir} was not scored like {trained.run.workdir}: "
            f"{textwrap.shorten(difference.removeprefix('config.'), 120)}."
        )
    return tuple(parts)
