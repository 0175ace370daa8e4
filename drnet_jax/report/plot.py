"""Plots as inline SVG whose colors come from the style sheet of the page.

Importing this module imports matplotlib, which takes a second: do so only to write a report.
"""

import io
import math
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib import style as style_sheets
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

Interval = Mapping[str, float]
"""`mean`, `low` and `high` of a score."""

Series = Mapping[str, Sequence[float]]
"""`mean`, `low` and `high` of a score, a list each."""

# Pixels at full size; the page scales a plot to the width of its column.
_WIDTH, _HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 26
_NAMES = 138  # Width of the column with the names of rows.

_MOST_POINTS = 300  # About one for each pixel.

_COLORS = {
    "first": "#0072b2",
    "second": "#b34d00",
    "trivial": "#7b828b",
    "ink": "#1d2126",
    "muted": "#5c6570",
    "rule": "#dcdcd5",
}
"""Variables of the style sheet, and the colors that stand for them until the SVG is written."""

_LINES: dict[str, dict[str, Any]] = {
    "first": {"color": _COLORS["first"]},
    "second": {"color": _COLORS["second"]},
    "trivial": {"color": _COLORS["trivial"], "dashes": (3, 1.5)},
    "faint": {"color": _COLORS["trivial"], "dashes": (0.75, 1.75)},
}
"""Styles of lines; legends in the style sheet have the same names."""

_with_look = style_sheets.context("drnet_jax.report.plot")  # The file plot.mplstyle.


@_with_look
def curve(
    points: Sequence[tuple[int, float]],
    label: str,
    style: str,
    *,
    limits: tuple[float, float] | None = None,
    reference: float | None = None,
) -> Markup:
    """Returns a plot of (step, value) `points`: the logged values, faint, and their moving average.

    The y axis is logarithmic where positive values span more than a factor of ten.

    Args:
      points: at least one, ascending by step.
      label: describes the plot to readers who cannot see it.
      style: "first" or "second".
      limits: range of the y axis; None fits it to the values.
      reference: a value to mark with a dashed line; a legend names it, which no curve can cross.
    """
    steps, values = _thin(np.array(points, dtype=np.float64).T)
    log = limits is None and values.min() > 0 and values.max() > 10 * values.min()
    axes = _axes(_HEIGHT, _LEFT, _RIGHT)
    axes.set(xlim=(0, max(steps[-1], 1)), yscale="log" if log else "linear")
    low, high = _frame(axes, values, limits, reference)
    smooth = np.clip(_smooth(values), low, high)
    axes.plot(steps, np.clip(values, low, high), linewidth=1, alpha=0.35, **_LINES[style])
    axes.plot(steps, smooth, **_LINES[style])
    axes.plot(steps[-1:], smooth[-1:], "o", markersize=7, **_LINES[style])
    return _svg(axes, label)


@_with_look
def over_steps(
    steps: Sequence[float],
    series: Sequence[tuple[str, Series]],
    label: str,
    *,
    limits: tuple[float, float] | None = None,
    reference: float | None = None,
    unfitted: Collection[str] = (),
) -> Markup:
    """Returns a plot of scores over `steps` on a logarithmic axis, each a line in its interval.

    Args:
      steps: ascending, above 0.
      series: style and score of each line, the last one drawn over the others.
      label: describes the plot to readers who cannot see it.
      limits: range of the y axis; None fits it to the values.
      reference: a value to mark with a dashed line; a legend names it, which no curve can cross.
      unfitted: styles of lines that the y axis is not fitted to; they are cut off where they leave
        the plot, and have no band.
    """
    banded = [(style, score) for style, score in series if style not in unfitted]
    ends = [value for _, score in banded for value in (*score["low"], *score["high"])]
    axes = _axes(_HEIGHT, _LEFT, _RIGHT)
    axes.set(xscale="log", xlim=(steps[0], max(steps[-1], steps[0] + 1)))
    low, high = _frame(axes, ends, limits, reference)
    for style, score in banded:
        # One outline: along the lower ends, and back along the upper ends.
        outline = np.clip([*score["low"], *score["high"][::-1]], low, high)
        color = _COLORS["trivial" if style == "faint" else style]
        axes.fill([*steps, *steps[::-1]], outline, color=color, alpha=0.2, linewidth=0)
    for style, score in series:
        axes.plot(steps, np.clip(score["mean"], low, high), **_LINES[style])
    return _svg(axes, label)


@_with_look
def rows(
    scores: Mapping[str, Sequence[tuple[str, Interval]]],
    label: str,
    *,
    digits: int | None = None,
    chances: Mapping[str, float] | None = None,
) -> Markup:
    """Returns a plot with a row per name: marks at the means, on bars from low to high.

    Args:
      scores: style and score of each mark of a row, by name.
      label: describes the plot to readers who cannot see it.
      digits: decimals of the first mean of each row, which is written at the right, the first row
        in bold; None leaves them out.
      chances: what chance scores in each row, marked by a bar. The axis is then from 0 to 1.
    """
    height = 33 * len(scores) + _TOP + _BOTTOM
    axes = _axes(height, _NAMES, _RIGHT if digits is None else 48)
    axes.grid(axis="x")
    # SVG cannot hold control characters, which names from a file might contain.
    names = ["".join(filter(str.isprintable, name)) for name in scores]
    _write_rows(axes, names, bold=digits is not None)
    if digits is not None:
        means = [f"{marks[0][1]['mean']:.{digits}f}" for marks in scores.values()]
        _write_rows(axes.twinx(), means, bold=True)
    # Scores below 0, the skill of a useless probe, are drawn at 0.
    low, high = (-np.inf, np.inf) if chances is None else (0, 1)
    if chances is not None:
        axes.set_xlim(low, high)
    for row, (name, marks) in enumerate(scores.items()):
        if chances is not None:
            chance = np.clip(chances[name], 0, 1)
            axes.plot((chance, chance), (row - 0.4, row + 0.4), color=_COLORS["ink"], linewidth=1.5)
        for i, (style, score) in enumerate(marks):
            y = row + 0.35 * (i - (len(marks) - 1) / 2)
            if score["low"] is not None and score["high"] is not None:
                ends = np.clip((score["low"], score["high"]), low, high)
                axes.plot(ends, (y, y), color=_COLORS[style])
            # Shapes differ too, since not every reader can tell the colors apart.
            mean = np.clip(score["mean"], low, high)
            axes.plot((mean,), (y,), "s" if i else "o", markersize=9, color=_COLORS[style])
    _set_ticks(axes.xaxis)
    return _svg(axes, label)


def _write_rows(axes: Axes, words: Sequence[str], *, bold: bool) -> None:
    """Writes `words` beside the rows of a plot, from the top; the first one in bold if `bold`."""
    axes.set_ylim(len(words) - 0.5, -0.5)
    axes.set_yticks(range(len(words)), words, fontsize=12.5, color=_COLORS["ink"])
    axes.get_yticklabels()[0].set_fontweight("bold" if bold else "normal")


def _axes(height: int, left: int, right: int) -> Axes:
    """Returns empty axes in a figure of `height` pixels, with margins at the left and right."""
    figure = Figure((_WIDTH / 72, height / 72))
    figure.subplots_adjust(left / _WIDTH, _BOTTOM / height, 1 - right / _WIDTH, 1 - _TOP / height)
    return figure.subplots()


def _frame(
    axes: Axes,
    values: Sequence[float],
    limits: tuple[float, float] | None,
    reference: float | None,
) -> tuple[float, float]:
    """Draws ticks, grid and `reference`; returns `limits` of the y axis, or fits it to `values`."""
    shown = [*values, *(() if reference is None else (reference,))]
    axes.update_datalim([(axes.get_xlim()[0], value) for value in shown])
    axes.autoscale_view(scalex=False)
    low, high = limits or axes.get_ylim()
    if min(shown) >= 0:
        low = max(low, 0)  # Nothing to show below zero.
    axes.set_ylim(low, high)
    axes.grid(axis="y")
    _set_ticks(axes.xaxis)
    _set_ticks(axes.yaxis)
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))  # 5k steps, not 5000.
    if reference is not None and low <= reference <= high:
        axes.axhline(reference, color=_COLORS["ink"], linewidth=1, dashes=(4, 3))
    return low, high


def _set_ticks(axis: Axis) -> None:
    """Puts ticks at round values: powers of ten on a logarithmic axis, and 1, 2, 5 times them."""
    low, high = axis.get_view_interval()
    locator = ticker.MaxNLocator(4, steps=(1, 2, 2.5, 5, 10))
    # A short range holds too few powers, and looks linear anyway.
    if axis.get_scale() == "log" and high > 3 * low:
        num_powers = math.floor(math.log10(high)) - math.ceil(math.log10(low)) + 1
        locator = ticker.LogLocator(subs=(1, 2, 5) if num_powers <= 2 else (1,), numticks=6)
    axis.set_major_locator(locator)
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter("{x:g}")


def _thin(points: np.ndarray) -> np.ndarray:
    """Returns `points` `[2, count]` with neighbors averaged until there are few enough."""
    groups = np.array_split(points, min(_MOST_POINTS, points.shape[1]), axis=1)
    return np.stack([group.mean(axis=1) for group in groups], axis=1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Returns the moving average of `values`, over fewer neighbors at the ends."""
    reach = len(values) // 50
    window = np.ones(2 * reach + 1)
    counts = np.convolve(np.ones(len(values)), window)
    return (np.convolve(values, window) / counts)[reach : reach + len(values)]


def _svg(axes: Axes, label: str) -> Markup:
    """Returns the figure of `axes` as an element of a page, with `label` as its title."""
    file = io.StringIO()
    # Salted with the label: no two plots on a page share identifiers, and none are random.
    with mpl.rc_context({"svg.hashsalt": label}), warnings.catch_warnings():
        # The page draws the text, so a letter missing from matplotlib's font does no harm.
        warnings.filterwarnings("ignore", "Glyph")
        axes.figure.savefig(file, format="svg", metadata={"Date": None})
    drawn = ET.fromstring(file.getvalue())
    svg = ET.Element("svg", role="img", viewBox=drawn.get("viewBox"))
    ET.SubElement(svg, "title").text = label
    # The rest are notes on matplotlib, and a style that would reach every element of the page.
    svg.append(drawn.find("{*}g"))
    for element in svg.iter():
        element.tag = element.tag.rpartition("}")[2]  # HTML knows SVG without a namespace.
        element.attrib = _attributes(element)
        element.text, element.tail = (element.text or "").strip(), None
    return Markup(ET.tostring(svg, encoding="unicode"))


def _attributes(element: ET.Element) -> dict[str, str]:
    """Returns the attributes of an element that the page needs, in the colors of the page."""
    kept = {}
    for name, value in element.items():
        name = name.rpartition("}")[2]
        # Only markers are referred to by their identifiers; clipped values need no clip path.
        if name in ("clip-path", "transform") or (name == "id" and element.tag == "g"):
            continue
        if name == "style":
            value = re.sub("font-family: [^;]*;? ?", "", value)
            for variable, color in _COLORS.items():
                value = value.replace(color, f"var(--{variable})")
        elif name in ("d", "x", "y"):
            value = re.sub(r"(\.\d\d)\d+", r"\1", " ".join(value.split()))
        kept[name] = value
    return kept
