"""Curves, heat maps and bars: what is drawn are the numbers."""

import matplotlib as mpl
import numpy as np
import pytest

from drnet_jax.pictures.drawing import CANVAS, GENERATED, MUTED, OBSERVED
from experiments.shared import plot

STEPS = np.arange(1.0, 41.0)


def band(mean, low, high):
    return dict(
        x=STEPS, **{k: np.full(40, v) for k, v in dict(mean=mean, low=low, high=high).items()}
    )


def rows_of(picture, color, at_least):
    """Returns the rows that have so many pixels of a color."""
    close = np.abs(picture.astype(int) - color).max(-1) <= 12
    return np.flatnonzero(close.sum(axis=1) >= at_least)


def interval(mean):
    return dict(mean=mean, low=mean - 0.02, high=mean + 0.03)


@pytest.mark.parametrize("low", [0.1, 0.4])
def test_bands_and_lines_are_where_the_numbers_are(low):
    references = {"none": 0.0, "all": 1.0}
    picture = plot.curves(
        {"a": band(0.75, low, 0.8)}, x_label="x", y_label="y", references=references
    )
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    # The lowest of three is the axis.
    top, bottom, _ = (group.mean() for group in runs_of(rows_of(picture, MUTED, 300)))
    shade = np.round(0.78 * np.array(CANVAS) + 0.22 * np.array(OBSERVED))
    close = (np.abs(picture.astype(int) - shade) <= 2).all(-1).sum(axis=1) >= 300
    filled = np.flatnonzero(close)
    height = bottom - top
    assert (bottom - filled.max()) / height == pytest.approx(low, abs=0.02)
    assert (bottom - filled.min()) / height == pytest.approx(0.8, abs=0.02)
    line = rows_of(picture, OBSERVED, 300)
    assert (bottom - line.mean()) / height == pytest.approx(0.75, abs=0.02)


def test_logarithmic_axes_have_decades_at_equal_distances():
    x = np.array([1.0, 10.0, 100.0])
    series = {"a": dict(x=x, mean=x * 0 + 0.5, low=x * 0 + 0.4, high=x * 0 + 0.6)}
    picture = plot.curves(series, x_label="x", y_label="y", log_x=True)
    # Markers are the only objects of full color above and below the line.
    columns = (picture == OBSERVED).all(-1).sum(axis=0)
    centers = [group.mean() for group in runs_of(np.flatnonzero(columns >= 5))]
    assert len(centers) == 3
    assert np.diff(centers)[0] == pytest.approx(np.diff(centers)[1], abs=2)


def runs_of(numbers):
    """Returns runs of neighboring numbers."""
    return np.split(numbers, np.flatnonzero(np.diff(numbers) > 2) + 1)


def test_series_differ_in_more_than_color():
    series = {name: band(mean, mean, mean) for name, mean in (("a", 0.2), ("b", 0.8))}
    picture = plot.curves(series, x_label="x", y_label="y")
    solid, dashed = (rows_of(picture, color, 200) for color in (OBSERVED, GENERATED))
    counts = [
        (picture[rows] == color).all(-1).sum(axis=1).max()
        for rows, color in ((solid, OBSERVED), (dashed, GENERATED))
    ]
    assert counts[1] < 0.9 * counts[0]


def test_cells_have_the_colors_of_their_numbers():
    least, greatest = (
        np.round(255 * np.array(mpl.colormaps["cividis"](end)[:3])) for end in (0.0, 1.0)
    )
    places = {}
    for name, values in (("up", [[1.0, 5.0]]), ("down", [[5.0, 1.0]])):
        picture = plot.heat_maps(
            {"score": np.array(values)},
            rows=["r"],
            columns=["a", "b"],
            row_name="row",
            column_name="column",
        )
        places[name] = [
            np.flatnonzero((np.abs(picture - color) <= 1).all(-1).sum(axis=0) > 20).mean()
            for color in (least, greatest)
        ]
    assert places["up"][0] < places["up"][1]
    np.testing.assert_allclose(places["up"], places["down"][::-1], atol=2)


def test_cells_of_a_given_range_do_not_make_much_of_little():
    words = dict(rows=["r"], columns=["a", "b"], row_name="row", column_name="column")
    panels = {"score": np.array([[0.50, 0.51]])}
    middle = np.round(255 * np.array(mpl.colormaps["cividis"](0.5)[:3]))
    counts = [
        (np.abs(plot.heat_maps(panels, ranges=ends, **words) - middle).max(-1) <= 6).sum()
        for ends in (None, {"score": (0.0, 1.0)})
    ]
    assert counts[0] < 1_000
    assert counts[1] > 5_000


def test_cells_without_a_number_are_empty():
    def draw(value):
        values = np.array([[1.0, value], [2.0, 3.0]])
        words = dict(row_name="row", column_name="column")
        return plot.heat_maps({"s": values}, rows=["r", "s"], columns=["a", "b"], **words)

    empty, full = ((draw(value) == CANVAS).all(-1).sum() for value in (np.nan, 1.5))
    assert empty - full > 2_000


def test_bars_are_as_high_as_their_numbers():
    scores = {"a": {"x": interval(0.8)}, "b": {"x": interval(0.4)}, "c": {"x": None}}
    picture = plot.bars(scores, y_label="share", references={"chance": 0.2})
    columns = (picture[58:] == OBSERVED).all(-1).sum(axis=0)
    high, low = (columns[group].max() for group in runs_of(np.flatnonzero(columns > 40)))
    # The dashed line is drawn behind.
    assert high / low == pytest.approx(2, abs=0.05)


def test_pictures_are_stacked_on_the_canvas():
    wide, narrow = np.full((3, 9, 3), 7, np.uint8), np.full((2, 4, 3), 8, np.uint8)
    whole = plot.stack(wide, narrow)
    assert whole.shape == (5, 9, 3)
    np.testing.assert_array_equal(whole[3:, :4], narrow)
    assert (whole[3:, 4:] == CANVAS).all()


def test_labels_do_not_overlap_and_stay_near():
    rng = np.random.default_rng(0)
    for _ in range(20):
        places, sizes = rng.uniform(0, 1, 6), rng.uniform(0.03, 0.1, 6)
        moved = plot._spread(places, sizes)
        order = np.argsort(places)
        gaps = np.diff(moved[order]) - (sizes[order][1:] + sizes[order][:-1]) / 2
        assert gaps.min() > -1e-9
        assert np.all(moved + sizes / 2 < 1 + 1e-9)
    apart = np.array([0.9, 0.1, 0.5])
    np.testing.assert_array_equal(plot._spread(apart, np.full(3, 0.1)), apart)


GOOD = {k: [1.0, 2.0] for k in ("x", "mean", "low", "high")}


@pytest.mark.parametrize(
    ("series", "log_x", "message"),
    [
        ({}, False, r"^Expected 1 to 6 series, got 0\.$"),
        ({str(i): GOOD for i in range(7)}, False, r"^Expected 1 to 6 series, got 7\.$"),
        ({"a": {"x": [1.0], "mean": [1.0]}}, False, r"^a lacks high, low\.$"),
        ({"a": GOOD | {"low": [1.0]}}, False, r"^a has lengths .*'low': 1.*; expected one length"),
        ({"a": GOOD | {"mean": [1.0, np.nan]}}, False, r"^a has numbers in mean that are not"),
        ({"a": GOOD | {"x": [0.0, 1.0]}}, True, r"^Expected x above 0 on a .* axis, got 0\.$"),
    ],
)
def test_series_that_cannot_be_drawn(series, log_x, message):
    with pytest.raises(ValueError, match=message):
        plot.curves(series, x_label="x", y_label="y", log_x=log_x)


def test_tables_that_cannot_be_drawn():
    words = dict(rows=["r"], columns=["a", "b"], row_name="row", column_name="column")
    with pytest.raises(ValueError, match=r"^s has shape \(2, 1\); expected \(1, 2\): 1 rows and 2"):
        plot.heat_maps({"s": np.ones((2, 1))}, **words)
    with pytest.raises(ValueError, match=r"^Expected at least 1 panel, got 0\.$"):
        plot.heat_maps({}, **words)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, r"^Expected 1 to 6 bars in a group, got 0\.$"),
        ({"g": {"a": {"mean": 1.0}}}, r"^g, a lacks high, low\.$"),
        ({"g": {"a": interval(np.inf)}}, r"^g, a has numbers that are not finite: inf"),
    ],
)
def test_bars_that_cannot_be_drawn(groups, message):
    with pytest.raises(ValueError, match=message):
        plot.bars(groups, y_label="y")
