"""Clips whose motion has a name, and the baseline that figures of them show beside the model."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drnet_jax.data.source import Clips
from drnet_jax.runs.run import Run
from experiments.shared import figure, runs

MODEL, AUTOENCODER, REAL = "DrNET", "autoencoder + LSTM", "real frames"


def labels(run: Run, split: str, clips: Clips) -> tuple[np.ndarray, list[str]]:
    """Returns what clips show, int `[clips]`, and the names of all classes.

    Raises:
      ValueError: for data of which it is not known.
    """
    known = run.source.truth.labels(split, clips)
    if known is None:
        raise ValueError(f"{run.config.data.name} has no labels of motion; KTH has.")
    return known


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


def read_both(
    name: str, same: Sequence[str], trained: runs.Trained, autoencoder: runs.Trained
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns part `name` of both runs' `evaluation.json`.

    Args:
      name: of the part.
      same: what must be equal in both, dotted names inside the part.
      trained: the model's run.
      autoencoder: the baseline's.

    Raises:
      ValueError: when the second run has a content encoder, or a run has no such part, or the two
        are not of the same clips.
    """
    check_baseline(autoencoder)
    found = []
    for each in (trained, autoencoder):
        part, config = runs.part(each, name), each.run.config
        settings = {"seed": config.seed, "data.fingerprint": config.data.fingerprint}
        found.append((part, settings | {f"{name}.{key}": _at(part, key) for key in same}))
    (own, first), (baseline, second) = found
    for key, value in first.items():
        if second[key] != value:
            workdirs = f"{autoencoder.run.workdir} and {trained.run.workdir}"
            values = " and ".join(textwrap.shorten(str(v), 60) for v in (second[key], value))
            raise ValueError(f"{workdirs} differ in {key}: {values}; expected the same.")
    return own, baseline


def _at(part: Mapping[str, Any], key: str) -> Any:
    for name in key.split("."):
        part = part[name]
    return part
