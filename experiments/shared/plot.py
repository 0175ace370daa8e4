"""Line plots, heat maps and bar charts in the colors of drnet_jax/pictures/drawing.py.

Every function returns uint8 `[height, width, 3]`. Series differ not only in color but also in line,
marker or hatch. No letter is smaller than 11 pixels.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from drnet_jax.pictures import drawing

Score = Mapping[str, float]

_DPI = 100
_ENDS = ("mean", "low", "high")

# The Okabe-Ito colors that stand out from a dark canvas.
_OTHERS = ((0, 190, 140), (204, 121, 167), (240, 228, 66))
_COLORS = np.array((drawing.OBSERVED, drawing.GENERATED, *_OTHERS, drawing.TEXT)) / 255
_LINES = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (1.5, 1.5)), (0, (3, 1.5)), (0, (9, 3)))
_MARKERS = ("o", "s", "^", "D", "v", "X")
_HATCHES = ("", "//", "..", "xx", "\\\\", "--")
_REFERENCE_LINES = ((0, (4, 3)), (0, (1.5, 1.5)))
_CANVAS, _TEXT, _MUTED = np.array((drawing.CANVAS, drawing.TEXT, drawing.MUTED)) / 255

_with_look = style.context("experiments.shared.plot")  # The file plot.mplstyle.


@_with_look
def curves(
    series: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    references: Mapping[str, float] | None = None,
    log_x: bool = False,
) -> np.ndarray:
    """Returns a plot of at most six lines, each with a band around it.

    Args:
      series: by name, four equally long sequences: `x`, `mean`, and the ends of the band, `low` and
        `high`.
      x_label: label of the x axis.
      y_label: label of the y axis.
      references: values to compare with, by name, drawn as dashed lines; for example chance.
      log_x: whether the x axis is logarithmic.

    Raises:
      ValueError: for no series or too many, and for values that are missing, not finite, or not
        positive on a logarithmic axis.
    """
    series = {name: _checked(name, each, "x") for name, each in series.items()}
    _check_number("series", series)
    if log_x and (least := min(each["x"].min() for each in series.values())) <= 0:
        raise ValueError(f"Expected x above 0 on a logarithmic axis, got {least:g}.")
    axes = _axes(810, 420)
    for i, (name, each) in enumerate(series.items()):
        color, x = _COLORS[i], each["x"]
        axes.fill_between(x, each["low"], each["high"], color=color, alpha=0.22, lw=0)
        # Markers on each of a thousand steps would merge into a thick line.
        marks = dict(marker=_MARKERS[i], markersize=5.5, markevery=max(1, len(x) // 12))
        label = _wrapped(name)
        axes.plot(x, each["mean"], color=color, linestyle=_LINES[i], lw=2, label=label, **marks)
    if log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.margins(x=0.015)
    axes.set_xlabel(x_label)
    return _finish(axes, y_label, references)


@_with_look
def bars(
    groups: Mapping[str, Mapping[str, Score | None]],
    *,
    y_label: str,
    references: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Returns groups of bars, each with its interval and, above it, its value.

    Args:
      groups: by the name of a group, then by the name of a bar: `mean`, `low` and `high`. There are
        at most six names of bars; a dash stands for None and for a bar that a group does not have.
      y_label: label of the y axis.
      references: values to compare with, by name, drawn as dashed lines; for example chance.

    Raises:
      ValueError: for no bars or too many, and for values that are missing or not finite.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    _check_number("bars in a group", names)
    group_width = len(names) * 52 + 44  # Pixels; the values above the bars need 52 each.
    axes = _axes(max(480, len(groups) * group_width), 350)
    for i, name in enumerate(names):
        scores = {group: each.get(name) for group, each in groups.items()}
        for group, score in scores.items():
            if score is not None:
                _checked(f"{group}, {name}", score)
        places = np.arange(len(groups)) + (i - (len(names) - 1) / 2) * 52 / group_width
        # Bars that are missing have no height.
        ends = [[score[end] if score else 0 for score in scores.values()] for end in _ENDS]
        mean, low, high = np.array(ends, float)
        errors = np.maximum([mean - low, high - mean], 0)
        # A rim in the color of the canvas makes intervals visible on the bars.
        axes.errorbar(places, mean, errors, fmt="none", ecolor=_CANVAS, elinewidth=4)
        drawn = axes.bar(
            places,
            mean,
            48 / group_width,
            yerr=errors,
            error_kw=dict(ecolor=_TEXT, elinewidth=1.6),
            label=_wrapped(name),
            facecolor=_COLORS[i],
            hatch=_HATCHES[i],
            edgecolor=_CANVAS,
            linewidth=0,
        )
        words = [f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}" for x in mean]
        words = [text if s else "-" for text, s in zip(words, scores.values(), strict=True)]
        axes.bar_label(drawn, words, padding=3, fontsize=9)
    axes.set_xticks(range(len(groups)), [_wrapped(group, group_width) for group in groups])
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.12)
    return _finish(axes, y_label, references)


@_with_look
def heat_maps(
    panels: Mapping[str, np.ndarray],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_name: str,
    column_name: str,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> np.ndarray:
    """Returns tables side by side whose cells are colored from the lowest (dark) to the highest.

    Args:
      panels: values `[rows, columns]` by title; a dash stands for one that is not finite.
      rows: names of the rows.
      columns: names of the columns.
      row_name: label of the rows' axis.
      column_name: label of the columns' axis.
      ranges: by title, the values of the first and the last color. By default they are the lowest
        and the highest of the panel, which exaggerates small differences.

    Raises:
      ValueError: for no panels, or a panel of another shape.
    """
    if not panels:
        raise ValueError("Expected at least 1 panel, got 0.")
    width, height, gap = max(190, len(columns) * 78), len(rows) * 46, 22  # In pixels.
    total = len(panels) * (width + gap) - gap
    figure = Figure(figsize=(total / _DPI, height / _DPI), dpi=_DPI)
    for i, (name, values) in enumerate(panels.items()):
        if np.shape(values) != (len(rows), len(columns)):
            raise ValueError(
                f"{name} has shape {np.shape(values)}; expected {len(rows), len(columns)}, the "
                "numbers of rows and columns."
            )
        axes = figure.add_axes((i * (width + gap) / total, 0, width / total, 1))
        axes.set_title(_wrapped(name, width), pad=8)
        _draw_cells(axes, np.asarray(values, float), (ranges or {}).get(name))
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), [] if i else rows)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel(column_name)
        axes.set_ylabel("" if i else row_name)
    return _pixels(figure)


def stack(*pictures: np.ndarray) -> np.ndarray:
    """Returns `pictures`, uint8 `[height, width, 3]`, one below the other."""
    whole = drawing.blank(max(p.shape[1] for p in pictures), sum(map(len, pictures)))
    top = 0
    for picture in pictures:
        drawing.paste(whole, picture, 0, top)
        top += len(picture)
    return np.asarray(whole)


def _axes(width: int, height: int) -> Axes:
    """Returns axes of `width` x `height` pixels."""
    return Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI).add_axes((0, 0, 1, 1))


def _finish(axes: Axes, y_label: str, references: Mapping[str, float] | None) -> np.ndarray:
    """Adds references, grid and legend, and returns the picture."""
    for i, (name, value) in enumerate((references or {}).items()):
        line = _REFERENCE_LINES[i % len(_REFERENCE_LINES)]
        label = _wrapped(name)
        axes.axhline(value, color=_MUTED, linestyle=line, lw=1.4, zorder=0.9, label=label)
    axes.set_ylabel(y_label)
    axes.grid(axis="y")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return _pixels(axes.figure)


def _pixels(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def _draw_cells(axes: Axes, values: np.ndarray, ends: tuple[float, float] | None) -> None:
    """Draws a table of values on cells colored from the first of `ends` to the last."""
    finite = np.isfinite(values)
    if ends is None:
        ends = (values[finite].min(), values[finite].max()) if finite.any() else (0, 1)
    low, high = ends
    shades = np.ma.masked_invalid((values - low) / (high - low if high > low else 1))
    colors = mpl.colormaps["cividis"].with_extremes(bad=_CANVAS)
    axes.imshow(shades, cmap=colors, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        # Adding 0 turns a rounded -0.0 into 0.0, which has no minus sign.
        words = f"{round(value, 2) + 0:.2f}" if finite[row, column] else "-"
        color = "black" if finite[row, column] and shades[row, column] >= 0.5 else "white"
        axes.text(column, row, words, ha="center", va="center", color=color)


def _checked(name: str, values: Mapping[str, Any], *keys: str) -> dict[str, np.ndarray]:
    """Returns `values` under `keys` and under mean, low and high, as arrays of equal length.

    Ends that are all None are at the mean.
    """
    if missing := {*keys, *_ENDS} - set(values):
        raise ValueError(f"{name} has no {', '.join(sorted(missing))}.")
    columns = {key: np.atleast_1d(np.asarray(values[key], float)) for key in (*keys, *_ENDS)}
    for end in ("low", "high"):
        if all(each is None for each in np.atleast_1d(values[end])):
            columns[end] = columns["mean"]  # Too few independent clips for intervals.
    lengths = {key: column.size for key, column in columns.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"{name} has lengths {lengths}; expected one length above 0.")
    if bad := [key for key, column in columns.items() if not np.isfinite(column).all()]:
        raise ValueError(f"{name} has values in {', '.join(bad)} that are not finite.")
    return columns


def _check_number(what: str, names: Mapping | Sequence) -> None:
    if not 1 <= len(names) <= len(_COLORS):
        raise ValueError(f"Expected 1 to {len(_COLORS)} {what}, got {len(names)}.")


def _wrapped(words: str, width: int = 180) -> str:
    """Returns `words` in lines of at most about `width` pixels."""
    return "\n".join(textwrap.wrap(words, max(8, width // 9)))
