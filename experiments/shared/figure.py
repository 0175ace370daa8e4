"""What a script makes of finished runs: a picture with its caption, tables, arrays and scores."""

import dataclasses
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from drnet_jax.base import files
from drnet_jax.pictures import drawing, grids
from drnet_jax.runs import metrics_writer as writer

KINDS = ("png", "npz", "json")

_LINE = 18  # Height of a line of the caption in pixels.
_LETTER = 6.6  # Mean width of a letter in pixels.


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of words and numbers that are formatted already.

    Attributes:
      heads: heads of the columns; the first one says what the table shows.
      rows: the cells of each row, as many as there are heads.
      title: a line above, if any.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""

    def __str__(self) -> str:
        """Returns aligned lines, the first column to the left and all others to the right."""
        widths = [max(map(len, column)) for column in zip(self.heads, *self.rows, strict=True)]
        lines = [self.title] if self.title else []
        for first, *rest in (self.heads, *self.rows) if self.heads else ():
            cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
            lines.append("  ".join([first.ljust(widths[0]), *cells]))
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure and the numbers behind it.

    Attributes:
      name: name of its files, without suffix.
      picture: uint8 `[height, width, 3]`.
      caption: what the picture shows.
      tables: tables to print.
      arrays: the arrays that were drawn and others behind them, by name.
      numbers: entries of the JSON record, besides those that every figure has.
    """

    name: str
    picture: np.ndarray
    caption: str
    tables: Sequence[Table]
    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, Any]


def write(out: epath.Path, figure: Figure, runs: Sequence[Mapping[str, Any]], script: str) -> None:
    """Prints the tables of `figure` and writes its PNG, NPZ and JSON to the folder `out`.

    Args:
      out: the folder.
      figure: the figure.
      runs: a record of each run behind the figure; its `note` on data and training is written below
        the picture, highlighted if any run has `stand_in` data.
      script: name of the script that made the figure.
    """
    notes = list(dict.fromkeys(run["note"] for run in runs))  # Baselines often share a note.
    stand_in = any(run["stand_in"] for run in runs)
    picture = with_caption(figure.picture, figure.caption, " ".join(notes), stand_in=stand_in)
    record = {
        "figure": figure.name,
        "script": script,
        "caption": figure.caption,
        "runs": list(runs),
        "tables": [dataclasses.asdict(table) for table in figure.tables],
    }
    png, npz, json = (out / f"{figure.name}.{kind}" for kind in KINDS)
    grids.write_png(png, picture)
    buffer = io.BytesIO()  # So that the file is written whole or not at all.
    np.savez_compressed(buffer, **figure.arrays)
    files.write_atomically(npz, buffer.getvalue())
    writer.write_json(json, record | dict(figure.numbers))
    tables = ["\n\n".join(map(str, figure.tables))] if figure.tables else []
    print(*tables, *(f"Data: {note}" for note in notes), png, npz, json, sep="\n")


def with_caption(picture: np.ndarray, caption: str, note: str, *, stand_in: bool) -> np.ndarray:
    """Returns `picture`, uint8 `[height, width, 3]`, with the caption and the note below.

    The note on the data is highlighted when they are a stand-in.
    """
    color = drawing.GENERATED if stand_in else drawing.MUTED
    height, width = picture.shape[:2]
    letters = max(20, int((width - 2 * drawing.MARGIN) / _LETTER))
    lines = [(line, drawing.TEXT) for line in textwrap.wrap(caption, letters)]
    lines += [(line, color) for line in textwrap.wrap(note, letters)]
    whole = drawing.blank(width, height + len(lines) * _LINE + 2 * drawing.MARGIN)
    drawing.paste(whole, picture, 0, 0)
    for i, (line, color) in enumerate(lines):
        place = (drawing.MARGIN, height + drawing.MARGIN + i * _LINE + _LINE // 2)
        drawing.text(whole, line, place, color, anchor="lm", size=14)
    return np.asarray(whole)


def at_step(score: Mapping[str, Sequence[float]], index: int) -> dict[str, float]:
    """Returns the mean and the ends of the interval at `index` of a score that holds lists."""
    return {name: score[name][index] for name in ("mean", "low", "high")}
