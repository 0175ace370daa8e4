import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from drnet_jax.report import plot


def _interval(mean, half=0.1):
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _drawn(svg, *parts):
    """Returns the points, `[count, 2]`, of the one path whose style has all `parts`."""
    (path,) = (
        path.get("d")
        for path in ET.fromstring(svg).iter("path")
        if all(part in path.get("style") for part in parts)
    )
    return np.array(re.findall(r"[ML] (\S+) (\S+)", path), dtype=float)


def _marks(svg, color):
    """Returns where the markers of a color are, `[count, 2]`."""
    marks = [mark for mark in ET.fromstring(svg).iter("use") if color in mark.get("style")]
    return np.array([[float(mark.get(axis)) for axis in "xy"] for mark in marks])


RAW, SMOOTH = (
    ("stroke: var(--first)", "stroke-opacity"),
    ("stroke: var(--first)", "stroke-width: 2"),
)


def _ticks(svg, *, left):
    """Returns the texts in the margin at the left, or below the plot."""
    texts = ET.fromstring(svg).iter("text")
    return [text.text for text in texts if (float(text.get("x")) < 45) == left]


def test_colors_are_those_of_the_page_and_text_is_text():
    points = [(step, 2.0 + step) for step in range(11)]
    svg = plot.curve(points, "Loss <of> it", "second", reference=5.0)
    assert svg == plot.curve(points, "Loss <of> it", "second", reference=5.0)
    assert not re.search("#[0-9a-f]{6}", svg) and "url(" not in svg and "http" not in svg
    root = ET.fromstring(svg)
    assert root.get("role") == "img" and root[0].tag == "title" and root[0].text == "Loss <of> it"
    assert len(_drawn(svg, "stroke: var(--ink)")) == 2  # The reference, a straight line.


def test_curves_are_straight_where_they_should_be():
    linear = _drawn(plot.curve([(s, 2.0 + s) for s in range(11)], "", "first"), *RAW)
    np.testing.assert_allclose(
        np.diff(linear, axis=0), np.diff(linear, axis=0)[:1].repeat(10, 0), atol=0.11
    )
    # Halving at each step is a straight line on a logarithmic axis, falling to the bottom right.
    log = _drawn(plot.curve([(s, math.exp(-s)) for s in range(11)], "", "first"), *RAW)
    slopes = np.diff(log[:, 1])
    assert (slopes > 0).all()
    np.testing.assert_allclose(slopes, slopes[0], atol=0.11)


@pytest.mark.parametrize("values", [[3.0], [0.0], [-2.0, -2.0], [1e-9] * 5, [0.0, 1e6], [1, 1e12]])
def test_curves_stay_inside_the_plot(values):
    points = _drawn(plot.curve(list(enumerate(values)), "", "first"), *SMOOTH)
    assert np.isfinite(points).all() and len(points) == len(values)
    assert (points >= 0).all() and (points <= (340, 190)).all()


def test_values_beyond_given_limits_stay_inside_the_plot():
    svg = plot.curve([(1, 0.5), (2, 7.0)], "", "first", limits=(0, 1), reference=3.0)
    assert _drawn(svg, *SMOOTH)[:, 1].min() == 10
    assert "stroke: var(--ink)" not in svg


def test_curves_average_many_points():
    points = [(s, 5.0 * s) for s in range(1, 10_001)]
    svg = plot.curve(points, "", "first", limits=(0, 50_000))
    raw, smooth = _drawn(svg, *RAW), _drawn(svg, *SMOOTH)
    assert len(raw) == len(smooth) == 300
    # Averages of a straight line lie on it, except at the ends, where there are fewer to average.
    np.testing.assert_allclose(smooth[10:-10], raw[10:-10], atol=0.11)
    assert np.abs(smooth - raw).max() < 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.13, 0.51), ["0.2", "0.4"]),
        ((-1, 1), ["\N{MINUS SIGN}1", "0", "1"]),
        ((0.1, 0.9), ["0.25", "0.5", "0.75"]),
        ((0.0009, 2), ["0.001", "0.01", "0.1", "1"]),
        ((0.03, 1.5), ["0.05", "0.1", "0.2", "0.5", "1", "2"]),
    ],
)
def test_ticks_are_round(values, expected):
    svg = plot.curve([(0, values[0]), (12_000, values[1])], "", "first")
    assert _ticks(svg, left=True) == expected
    assert _ticks(svg, left=False) == ["0", "5k", "10k"]


def test_dots_stand_in_the_order_of_their_means():
    scores = {"first": (3.0,), "trivial": (1.0, 2.0)}
    rows = {m: [(style, _interval(m))] for style, means in scores.items() for m in means}
    svg = plot.rows({str(mean): marks for mean, marks in rows.items()}, "", digits=2)
    (a,), (b, c) = _marks(svg, "var(--first)")[:, 0:1], _marks(svg, "var(--trivial)")[:, 0:1]
    assert b < c < a
    np.testing.assert_allclose(c, (a + b) / 2, atol=0.11)
    assert [text for text in _ticks(svg, left=False) if text in ("3.00", "1.00", "2.00")]


def test_a_score_over_steps_lies_in_its_band_on_a_logarithmic_axis():
    score = {"mean": [3, 2, 1], "low": [2, 1, 0], "high": [4, 3, 2]}
    svg = plot.over_steps([1, 10, 100], [("first", score)], "", reference=1.0)
    line, band = _drawn(svg, *SMOOTH), _drawn(svg, "fill: var(--first)", "opacity: 0.2")
    np.testing.assert_allclose(np.diff(line[:, 0]), np.diff(line[:, 0])[0], atol=0.11)
    low, high = band[:3], band[5:2:-1]
    np.testing.assert_allclose(low[:, 0], high[:, 0])
    assert np.all(high[:, 1] < line[:, 1]) and np.all(line[:, 1] < low[:, 1])


def test_the_axis_is_not_fitted_to_lines_that_may_leave_the_plot():
    score = {"mean": [3, 2], "low": [2, 1], "high": [4, 3]}
    far = {end: [value, 100] for end, (value, _) in score.items()}
    svg = plot.over_steps([1, 2], [("trivial", far), ("first", score)], "", unfitted=("trivial",))
    dashed = _drawn(svg, "stroke: var(--trivial)")
    np.testing.assert_allclose(dashed[:, 1], [_drawn(svg, *SMOOTH)[0, 1], 10], atol=0.11)
    assert "fill: var(--trivial)" not in svg


def test_probes_stand_between_nothing_and_all():
    rows = {"digit": [("first", _interval(0.5)), ("second", _interval(-3.0))]}
    svg = plot.rows(rows, "", chances={"digit": 0.25})
    ((disc, _),), ((square, _),) = _marks(svg, "var(--first)"), _marks(svg, "var(--second)")
    chance = _drawn(svg, "stroke: var(--ink)")[0, 0]
    np.testing.assert_allclose(chance - square, (disc - square) / 2, atol=0.11)
    assert square == 138


def test_names_may_hold_anything():
    name = "$x$ <b> \N{CJK UNIFIED IDEOGRAPH-65E5}\0"
    svg = plot.rows({name: [("first", _interval(0.5))]}, "")
    assert name[:-1] in [text.text for text in ET.fromstring(svg).iter("text")]
