"""Scores of actions, and the autoencoder that their figures show beside the model."""

import functools
import operator
import textwrap
from collections.abc import Sequence
from typing import Any

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
    parts, settings = [], []
    for each in (trained, autoencoder):
        part, config = runs.part(each, name), each.run.config
        # These decide which clips are scored.
        compared = {"seed": config.seed, "data.fingerprint": config.data.fingerprint}
        for key in same:
            compared[f"{name}.{key}"] = functools.reduce(operator.getitem, key.split("."), part)
        parts.append(part)
        settings.append(compared)
    for key, value in settings[0].items():
        if settings[1][key] != value:
            workdirs = f"{autoencoder.run.workdir} and {trained.run.workdir}"
            values = [textwrap.shorten(str(each[key]), 60) for each in reversed(settings)]
            raise ValueError(
                f"{workdirs} differ in {key}: {' and '.join(values)}; expected the same."
            )
    return tuple(parts)
