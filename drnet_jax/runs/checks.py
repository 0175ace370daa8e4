"""Checks of settings, made before anything is built or written."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import ml_collections

from drnet_jax.data.source import Source
from drnet_jax.models.registry import create_networks
from drnet_jax.runs import limits

OPEN = {"dtype": "auto", "data.digits": "auto", "data.source": "auto", "data.fingerprint": ""}
"""Settings that may be left open, by the value that does so; a run stores what was decided."""

FREE = (
    *("evaluation.", "rollout.", "data.data_dir", "data.folder"),
    *("data.in_memory_gb", "data.max_skipped"),
    *("log_every_steps", "sample_every_steps", "checkpoint_every_steps", "keep_checkpoints"),
    *("steps_at_once", "on_nan", "max_rollbacks", "rollback_learning_rate"),
)
"""Settings that do not change what is learned, so a run may go on with other values. (On TPUs and
GPUs the intervals decide how many steps make one program, which may change rounding.) What a
rollback did is kept with it, so other settings of rollbacks only change what later ones do."""


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested settings by dotted name, with tuples as lists, as JSON stores them."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


def check(config: Mapping[str, Any]) -> None:
    """Raises ValueError for the first impossible setting, with its value and the allowed ones.

    Every mode checks all settings, also those that it does not use, before it opens or writes
    anything.
    """
    flat = flatten(config)
    for name, rule in limits.rules(flat).items():
        if name not in flat:
            raise ValueError(_missing(name, flat))
        if not rule.holds(flat[name]):
            raise ValueError(f"config.{name}={flat[name]!r}; allowed: {rule.allowed}.")
    for name, value in flat.items():
        # What has no rule of its own is checked by the data set, if that is opened.
        if type(value) in (int, float) and not limits.is_finite(value):
            raise ValueError(f"config.{name}={value!r}; allowed: finite numbers.")
    create_networks(
        **config["model"],
        image_size=flat["data.image_size"],
        channels=3 if flat["data.colored"] else 1,
        dtype=jnp.float32,
    )


def _missing(name: str, flat: Mapping[str, Any]) -> str:
    if not name.startswith("data.") or name in limits.SHARED:
        return f"The settings have no {name}."
    data = flat["data.name"]
    return f"The settings have no {name}, which the data {data!r} need: use their settings file."


def check_trainable(config: Mapping[str, Any]) -> None:
    """Raises ValueError when a network is missing, which is allowed in imported models only."""
    flat = flatten(config)
    for name in limits.MAY_BE_ABSENT:
        if not flat[name]:
            raise ValueError(f"config.{name}=0; allowed in training: above 0.")


def difference(stored: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Returns a line on the first setting in which two runs differ, or None."""
    stored, given = flatten(stored), flatten(given)
    for name in sorted(stored.keys() | given.keys()):
        if name.startswith(FREE):
            continue
        old, new = stored.get(name, "no such setting"), given.get(name, "no such setting")
        if old != new and new != OPEN.get(name, old):
            return f"config.{name} is {old!r} there and {new!r} here"
    return None


def check_lengths(config: ml_collections.ConfigDict, source: Source) -> None:
    """Raises ValueError where more frames of a clip are needed than clips have."""
    observed = config.predictor.num_observed
    names = ["evaluation.horizon"]
    if not source.clips_end:
        # Where clips end, scores and losses leave out the frames that are missing.
        names += ["predictor.num_predicted", "rollout.num_steps", "data.max_frame_gap"]
    flat = flatten(config.to_dict())
    for name in names:
        if observed + flat[name] > source.max_frames:
            raise ValueError(
                f"config.predictor.num_observed={observed} and config.{name}={flat[name]} are "
                f"together longer than a clip; allowed: {source.max_frames:,} frames."
            )
