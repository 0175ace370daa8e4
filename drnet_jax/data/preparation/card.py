"""The card of a prepared data set, `card.md`, which tells people what is in it."""

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax import __version__
from drnet_jax.base import templates
from drnet_jax.data.preparation.builder import ClipBuilder

# The libraries that decode, render or write frames.
_LIBRARIES = ("array-record", "av", "jax", "numpy", "pillow", "tensorflow-datasets")
_MOST_NAMES = 24  # A longer list of classes is shortened.

STAND_IN = "STAND-IN: rendered by drnet_jax in place of data that cannot be had"


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a prepared data set holds."""

    splits: dict[str, list[dict[str, Any]]]  # Records in order, decoded, without their frames.
    skipped: list[tuple[str, str]]  # Name and reason of each input that could not be used.
    # The training input with the same frames, by the test input that is left out because of it.
    copies: Mapping[str, str] = dataclasses.field(default_factory=dict)


def text(builder: ClipBuilder, contents: Contents) -> str:
    """Returns the card as Markdown; without dates, so that the same clips give the same card."""
    config = builder.builder_config
    records = [record for split in contents.splits.values() for record in split]
    hidden = {field.name for field in dataclasses.fields(tfds.core.BuilderConfig)} | {"folder"}
    settings = [field.name for field in dataclasses.fields(config) if field.name not in hidden]
    template = templates.load("drnet_jax.data.preparation", "card.md.jinja", {"inert": _inert})
    card = template.render(
        about=builder.CARD,
        stand_in=STAND_IN,
        lengths={split: _lengths(clips) for split, clips in contents.splits.items()},
        config=config,
        channels=builder.channels,
        factors={
            key: _factor(builder.info.features[key], [record[key] for record in records])
            for key in builder.factor_features()
        },
        skipped=contents.skipped,
        ignored=builder.ignored(),
        copies=contents.copies,
        name=builder.info.full_name,
        settings=", ".join(f"{key}={getattr(config, key)!r}" for key in settings),
        version=__version__,
        libraries=", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES),
    )
    return card + "\n"  # A template loses the newline at its end.


def factor_text(feature: tfds.features.FeatureConnector, value: Any) -> str:
    """Returns the value of a factor for people to read."""
    if isinstance(feature, tfds.features.ClassLabel):
        return feature.int2str(value)
    if isinstance(feature, tfds.features.Text):
        return value.decode()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _inert(text: str) -> str:
    """Returns words of a user's files so that a viewer of Markdown takes none for a tag."""
    return " ".join(text.replace("<", "&lt;").splitlines())


def _lengths(clips: list[dict[str, Any]]) -> tuple[float, ...]:
    """Returns the number of clips and of frames, and the shortest, median and longest length."""
    lengths = [clip["length"] for clip in clips]
    return len(lengths), sum(lengths), min(lengths), np.median(lengths), max(lengths)


def _factor(feature: tfds.features.FeatureConnector, values: list[Any]) -> str:
    """Returns one line about a factor: its kind and the values that occur."""
    if isinstance(feature, tfds.features.ClassLabel):
        names = [factor_text(feature, value) for value in sorted(set(values))]
        number = len(names)
        if len(names) > _MOST_NAMES:
            names[_MOST_NAMES - 1 : -1] = ["..."]
        return f"one of {number:,}: {', '.join(names)}"
    if isinstance(feature, tfds.features.Text):
        return f"text, {len(set(values)):,} different"
    if feature.shape:
        kind = "one per frame" if feature.shape[0] is None else f"array of shape {feature.shape}"
    else:
        kind = f"number, {len(set(values)):,} different"
    numbers = np.concatenate([np.ravel(value) for value in values])
    return f"{kind}, {numbers.min():.6g} to {numbers.max():.6g}"
