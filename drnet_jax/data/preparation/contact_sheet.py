"""A picture of a prepared data set: some clips of each split, one per row."""

import io
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw, ImageFont

from drnet_jax.base import wording
from drnet_jax.data.preparation import card
from drnet_jax.data.preparation.builder import ClipBuilder
from drnet_jax.pictures import drawing

NUM_CLIPS = 8
_NUM_FRAMES = 10
_LABEL = 230  # Width of the text beside a row, in pixels.
_SMALL = 15  # Height of a line of small text.
_LARGEST = 160  # Larger frames are shrunk.

Record = dict[str, Any]


def png(builder: ClipBuilder, contents: card.Contents, shown: dict[str, list[Record]]) -> bytes:
    """Returns the contact sheet as a PNG; it shows the decoded records in `shown`, by split."""
    side = _shown(np.zeros((1, *builder.info.features["frames"].shape[1:]), np.uint8)).shape[1]
    width = 2 * drawing.MARGIN + _LABEL + _NUM_FRAMES * (side + drawing.GUTTER) - drawing.GUTTER
    blocks = [_heading(builder, contents, width)]
    for split, records in contents.splits.items():
        blocks.append(_split_heading(split, records, width))
        blocks += [_row(builder, record, width) for record in shown[split]]
    picture = drawing.blank(width, sum(block.height for block in blocks) + drawing.MARGIN)
    top = 0
    for block in blocks:
        picture.paste(block, (0, top))
        top += block.height
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return buffer.getvalue()


def spread(total: int, most: int, *, periodic: bool = False) -> list[int]:
    """Returns at most `most` different indices below `total`, evenly spaced.

    If `periodic`, the gap from the last one around to the first is like all other gaps.
    """
    count = min(total, most)
    length, gaps = (total, count) if periodic else (total - 1, max(count - 1, 1))
    return [i * length // gaps for i in range(count)]


def _shown(frames: np.ndarray) -> np.ndarray:
    """Returns `frames` `[time, size, size, channels]` as RGB, scaled to a viewable size."""
    frames = drawing.to_rgb(frames)
    if (factor := -(-frames.shape[1] // _LARGEST)) > 1:
        return np.stack([np.asarray(Image.fromarray(frame).reduce(factor)) for frame in frames])
    return drawing.enlarge(frames, drawing.enlargement(frames, at_least=80))


def _heading(builder: ClipBuilder, contents: card.Contents, width: int) -> Image.Image:
    lines = [(builder.CARD.title, drawing.TEXT, 22)]
    if builder.CARD.stand_in:
        lines.append((card.STAND_IN, drawing.GENERATED, 16))
    size = builder.builder_config.image_size
    note = f"{size} x {size} pixels"
    if contents.skipped:
        note += f", {wording.count(len(contents.skipped), 'input')} skipped"
    lines.append((note, drawing.MUTED, 14))
    block = drawing.blank(width, 10 + 28 * len(lines))
    _write_lines(block, lines, top=24, step=28, width=width - 2 * drawing.MARGIN)
    return block


def _split_heading(split: str, records: list[Record], width: int) -> Image.Image:
    frames = sum(record["length"] for record in records)
    block = drawing.blank(width, 2 * drawing.LINE)
    y, x = drawing.LINE, drawing.MARGIN
    words = f"{split}: {wording.count(len(records), 'clip')}, {wording.count(frames, 'frame')}"
    drawing.text(block, words, (x, y), drawing.OBSERVED, anchor="lm", size=16)
    block.paste(drawing.arrow_label("time"), (x + _LABEL, y - drawing.LINE // 2))
    line = (x, y + 14, width - drawing.MARGIN - 1, y + 15)
    ImageDraw.Draw(block).rectangle(line, fill=drawing.OBSERVED)
    return block


def _row(builder: ClipBuilder, record: Record, width: int) -> Image.Image:
    times = spread(record["length"], _NUM_FRAMES, periodic=builder.CARD.periodic)
    frames = _shown(record["frames"][times])
    side = frames.shape[1]
    block = drawing.blank(width, side + 2 * drawing.GUTTER)
    words = _factor_lines(builder, record)[: (side - 4) // _SMALL - 2]
    words.append(wording.count(record["length"], "frame"))
    lines = [(record["name"].decode(), drawing.TEXT, 14)]
    lines += [(line, drawing.MUTED, 13) for line in words]
    _write_lines(block, lines, top=drawing.GUTTER + 8, step=_SMALL, width=_LABEL - 10)
    for i, frame in enumerate(frames):
        x = drawing.MARGIN + _LABEL + i * (side + drawing.GUTTER)
        drawing.paste(block, frame, x, drawing.GUTTER)
    return block


def _factor_lines(builder: ClipBuilder, record: Record) -> list[str]:
    """Returns one line for each factor that has one value per clip, classes first."""
    features = {key: builder.info.features[key] for key in builder.factor_features()}
    keys = [key for key in features if not np.ndim(record[key])]
    keys.sort(key=lambda key: not isinstance(features[key], tfds.features.ClassLabel))
    return [
        f"{key.replace('_', ' ')}: {card.factor_text(features[key], record[key])}" for key in keys
    ]


def _write_lines(block: Image.Image, lines: list, *, top: int, step: int, width: int) -> None:
    """Writes (text, color, size) of each line, `step` pixels apart, cut to `width` pixels."""
    for i, (words, color, points) in enumerate(lines):
        xy = (drawing.MARGIN, top + i * step)
        drawing.text(block, _cut(words, width, points), xy, color, anchor="lm", size=points)


def _cut(words: str, width: int, size: int) -> str:
    """Returns `words`, without their middle if they are wider than `width` pixels."""
    font = ImageFont.load_default(size=size)
    keep = len(words)
    shown = words
    while font.getlength(shown) > width and keep > 2:
        keep -= 1
        shown = f"{words[: keep - keep // 2]}...{words[len(words) - keep // 2 :]}"
    return shown
