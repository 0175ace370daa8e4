"""Curves with bands, heat maps and bars, in the look of drnet_jax/pictures/drawing.py.

Every function returns uint8 `[height, width, 3]`, for `figure.write`. What belongs together is told
apart by its color and by its line, marker or hatch. No letter is smaller than 11 pixels.
"""

import contextlib
import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from drnet_jax.pictures import drawing

_DPI = 100
_SIZE, _SMALL = 14, 12  # Of letters, in pixels.
_LETTER = 0.62  # Width of a letter as a share of its size, of the wider ones.


def _color(color: drawing.Color) -> tuple[float, float, float]:
    return tuple(part / 255 for part in color)


def _points(pixels: float) -> float:
    return pixels * 72 / _DPI


# Those Okabe-Ito colors that stand out from a dark canvas.
_COLORS = [
    _color(rgb)
    for rgb in (
        drawing.OBSERVED,
        drawing.GENERATED,
        (0, 190, 140),
        (204, 121, 167),
        (240, 228, 66),
        drawing.TEXT,
    )
]
_LINES = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (1.5, 1.5)), (0, (3, 1.5)), (0, (9, 3)))
_MARKERS = ("o", "s", "^", "D", "v", "X")
_HATCHES = ("", "//", "..", "xx", "\\\\", "--")
_CANVAS, _TEXT, _MUTED = map(_color, (drawing.CANVAS, drawing.TEXT, drawing.MUTED))
_GRID = (*_MUTED, 0.22)

_LOOK = {
    "font.family": "DejaVu Sans",  # Comes with matplotlib.
    "font.size": _points(_SIZE),
    "figure.facecolor": _CANVAS,
    "axes.facecolor": _CANVAS,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _TEXT,
    "axes.labelsize": _points(_SIZE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _TEXT,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelsize": _points(_SMALL + 1),
    "ytick.labelsize": _points(_SMALL + 1),
    "hatch.linewidth": 1.4,
}


def curves(
    series: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    references: Mapping[str, float] | None = None,
    log_x: bool = False,
) -> np.ndarray:
    """Returns a plot of lines, each in its band.

    Args:
      series: by name, at most six: `x`, `mean`, and `low` and `high`, the ends of the band. All
        four are equally long.
      x_label: what x is.
      y_label: what the lines show.
      references: values to compare with, such as chance, by name: dashed.
      log_x: whether x is on a logarithmic axis.

    Raises:
      ValueError: for no or too many series, for numbers that are missing, not finite, or not
        positive where the axis is logarithmic.
    """
    series = {name: _columns(name, each) for name, each in series.items()}
    _check_number("series", series)
    if log_x and (least := min(each["x"].min() for each in series.values())) <= 0:
        raise ValueError(f"Expected x above 0 on a logarithmic axis, got {least:g}.")
    references = dict(references or {})
    margin = _labels_width([*series, *references])
    with _axes(900 + margin, 500, right=margin, left=86, bottom=62) as (axes, render):
        ends = []
        for i, (name, each) in enumerate(series.items()):
            color = _COLORS[i]
            axes.fill_between(each["x"], each["low"], each["high"], color=color, alpha=0.22, lw=0)
            axes.plot(
                each["x"],
                each["mean"],
                color=color,
                linestyle=_LINES[i],
                linewidth=2,
                marker=_MARKERS[i],
                markersize=5.5,
                # Markers on every one of a thousand steps would be a thick line.
                markevery=max(1, len(each["x"]) // 12),
            )
            ends.append((name, each["x"][-1], each["mean"][-1], color))
        if log_x:
            _make_logarithmic(axes)
        axes.margins(x=0.015)
        axes.set_xlabel(x_label)
        _finish(axes, y_label, ends, references)
        return render()


def heat_maps(
    panels: Mapping[str, np.ndarray],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_name: str,
    column_name: str,
    form: str = ".2f",
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> np.ndarray:
    """Returns tables side by side, their cells colored from the least (dark) to the greatest.

    Args:
      panels: numbers `[rows, columns]` by title; one that is not finite is a dash.
      rows: their names.
      columns: their names.
      row_name: what the rows differ in.
      column_name: what the columns differ in.
      form: format of a number.
      ranges: by title, the numbers of the first and the last color; else the panel's least and
        greatest, which makes much of small differences.

    Raises:
      ValueError: for no panels, or one of another shape.
    """
    _check_panels(panels, len(rows), len(columns))
    side, line = (78, 46), 20
    width, height = max(190, len(columns) * side[0]), len(rows) * side[1]
    titles = {name: _wrapped(name, width, _SIZE) for name in panels}
    top = max(title.count("\n") + 1 for title in titles.values()) * line + 16
    left = 46 + round(max(map(len, rows)) * _LETTER * (_SMALL + 1))
    size = (left + len(panels) * (width + 22), top + height + 60)
    with _figure(*size) as (figure, render):
        for i, (name, values) in enumerate(panels.items()):
            box = (left + i * (width + 22), 60, width, height)
            axes = figure.add_axes(np.divide(box, (*size, *size)))
            axes.set_title(titles[name], fontsize=_points(_SIZE), color=_TEXT, pad=8)
            _cells(axes, np.asarray(values, float), form, (ranges or {}).get(name))
            axes.set_xticks(range(len(columns)), columns)
            axes.set_yticks(range(len(rows)), [] if i else rows)
            axes.tick_params(length=0)
            axes.set_xlabel(column_name)
            axes.set_ylabel("" if i else row_name)
        return render()


def bars(
    groups: Mapping[str, Mapping[str, Mapping[str, float] | None]],
    *,
    y_label: str,
    references: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Returns groups of bars, each with its number and its interval above.

    Args:
      groups: by name: of each bar `mean`, `low` and `high` by name, at most six names; None, or a
        name that a group lacks, is a dash.
      y_label: what the bars show.
      references: values to compare with, such as chance, by name: dashed.

    Raises:
      ValueError: for no or too many bars, or for numbers that are missing or not finite.
    """
    names = list(dict.fromkeys(itertools.chain(*groups.values())))
    _check_number("bars in a group", names)
    references = dict(references or {})
    margin = _labels_width(references) if references else 24
    each = len(names) * 52 + 44  # Pixels of a group.
    legend = sum(len(name) * _LETTER * _SIZE + 60 for name in names)
    width = round(max(480, len(groups) * each, legend))
    with _axes(86 + width + margin, 470, right=margin, left=86, top=58) as (axes, render):
        handles = []
        for i, name in enumerate(names):
            style = dict(facecolor=_COLORS[i], hatch=_HATCHES[i], edgecolor=_CANVAS, linewidth=0)
            handles.append(Patch(label=name, **style))
            for at, (group, scores) in enumerate(groups.items()):
                place = at + (i - (len(names) - 1) / 2) * 52 / each
                _bar(axes, f"{group}, {name}", scores.get(name), place, 48 / each, style)
        labels = [_wrapped(group, each, _SMALL + 1) for group in groups]
        axes.set_xticks(range(len(groups)), labels)
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.tick_params(axis="x", length=0, labelcolor=_TEXT)
        axes.margins(y=0.12)
        place = dict(loc="lower left", bbox_to_anchor=(0, 1.01), borderaxespad=0)
        axes.legend(handles=handles, ncols=len(names), frameon=False, handleheight=1, **place)
        _finish(axes, y_label, [], references)
        return render()


def stack(*pictures: np.ndarray) -> np.ndarray:
    """Returns `pictures`, uint8 `[height, width, 3]`, one below the other."""
    width = max(picture.shape[1] for picture in pictures)
    padded = []
    for picture in pictures:
        whole = np.asarray(drawing.blank(width, len(picture))).copy()
        whole[:, : picture.shape[1]] = picture
        padded.append(whole)
    return np.concatenate(padded)


@contextlib.contextmanager
def _figure(width: int, height: int) -> Iterator[tuple]:
    """Yields an empty figure of so many pixels, and a function to its pixels."""
    with mpl.rc_context(_LOOK):
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        canvas = FigureCanvasAgg(figure)

        def render() -> np.ndarray:
            canvas.draw()
            return np.array(canvas.buffer_rgba())[..., :3]

        yield figure, render


@contextlib.contextmanager
def _axes(
    width: int, height: int, *, left: int, right: int, top: int = 20, bottom: int = 62
) -> Iterator[tuple]:
    """Yields axes with margins in pixels, and a function to the pixels of the whole."""
    with _figure(width, height) as (figure, render):
        box = (left, bottom, width - left - right, height - bottom - top)
        yield figure.add_axes(np.divide(box, (width, height, width, height))), render


def _columns(name: str, values: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    """Returns `x`, `mean`, `low` and `high` of a series as arrays, checked."""
    if missing := {"x", "mean", "low", "high"} - set(values):
        raise ValueError(f"{name} lacks {', '.join(sorted(missing))}.")
    columns = {key: np.asarray(values[key], float) for key in ("x", "mean", "low", "high")}
    lengths = {key: column.size for key, column in columns.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"{name} has lengths {lengths}; expected one length above 0.")
    if bad := [key for key, column in columns.items() if not np.isfinite(column).all()]:
        raise ValueError(f"{name} has numbers in {', '.join(bad)} that are not finite.")
    return columns


def _check_number(what: str, names: Mapping | Sequence) -> None:
    if not 1 <= len(names) <= len(_COLORS):
        raise ValueError(f"Expected 1 to {len(_COLORS)} {what}, got {len(names)}.")


def _check_panels(panels: Mapping[str, np.ndarray], num_rows: int, num_columns: int) -> None:
    if not panels:
        raise ValueError("Expected at least 1 panel, got 0.")
    for name, values in panels.items():
        if np.shape(values) != (num_rows, num_columns):
            raise ValueError(
                f"{name} has shape {np.shape(values)}; expected {(num_rows, num_columns)}: "
                f"{num_rows} rows and {num_columns} columns."
            )


def _make_logarithmic(axes: Axes) -> None:
    """Makes the x axis logarithmic, with plain numbers at 1, 2, 5, 10 and so on."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))


def _bar(
    axes: Axes,
    name: str,
    score: Mapping[str, float] | None,
    place: float,
    width: float,
    style: dict,
) -> None:
    """Draws one bar, its interval, and its number above; a dash where there is no score."""
    text = dict(ha="center", va="bottom", fontsize=_points(_SMALL), textcoords="offset points")
    if score is None:
        axes.annotate("-", (place, 0), (0, 3), **text | {"fontsize": _points(24)})
        return
    if missing := {"mean", "low", "high"} - set(score):
        raise ValueError(f"{name} lacks {', '.join(sorted(missing))}.")
    mean, low, high = (score[key] for key in ("mean", "low", "high"))
    if not np.isfinite([mean, low, high]).all():
        raise ValueError(f"{name} has numbers that are not finite: {mean}, {low}, {high}.")
    axes.bar(place, mean, width, **style)
    ends = ([max(0, mean - low)], [max(0, high - mean)])
    # A rim in the color of the canvas, for it is to be seen on the bar too.
    for color, line in ((_CANVAS, 4), (_TEXT, 1.6)):
        axes.errorbar(place, mean, ends, fmt="none", ecolor=color, elinewidth=line, capsize=0)
    words = f"{mean:.1f}" if abs(mean) >= 10 else f"{mean:.2f}"
    axes.annotate(words, (place, max(high, mean, 0)), (0, 3), **text)


def _cells(axes: Axes, values: np.ndarray, form: str, ends: tuple[float, float] | None) -> None:
    """Draws a table of numbers on cells colored from one of `ends` to the other."""
    known = values[np.isfinite(values)]
    low, high = ends or ((known.min(), known.max()) if known.size else (0, 1))
    shades = np.ma.masked_invalid((values - low) / (high - low if high > low else 1))
    colors = mpl.colormaps["cividis"].with_extremes(bad=_CANVAS)
    axes.imshow(shades, cmap=colors, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        finite = np.isfinite(value)
        dark = not finite or shades[row, column] < 0.5
        words = format(value, form) if finite else "-"
        if not words.strip("-0."):
            words = words.lstrip("-") or "-"  # No minus before a rounded zero.
        color = "white" if dark else "black"
        axes.text(column, row, words, ha="center", va="center", color=color)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _finish(
    axes: Axes,
    y_label: str,
    ends: list[tuple[str, float, float, tuple]],
    references: Mapping[str, float],
) -> None:
    """Draws the references and the grid, and writes names at the right, none upon another.

    `ends` are name, x, y and color of the last point of each line.
    """
    for value in references.values():
        axes.axhline(value, color=_MUTED, linestyle=(0, (4, 3)), linewidth=1.4, zorder=1.5)
    axes.set_ylabel(y_label)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    right = axes.get_xlim()[1]
    ends = ends + [(name, right, value, _MUTED) for name, value in references.items()]
    if not ends:
        return
    (low, high), height = axes.get_ylim(), axes.get_window_extent().height
    words = [_label(name) for name, *_ in ends]
    sizes = np.array([(label.count("\n") + 1) * 18 + 4 for label in words]) / height
    places = _spread(np.array([(y - low) / (high - low) for _, _, y, _ in ends]), sizes)
    for (_, x, y, color), label, place in zip(ends, words, places, strict=True):
        axes.annotate(
            label,
            (x, y),
            (1.03, place),
            textcoords="axes fraction",
            va="center",
            color=color,
            annotation_clip=False,
            arrowprops=dict(arrowstyle="-", color=color, linewidth=0.8, alpha=0.6, shrinkA=1),
        )


def _spread(places: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns `places` of objects of some sizes, moved until none lies upon another; below 1."""
    order = np.argsort(places, kind="stable")
    moved, half = places[order].astype(float), sizes[order] / 2
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + half[i - 1] + half[i])
    moved[-1] = min(moved[-1], 1 - half[-1])
    for i in reversed(range(len(moved) - 1)):
        moved[i] = min(moved[i], moved[i + 1] - half[i + 1] - half[i])
    result = np.empty_like(moved)
    result[order] = moved
    return result


def _label(name: str) -> str:
    return "\n".join(textwrap.wrap(name, 22))


def _labels_width(names: Sequence[str] | Mapping) -> int:
    """Returns how many pixels the names at the right of a plot take."""
    longest = max(len(line) for name in names for line in _label(name).split("\n"))
    return round(longest * _LETTER * _SIZE) + 46


def _wrapped(words: str, width: int, size: int) -> str:
    return "\n".join(textwrap.wrap(words, max(8, int(width / (_LETTER * size)))))
