"""The card of a prepared data set, `card.md`, which tells people what is in it."""

import dataclasses
import importlib.metadata
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax import __version__
from drnet_jax.data.preparation.builder import ClipBuilder

# The libraries that decode, render or write frames.
_LIBRARIES = ("array-record", "av", "jax", "numpy", "pillow", "tensorflow-datasets")
_MOST_NAMES = 24  # A longer list of classes is shortened.

STAND_IN = "STAND-IN: rendered by drnet_jax in place of data that cannot be had"


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a prepared data set holds.

    Attributes:
      splits: the records of each split in order, decoded, without their frames.
      skipped: name and reason of each input that could not be used.
    """

    splits: dict[str, list[dict[str, Any]]]
    skipped: list[tuple[str, str]]


def text(builder: ClipBuilder, contents: Contents) -> str:
    """Returns the card as Markdown; without dates, so that the same clips give the same card."""
    about = builder.CARD
    lines = [f"# {STAND_IN}. {about.title}" if about.stand_in else f"# {about.title}", ""]
    lines += [about.description, ""]
    if about.periodic:
        lines += ["A clip is one full turn: its first frame follows its last.", ""]
    lines += ["## Clips", "", *_split_table(contents), ""]
    size, channels = builder.builder_config.image_size, builder.channels
    lines += [f"Frames are {size} x {size} pixels, {'gray' if channels == 1 else 'in color'}."]
    lines += ["", "## Factors", ""]
    for key in builder.factor_features():
        values = [record[key] for records in contents.splits.values() for record in records]
        lines += [f"- `{key}`: {_factor(builder.info.features[key], values)}"]
    lines += ["", "## Skipped inputs", ""]
    lines += [f"- {name}: {reason}" for name, reason in contents.skipped] or ["None."]
    lines += ["", "## License and source", "", f"- License: {about.license}"]
    source = "rendered by drnet_jax" if about.stand_in else "your own files"
    lines += [f"- Source: {about.homepage or source}"]
    lines += [f"- Citation: {about.citation}"] if about.citation else []
    lines += ["", "## Preparation", "", *_preparation(builder), ""]
    return "\n".join(lines)


def factor_text(feature: tfds.features.FeatureConnector, value: Any) -> str:
    """Returns the value of a factor for people to read."""
    if isinstance(feature, tfds.features.ClassLabel):
        return feature.int2str(value)
    if isinstance(feature, tfds.features.Text):
        return value.decode()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _split_table(contents: Contents) -> list[str]:
    lines = [
        "| split | clips | frames | shortest | median | longest |",
        "|---|---|---|---|---|---|",
    ]
    for split, records in contents.splits.items():
        lengths = [record["length"] for record in records]
        numbers = (len(lengths), sum(lengths), min(lengths), np.median(lengths), max(lengths))
        lines.append("| ".join([f"| {split} ", *(f"{number:,.10g} " for number in numbers)]) + "|")
    return lines


def _factor(feature: tfds.features.FeatureConnector, values: list[Any]) -> str:
    """Returns one line about a factor: its kind and the values that occur."""
    if isinstance(feature, tfds.features.ClassLabel):
        names = [factor_text(feature, value) for value in sorted(set(values))]
        return f"one of {len(names):,}: {_some(names)}"
    if isinstance(feature, tfds.features.Text):
        return f"text, {len(set(values)):,} different"
    if feature.shape:
        kind = "one per frame" if feature.shape[0] is None else f"array of shape {feature.shape}"
    else:
        kind = f"number, {len(set(values)):,} different"
    numbers = np.concatenate([np.ravel(value) for value in values])
    return f"{kind}, {_number(numbers.min())} to {_number(numbers.max())}"


def _some(names: list[str]) -> str:
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[: _MOST_NAMES - 1])}, ..., {names[-1]}"


def _number(value: Any) -> str:
    return f"{float(value):.6g}"


def _preparation(builder: ClipBuilder) -> list[str]:
    not_shown = {field.name for field in dataclasses.fields(tfds.core.BuilderConfig)} | {"folder"}
    settings = {
        field.name: getattr(builder.builder_config, field.name)
        for field in dataclasses.fields(builder.builder_config)
        if field.name not in not_shown
    }
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return [
        f"- Data set: {builder.info.full_name}",
        f"- Settings: {', '.join(f'{key}={value!r}' for key, value in settings.items())}",
        f"- Made by drnet_jax {__version__} with {versions}.",
    ]
