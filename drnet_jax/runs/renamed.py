"""Old names of settings and scores, so that old workdirs and command lines keep working."""

from collections.abc import Mapping
from typing import Any

SETTINGS = {
    "data.coloured": "data.colored",
    "data.max_step": "data.max_frame_gap",
    "data.procedural": "data.stand_in",
    "data.real.coloured": "data.real.colored",
}
"""Dotted names of version 0.1 below `config`, and what they are called now."""

VALUES = {
    "data.source": {"procedural": "stand_in"},
    "data.real.crop": {"centre": "center"},
}
"""Values of settings that version 0.1 spelled differently, by the setting's present name."""

STATE_FIELDS = {"main": "autoencoder"}
"""Fields of the states in checkpoints of version 0.1, and what they are called now."""

SCORES = {
    "held_out_things": "held_out_objects",
    "neighbours": "neighbors",
    "num_held_out_things": "num_held_out_objects",
    "num_labelled": "num_labeled",
    "num_things": "num_objects",
    "same_things": "same_objects",
}
"""Keys of `evaluation.json` in version 0.1, at any depth, and what they are called now."""


def present_name(name: str) -> str:
    """Returns today's dotted name of the setting or section `name`."""
    for old, new in SETTINGS.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return name


def present_value(name: str, value: Any) -> Any:
    """Returns today's spelling of `value` of the setting with the present name `name`."""
    known = VALUES.get(name, {})
    return known.get(value, value) if isinstance(value, str) else value


def present_settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested settings of any version under their present names."""
    renamed = {}
    for key, value in config.items():
        name = present_name(prefix + key)
        if isinstance(value, Mapping):
            value = present_settings(value, f"{prefix}{key}.")
        renamed[name.rpartition(".")[2]] = present_value(name, value)
    return renamed


def present_scores(record: Any) -> Any:
    """Returns the record of an `evaluation.json` of any version under its present keys."""
    if isinstance(record, list):
        return [present_scores(item) for item in record]
    if not isinstance(record, Mapping):
        return record
    return {SCORES.get(key, key): present_scores(value) for key, value in record.items()}
