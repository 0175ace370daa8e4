"""Line plots, heat maps and bar charts show their numbers."""

import functools

import matplotlib as mpl
import numpy as np
import pytest

from drnet_jax.pictures.drawing import CANVAS, GENERATED, MUTED, OBSERVED
from experiments.shared import plot

curves = functools.partial(plot.curves, x_label="x", y_label="y")
row = functools.partial(
    plot.heat_maps, rows=["r"], columns=["a", "b"], row_name="row", column_name="column"
)


def band(mean, low, high, x=None):
    x = np.arange(1.0, 41.0) if x is None else x
    return {"x": x} | {k: x * 0 + v for k, v in dict(mean=mean, low=low, high=high).items()}


def interval(mean):
    return dict(mean=mean, low=mean - 0.02, high=mean + 0.03)


def close(picture, color, tolerance=2):
    """Returns which pixels have about the given color."""
    return (np.abs(picture.astype(int) - np.round(color)) <= tolerance).all(-1)


def cividis(share):
    return 255 * np.array(mpl.colormaps["cividis"](share)[:3])


def groups(counts, at_least):
    """Returns groups of neighboring places whose counts are high enough."""
    places = np.flatnonzero(counts >= at_least)
    return np.split(places, np.flatnonzero(np.diff(places) > 2) + 1)


@pytest.mark.parametrize("low", [0.1, 0.4])
def test_bands_and_lines_are_where_the_numbers_are(low):
    picture = curves({"a": band(0.75, low, 0.8)}, references={"none": 0.0, "all": 1.0})
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    # The lowest of three is the axis.
    muted = close(picture, MUTED, 12).sum(axis=1)
    top, bottom, _ = (group.mean() for group in groups(muted, 150))
    shade = 0.78 * np.array(CANVAS) + 0.22 * np.array(OBSERVED)
    filled = np.flatnonzero(close(picture, shade).sum(axis=1) >= 300)
    line = np.flatnonzero(close(picture, OBSERVED, 12).sum(axis=1) >= 300)
    rows = np.array([filled.max(), filled.min(), line.mean()])
    np.testing.assert_allclose((bottom - rows) / (bottom - top), [low, 0.8, 0.75], atol=0.02)


def test_logarithmic_axes_have_decades_at_equal_distances():
    series = {"a": band(0.5, 0.4, 0.6, x=np.array([1.0, 10.0, 100.0]))}
    picture = curves(series, log_x=True)
    # Markers are the only objects of full color above and below the line.
    columns = close(picture, OBSERVED, 0).sum(axis=0)
    *centers, _ = (group.mean() for group in groups(columns, 5))
    # The last marker is in the legend.
    assert len(centers) == 3
    assert np.diff(centers)[0] == pytest.approx(np.diff(centers)[1], abs=2)


def test_series_differ_in_more_than_color():
    picture = curves({"a": band(0.2, 0.2, 0.2), "b": band(0.8, 0.8, 0.8)})
    solid, dashed = (close(picture, color, 0).sum(axis=1).max() for color in (OBSERVED, GENERATED))
    assert dashed < 0.9 * solid


def test_cells_have_the_colors_of_their_numbers():
    def ends(values):
        """Returns the columns of the cells with the lowest and the highest color."""
        picture = row({"score": np.array([values])})
        counts = (close(picture, cividis(end), 1).sum(axis=0) for end in (0.0, 1.0))
        return [np.flatnonzero(count > 20).mean() for count in counts]

    low, high = ends([1.0, 5.0])
    assert low < high
    np.testing.assert_allclose([high, low], ends([5.0, 1.0]), atol=2)


def test_a_given_range_does_not_exaggerate_small_differences():
    panels = {"score": np.array([[0.50, 0.51]])}
    fitted, given = (
        close(row(panels, ranges=ends), cividis(0.5), 6).sum()
        for ends in (None, {"score": (0.0, 1.0)})
    )
    assert fitted < 1_000
    assert given > 5_000


def test_cells_without_a_number_are_empty():
    empty, full = (
        close(row({"s": np.array([[1.0, value]])}), CANVAS, 0).sum() for value in (np.nan, 1.5)
    )
    assert empty - full > 2_000


def test_bars_are_as_high_as_their_numbers():
    scores = {"a": {"x": interval(0.8)}, "b": {"x": interval(0.4)}, "c": {"x": None}}
    picture = plot.bars(scores, y_label="share", references={"chance": 0.2})
    columns = close(picture, OBSERVED, 0).sum(axis=0)
    # The dashed line is drawn behind the bars.
    high, low = (columns[group].max() for group in groups(columns, 41))
    assert high / low == pytest.approx(2, abs=0.05)


def test_pictures_are_stacked_on_the_canvas():
    wide, narrow = np.full((3, 9, 3), 7, np.uint8), np.full((2, 4, 3), 8, np.uint8)
    whole = plot.stack(wide, narrow)
    assert whole.shape == (5, 9, 3)
    np.testing.assert_array_equal(whole[3:, :4], narrow)
    assert (whole[3:, 4:] == CANVAS).all()


GOOD = {k: [1.0, 2.0] for k in ("x", "mean", "low", "high")}
SEVEN = {str(i): GOOD for i in range(7)}
bars = functools.partial(plot.bars, y_label="y")


@pytest.mark.parametrize(
    ("draw", "data", "message"),
    [
        (curves, {}, r"^Expected 1 to 6 series, got 0\.$"),
        (curves, SEVEN, r"^Expected 1 to 6 series, got 7\.$"),
        (curves, {"a": {"x": [1.0], "mean": [1.0]}}, r"^a has no high, low\.$"),
        (curves, {"a": GOOD | {"low": [1.0]}}, r"^a has lengths .*'low': 1.*; expected one"),
        (curves, {"a": GOOD | {"mean": [1.0, np.nan]}}, r"^a has values in mean that are not"),
        (curves, {"a": GOOD | {"x": [0.0, 1.0]}}, r"^Expected x above 0 on a .* axis, got 0\.$"),
        (row, {}, r"^Expected at least 1 panel, got 0\.$"),
        (row, {"s": np.ones((2, 1))}, r"^s has shape \(2, 1\); expected \(1, 2\), the numbers"),
        (bars, {}, r"^Expected 1 to 6 bars in a group, got 0\.$"),
        (bars, {"g": {"a": {"mean": 1.0}}}, r"^g, a has no high, low\.$"),
        (bars, {"g": {"a": interval(np.inf)}}, r"^g, a has values in mean, low, high that are"),
    ],
)
def test_data_that_cannot_be_drawn(draw, data, message):
    with pytest.raises(ValueError, match=message):
        draw(data, **({"log_x": True} if draw is curves else {}))
