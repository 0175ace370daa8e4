"""A figure's files: the picture with what it shows written below, the arrays, and the numbers."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from PIL import Image

from drnet_jax.base import files
from drnet_jax.pictures import drawing
from drnet_jax.pictures import grids as viz
from drnet_jax.runs import metrics_writer as writer
from experiments.shared.runs import Trained

_LINE = 18
_LETTER = 6.6  # Mean width in pixels.


def write(
    out: epath.Path,
    name: str,
    picture: np.ndarray,
    caption: str,
    runs: Sequence[Trained],
    *,
    arrays: Mapping[str, np.ndarray],
    numbers: Mapping[str, Any],
) -> None:
    """Writes `<name>.png`, `<name>.npz` and `<name>.json` to `out`, and prints which.

    Args:
      out: the folder.
      name: of the figure.
      picture: uint8 `[height, width, 3]`.
      caption: what there is to be seen.
      runs: whose results they are; on which data stands below the picture and in the JSON.
      arrays: the frames that were drawn, and others behind them.
      numbers: what else the JSON says.
    """
    notes = list(dict.fromkeys(run.note for run in runs))
    record = {"figure": name, "caption": caption, "runs": [run.record for run in runs]}
    stand_in = any(run.run.source.stand_in for run in runs)
    picture = with_caption(picture, caption, " ".join(notes), stand_in=stand_in)
    viz.write_png(out / f"{name}.png", picture)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files.write_atomically(out / f"{name}.npz", buffer.getvalue())
    writer.write_json(out / f"{name}.json", record | dict(numbers))
    for note in notes:
        print(f"Data: {note}")
    print(*(str(out / f"{name}.{kind}") for kind in ("png", "npz", "json")), sep="\n")


def with_caption(picture: np.ndarray, caption: str, note: str, *, stand_in: bool) -> np.ndarray:
    """Returns `picture`, uint8 `[height, width, 3]`, with the caption and the note below.

    The note on the data stands out when they are a stand-in.
    """
    color = drawing.GENERATED if stand_in else drawing.MUTED
    height, width = picture.shape[:2]
    letters = max(20, int((width - 2 * drawing.MARGIN) / _LETTER))
    lines = [(line, drawing.TEXT) for line in textwrap.wrap(caption, letters)]
    lines += [(line, color) for line in textwrap.wrap(note, letters)]
    whole = drawing.blank(width, height + len(lines) * _LINE + 2 * drawing.MARGIN)
    whole.paste(Image.fromarray(picture), (0, 0))
    for i, (line, color) in enumerate(lines):
        place = (drawing.MARGIN, height + drawing.MARGIN + i * _LINE + _LINE // 2)
        drawing.text(whole, line, place, color, anchor="lm", size=14)
    return np.asarray(whole)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns lines with the first column to the left and all others to the right."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    )


def interval(score: Mapping[str, float], digits: int) -> str:
    """Returns a mean of `evaluation.json` with the ends of its 95 % interval."""
    mean, low, high = (f"{score[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"
