"""`labels.csv`: a table of labels that the user may put beside the videos."""

import csv
import dataclasses
import io
import keyword
import pathlib
import unicodedata
from collections.abc import Iterable

from drnet_jax.base import wording
from drnet_jax.data.readers import raw_files

FILE = "labels.csv"

_RESERVED = ("file", "frames", "length", "name")
_MAX_BYTES = 2**26


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of all clips."""

    classes: dict[str, tuple[str, ...]]  # By column, the different values in natural order.
    rows: dict[str, dict[str, str]]  # By clip, the value of each column.


def read(folder: pathlib.Path, clips: Iterable[str]) -> Labels:
    """Returns the labels in `folder`; without a table, there are no columns.

    The first line names the columns: `file` is the path of a clip below the folder, and each of
    the others is a factor, such as `label`. `clips` are the paths of all clips below the folder.

    Raises:
      ValueError: the table is malformed, names a clip that does not exist, or leaves one out.
    """
    path = folder / FILE
    if not path.is_file():
        return Labels({}, {clip: {} for clip in clips})
    lines = _lines(path)
    columns = _columns(path, lines)
    rows: dict[str, dict[str, str]] = {}
    clips = set(clips)
    for number, line in lines[1:]:
        where = f"{path}, line {number}"
        if len(line) != len(columns):
            num_columns = wording.count(len(line), "column")
            raise ValueError(f"{where}: {num_columns}; expected {len(columns)}.")
        row = dict(zip(columns, line, strict=True))
        clip = unicodedata.normalize("NFC", row.pop("file")).replace("\\", "/").removeprefix("./")
        if clip not in clips:
            raise ValueError(f"{where}: there is no clip {clip!r} in {folder}.")
        if clip in rows:
            raise ValueError(f"{where}: {clip!r} is listed twice.")
        rows[clip] = row
    if missing := sorted(clips - set(rows)):
        others = f" and {wording.count(len(missing) - 1, 'other')}" if missing[1:] else ""
        raise ValueError(f"{path} has no line for {missing[0]!r}{others}.")
    values = {c: {row[c] for row in rows.values()} for c in columns if c != "file"}
    classes = {c: tuple(sorted(v, key=raw_files.natural_key)) for c, v in values.items()}
    return Labels(classes, rows)


def _lines(path: pathlib.Path) -> list[tuple[int, list[str]]]:
    """Returns (number, stripped cells) of each line that is not empty."""
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(
            f"{path} has {path.stat().st_size:,} bytes; allowed: at most {_MAX_BYTES:,}."
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Spreadsheets begin with a byte order mark.
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, [" ".join(cell.split()) for cell in line]) for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} is not a table of comma-separated UTF-8 text: {error}."
        ) from error
    return [(number, line) for number, line in lines if any(line)]


def _columns(path: pathlib.Path, lines: list[tuple[int, list[str]]]) -> list[str]:
    columns = lines[0][1] if lines else []
    if columns.count("file") != 1 or len(columns) < 2 or len(set(columns)) < len(columns):
        raise ValueError(
            f"{path} starts with {','.join(columns)!r}; expected the names of its columns, "
            "`file` and at least one more, such as 'file,label'."
        )
    for column in columns:
        good = column.isascii() and column.isidentifier() and not keyword.iskeyword(column)
        if column != "file" and (not good or column in _RESERVED):
            raise ValueError(
                f"{path} has a column {column!r}; allowed: letters, digits and _, and none of "
                f"{', '.join(_RESERVED)}."
            )
    return columns
