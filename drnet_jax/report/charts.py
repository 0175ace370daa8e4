"""Charts as inline SVG, drawn in units of pixels at full size and colored by the page's CSS."""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from drnet_jax.report import markup

_WIDTH, _HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 26
_MOST_POINTS = 300


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Maps values from `low` to `high`, by their logarithm or as they are, to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def lines(
    points: Sequence[tuple[int, float]],
    label: str,
    css: str,
    *,
    limits: tuple[float, float] | None = None,
    reference: tuple[float, str] | None = None,
) -> str:
    """Returns a chart of (step, value) `points`: what was logged, faint, and its moving average.

    The y axis is logarithmic where positive values span more than a factor of ten.

    Args:
      points: at least one, ascending by step.
      label: what a reader who cannot see the chart is told.
      css: class of the curves.
      limits: least and greatest value of the y axis; None fits them to the values.
      reference: a value to mark with a dashed line, and its name.
    """
    steps, values = _thin(np.array(points, dtype=np.float64).T)
    smooth = _smooth(values)
    log = limits is None and values.min() > 0 and values.max() > 10 * values.min()
    shown = [*values, *([reference[0]] if reference else [])]
    low, high = limits or _limits(min(shown), max(shown), log)
    x = _Axis(0, max(steps[-1], 1), _LEFT, _WIDTH - _RIGHT)
    y = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP, log)
    y_ticks = log_ticks(low, high) if log else linear_ticks(low, high, 4)
    parts = [_y_grid(y, y_ticks), _x_ticks(x, linear_ticks(0, x.high, 4), _short)]
    if reference:
        at = y(reference[0])
        parts.append(f'<line class="reference" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" {_at_y(at)}/>')
        # On the side of the line where there is room.
        text_y = at - 5 if at > _TOP + 16 else at + 13
        parts.append(_text(_WIDTH - _RIGHT - 2, text_y, "reference-name", reference[1], "end"))
    parts.append(f'<polyline class="raw {css}" points="{_path(x, y, steps, values)}"/>')
    parts.append(f'<polyline class="smooth {css}" points="{_path(x, y, steps, smooth)}"/>')
    parts.append(
        f'<circle class="{css}" r="3.5" cx="{x(steps[-1]):.1f}" cy="{y(smooth[-1]):.1f}"/>'
    )
    return _svg(parts, _HEIGHT, label)


def dots(scores: Mapping[str, Mapping[str, float]], label: str, digits: int) -> str:
    """Returns a chart with a row per name: a dot at the mean, a bar from low to high.

    Args:
      scores: mean, low and high by name; the first is set off from the others.
      label: what a reader who cannot see the chart is told.
      digits: decimals of the values written at the right.
    """
    height, names, right = 32 * len(scores) + 34, 138, 48
    ends = [value for score in scores.values() for value in score.values()]
    low, high = _limits(min(ends), max(ends), log=False)
    x = _Axis(low, high, names, _WIDTH - right)
    parts = [
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" y2="{height - 26}"/>'
        for tick in linear_ticks(low, high, 4)
    ]
    parts.append(_x_ticks(x, linear_ticks(low, high, 4), _plain, height))
    for i, (name, score) in enumerate(scores.items()):
        css, y = "model" if i == 0 else "trivial", 22 + 32 * i
        left, mean, end = (x(score[key]) for key in ("low", "mean", "high"))
        parts.append(_text(names - 12, y + 4, f"name {css}", name, "end"))
        parts.append(f'<line class="{css}" x1="{left:.1f}" x2="{end:.1f}" {_at_y(y)}/>')
        parts.append(f'<circle class="{css}" r="5" cx="{mean:.1f}" cy="{y}"/>')
        value = f"{score['mean']:.{digits}f}"
        parts.append(_text(_WIDTH - 2, y + 4, f"value {css}", value, "end"))
    return _svg(parts, height, label)


def over_steps(
    steps: Sequence[int],
    series: Mapping[str, tuple[str, Mapping[str, Sequence[float]]]],
    label: str,
    *,
    limits: tuple[float, float] | None = None,
    reference: tuple[float, str] | None = None,
    unfitted: Collection[str] = (),
) -> str:
    """Returns a chart of scores over `steps` on a logarithmic axis, each a line in its interval.

    Args:
      steps: ascending, above 0.
      series: by name, the CSS class and mean, low and high at each step; drawn in this order.
      label: what a reader who cannot see the chart is told.
      limits: least and greatest value of the y axis; None fits them to the values.
      reference: a value to mark with a dashed line, and its name.
      unfitted: series that the y axis is not fitted to; they may leave the chart, and have no band.
    """
    fitted = [score for name, (_, score) in series.items() if name not in unfitted]
    ends = [value for score in fitted for value in (*score["low"], *score["high"])]
    ends += [reference[0]] if reference else []
    low, high = limits or _limits(min(ends), max(ends), log=False)
    x = _Axis(steps[0], max(steps[-1], steps[0] + 1), _LEFT, _WIDTH - _RIGHT, log=True)
    y = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [_y_grid(y, linear_ticks(low, high, 4)), _x_ticks(x, log_ticks(x.low, x.high), _short)]
    if reference:
        at = y(reference[0])
        parts.append(f'<line class="reference" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" {_at_y(at)}/>')
        text_y = at - 5 if at > _TOP + 16 else at + 13
        parts.append(_text(_LEFT + 4, text_y, "reference-name", reference[1], "start"))
    for name, (css, score) in series.items():
        if name in unfitted:
            continue
        there = _path(x, y, steps, np.array(score["high"]))
        back = _path(x, y, steps[::-1], np.array(score["low"])[::-1])
        parts.append(f'<polygon class="band {css}" points="{there} {back}"/>')
    for css, score in series.values():
        points = _path(x, y, steps, np.array(score["mean"]))
        parts.append(f'<polyline class="smooth {css}" points="{points}"/>')
    return _svg(parts, _HEIGHT, label)


def probes(
    rows: Mapping[str, Sequence[tuple[str, Mapping[str, float]]]],
    chances: Mapping[str, float],
    label: str,
) -> str:
    """Returns a chart with a row per name, 0 to 1: a mark at each mean, a tick where chance is.

    Args:
      rows: by name, the CSS class of each mark, and mean, low and high.
      chances: by name, what chance scores.
      label: what a reader who cannot see the chart is told.
    """
    height, names = 34 * len(rows) + 34, 138
    x = _Axis(0, 1, names, _WIDTH - _RIGHT)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    parts = [
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" y2="{height - 26}"/>'
        for tick in ticks
    ]
    parts.append(_x_ticks(x, ticks, _plain, height))
    for i, (name, marks) in enumerate(rows.items()):
        middle = 21 + 34 * i
        at = x(min(max(chances[name], 0.0), 1.0))
        parts.append(_text(names - 12, middle + 4, "name", name, "end"))
        parts.append(
            f'<line class="chance" x1="{at:.1f}" x2="{at:.1f}" '
            f'y1="{middle - 14}" y2="{middle + 14}"/>'
        )
        for j, (css, score) in enumerate(marks):
            # Below 0 there is nothing to be told apart: a probe is no use.
            low, mean, high = (x(min(max(score[k], 0.0), 1.0)) for k in ("low", "mean", "high"))
            y = middle + 12 * (j - (len(marks) - 1) / 2)
            parts.append(f'<line class="{css}" x1="{low:.1f}" x2="{high:.1f}" {_at_y(y)}/>')
            parts.append(_mark(mean, y, css, j))
    return _svg(parts, height, label)


def _mark(x: float, y: float, css: str, number: int) -> str:
    """Returns a disc for the first of several, a square for the others: color is not enough."""
    if number == 0:
        return f'<circle class="{css}" r="4.5" cx="{x:.1f}" cy="{y:.1f}"/>'
    return f'<rect class="{css}" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Returns round numbers from `low` to `high`, 1, 2 or 5 times a power of ten apart.

    There are at most `most` intervals between them.
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * m for m in (1, 2, 5, 10) if (high - low) / (power * m) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Rounded, or 3 * 0.1 is 0.30000000000000004.
    decimals = max(0, -math.floor(math.log10(step)))
    return [round(i * step, decimals) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Returns powers of ten from `low` to `high`, at most six; 1, 2, 5 times them if few."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [10.0**e for e in exponents if low <= 10.0**e <= high]
    if len(tens) <= 2:
        return [m * 10.0**e for e in exponents for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    return tens[:: math.ceil(len(tens) / 6)]


def _thin(points: np.ndarray) -> np.ndarray:
    """Returns `points` `[2, count]` with neighbors averaged until there are few enough."""
    groups = np.array_split(points, min(_MOST_POINTS, points.shape[1]), axis=1)
    return np.stack([group.mean(axis=1) for group in groups], axis=1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Returns the mean of each value and its neighbors, fewer of them at the ends."""
    reach = len(values) // 50
    window = np.ones(2 * reach + 1)
    counts = np.convolve(np.ones(len(values)), window)
    sums = np.convolve(values, window)
    return (sums / counts)[reach : reach + len(values)]


def _limits(low: float, high: float, log: bool) -> tuple[float, float]:
    """Returns `low` and `high` with some air around them, never equal."""
    if log:
        air = (high / low) ** 0.06
        return low / air, high * air
    air = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    # Nothing below zero where there is nothing negative.
    return (max(0.0, low - air) if low >= 0 else low - air), high + air


def _y_grid(y: _Axis, ticks: Sequence[float]) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" {_at_y(y(tick))}/>'
        + _text(_LEFT - 7, y(tick) + 4, "tick", _plain(tick), "end")
        for tick in ticks
    )


def _x_ticks(
    x: _Axis, ticks: Sequence[float], write: Callable[[float], str], height: int = _HEIGHT
) -> str:
    return "".join(_text(x(tick), height - 8, "tick", write(tick), "middle") for tick in ticks)


def _plain(value: float) -> str:
    if value != 0 and not 1e-4 < abs(value) < 1e5:
        mantissa, power = f"{value:.0e}".split("e")
        return f"{mantissa}e\N{MINUS SIGN}{abs(int(power))}" if int(power) < 0 else f"{value:.0e}"
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _short(steps: float) -> str:
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if steps >= unit:
            return f"{steps / unit:g}{name}"
    return f"{steps:g}"


def _at_y(y: float) -> str:
    return f'y1="{y:.1f}" y2="{y:.1f}"'


def _text(x: float, y: float, css: str, words: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}>{markup.escape(words)}</text>'


def _path(x: _Axis, y: _Axis, steps: np.ndarray, values: np.ndarray) -> str:
    # Inside the axis: a value outside given limits would be drawn over the title.
    values = np.clip(values, y.low, y.high)
    return " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in zip(steps, values, strict=True))


def _svg(parts: Sequence[str], height: int, label: str) -> str:
    box = f'viewBox="0 0 {_WIDTH} {height}"'
    return f'<svg role="img" aria-label="{markup.escape(label)}" {box}>{"".join(parts)}</svg>'
