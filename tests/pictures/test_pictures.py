import io

import av
import numpy as np
import pytest
from PIL import Image

from drnet_jax.pictures import drawing, grids, video


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _noise(rng, *shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def _find(image, frame):
    """Returns the (y, x) at which `frame` is seen in `image`, which must be one place only."""
    height, width = frame.shape[:2]
    first, last = image[: 1 - height or None, : 1 - width or None], image[height - 1 :, width - 1 :]
    # Comparing whole frames is slow: do so only where two corners are right.
    corners = (first == frame[0, 0]).all(-1) & (last == frame[-1, -1]).all(-1)
    ((y, x),) = (
        (int(y), int(x))
        for y, x in np.argwhere(corners)
        if np.array_equal(image[y : y + height, x : x + width], frame)
    )
    return y, x


def _large(frame, factor):
    """Enlarges in another way than the code under test."""
    frame = np.kron(frame, np.ones((factor, factor, 1), np.uint8))
    return np.broadcast_to(frame, (*frame.shape[:2], 3))


def test_to_rgb_clips_rounds_and_repeats():
    gray = np.float32([[[[-0.2], [0.5], [1.3]]]])
    np.testing.assert_array_equal(drawing.to_rgb(gray)[0, 0], [[0] * 3, [128] * 3, [255] * 3])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((4, 4), np.uint8), "1 or 3 channels, got shape"),
        (np.zeros((4, 4, 2), np.uint8), "1 or 3 channels, got shape"),
        (np.zeros((4, 4, 4), np.uint8), "1 or 3 channels, got shape"),
        (np.zeros((4, 4, 1), np.int32), "uint8 or float, got int32"),
    ],
)
def test_to_rgb_refuses_other_channels_and_integers(frames, message):
    with pytest.raises(ValueError, match=message):
        drawing.to_rgb(frames)


@pytest.mark.parametrize(("side", "channels", "factor"), [(32, 3, 3), (64, 1, 2), (128, 3, 1)])
def test_swap_grid_puts_row_i_and_column_j_at_i_j(rng, side, channels, factor):
    poses = _noise(rng, 3, side, side, channels)
    contents = _noise(rng, 2, side, side, channels)
    swapped = _noise(rng, 2, 3, side, side, channels)
    image = grids.swap_grid(poses, contents, swapped)
    assert image.dtype == np.uint8
    tops = [_find(image, _large(frame, factor)) for frame in contents]
    lefts = [_find(image, _large(frame, factor)) for frame in poses]
    for i in range(2):
        for j in range(3):
            place = _find(image, _large(swapped[i, j], factor))
            assert place == (tops[i][0], lefts[j][1])
    as_float = [frames.astype(np.float32) / 255 for frames in (poses, contents, swapped)]
    np.testing.assert_array_equal(grids.swap_grid(*as_float), image)
    # Inputs stand farther from outputs than outputs from one another.
    size = side * factor
    between = lefts[1][1] - lefts[0][1] - size
    assert lefts[0][1] - tops[0][1] - size > between > 0
    assert tops[0][0] - lefts[0][0] - size > between
    # Nothing in the corner.
    corner = image[lefts[0][0] : tops[0][0] - 1, tops[0][1] : lefts[0][1] - 1]
    assert (corner == corner[0, 0]).all()


def test_swap_grid_refuses_transposed_grid(rng):
    frames = _noise(rng, 3, 8, 8, 3)
    with pytest.raises(ValueError, match=r"\(2, 3, 8, 8, 3\), got \(3, 2, 8, 8, 3\)"):
        grids.swap_grid(frames, frames[:2], _noise(rng, 3, 2, 8, 8, 3))


def test_rollout_strip_shows_the_asked_steps_in_order(rng):
    observed, generated = _noise(rng, 2, 3, 32, 32, 3), _noise(rng, 2, 6, 32, 32, 3)
    # 2 was observed, 10 and 500 lie beyond the nine frames there are.
    image = grids.rollout_strip(observed, generated, None, steps=(2, 4, 9, 10, 500))
    for clip in range(2):
        row = [*observed[clip], generated[clip, 0], generated[clip, 5]]
        places = [_find(image, _large(frame, 2)) for frame in row]
        assert len({y for y, _ in places}) == 1
        gaps = np.diff([x for _, x in places]) - 64
        assert (gaps > 0).all() and gaps[2] > max(gaps[0], gaps[3])
    width = grids.rollout_strip(observed, generated, None, steps=(4, 9)).shape[1]
    assert image.shape[1] == width


def test_rollout_strip_shows_truth_under_what_it_is_compared_with(rng):
    observed, generated = _noise(rng, 2, 3, 32, 32, 1), _noise(rng, 2, 6, 32, 32, 1)
    truth = _noise(rng, 2, 4, 32, 32, 1)  # Shorter than the rollout: nothing real at step 9.
    image = grids.rollout_strip(observed, generated, truth, steps=(4, 7, 9))
    for clip in range(2):
        for index in (0, 3):
            y, x = _find(image, _large(generated[clip, index], 2))
            truth_y, truth_x = _find(image, _large(truth[clip, index], 1))
            assert truth_y >= y + 64
            assert x < truth_x and truth_x + 32 < x + 64
        _find(image, _large(generated[clip, 5], 2))


def test_labeled_rows_have_frames_at_their_places(rng):
    frames = _noise(rng, 2, 3, 80, 80, 3)
    rows = [[*frames[0]], [frames[1, 0], None, frames[1, 2]]]
    groups = [("left", drawing.OBSERVED, 1), ("right", drawing.GENERATED, 2)]
    picture = grids.labeled_rows(rows, ["a\nb", "c"], ["1", "2", "3"], groups=groups)
    (_, left), _, (_, right) = (_find(picture, frame) for frame in frames[0])
    assert _find(picture, frames[1, 0])[1] == left < right
    assert _find(picture, frames[1, 2]) == (_find(picture, frames[1, 0])[0], right)
    with pytest.raises(ValueError, match=r"2 rows of \[3, 3\] frames, 1 labels, 3 headings"):
        grids.labeled_rows(rows, ["a"], ["1", "2", "3"], groups=groups)


def test_rollout_refuses_other_frames(rng):
    observed = _noise(rng, 2, 3, 8, 8, 3)
    with pytest.raises(ValueError, match=r"generated frames .* got shape \(1, 4, 8, 8, 3\)"):
        grids.rollout_strip(observed, _noise(rng, 1, 4, 8, 8, 3), None, steps=())
    with pytest.raises(ValueError, match=r"true frames .* got shape \(2, 4, 8, 8, 1\)"):
        video.rollout_animation(
            observed, _noise(rng, 2, 4, 8, 8, 3), _noise(rng, 2, 4, 8, 8, 1), ()
        )


def test_playback_steps_hurry_after_the_first():
    steps = video.playback_steps(505)
    assert steps[:100] == list(range(1, 101))
    assert steps[100:103] == [105, 110, 115] and steps[-1] == 505
    assert video.playback_steps(7) == [1, 2, 3, 4, 5, 6, 7]


def test_rollout_animation_plays_observed_then_generated(rng):
    observed, generated = _noise(rng, 2, 2, 32, 32, 3), _noise(rng, 2, 3, 32, 32, 3)
    truth = _noise(rng, 2, 3, 32, 32, 3)
    frames = video.rollout_animation(observed, generated, truth, range(1, 6))
    assert frames.shape[0] == 5 and frames.shape[3] == 3 and frames.dtype == np.uint8
    for clip in range(2):
        y, x = _find(frames[3], _large(generated[clip, 1], 3))
        truth_y, truth_x = _find(frames[3], _large(truth[clip, 1], 3))
        assert truth_x == x and truth_y + 96 < y
        np.testing.assert_array_equal(
            frames[1, y : y + 96, x : x + 96], _large(observed[clip, 1], 3)
        )
        # The outline tells what was seen from what was made.
        outlines = frames[:, y - 1, x]
        assert (outlines[0] == outlines[1]).all() and (outlines[2:] == outlines[2]).all()
        assert (outlines[1] != outlines[2]).any()
    # Everything else that moves is the counter.
    assert (frames[0, :24] != frames[1, :24]).any()


def test_rollout_animation_picks_steps(rng):
    observed, generated = _noise(rng, 1, 2, 8, 8, 1), _noise(rng, 1, 8, 8, 8, 1)
    some = video.rollout_animation(observed, generated, None, steps=[1, 3, 4])
    every = video.rollout_animation(observed, generated, None, range(1, 11))
    np.testing.assert_array_equal(some[:, 40:], every[[0, 2, 3], 40:])
    with pytest.raises(ValueError, match=r"steps from 1 to 10, got \[11\]"):
        video.rollout_animation(observed, generated, None, steps=[11])


def test_write_png_reads_back(rng, tmp_path):
    image = _noise(rng, 5, 7, 3)
    path = grids.write_png(tmp_path / "new" / "image.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(path.read_bytes()))), image)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["image.png"]


def test_write_gif_reads_back(rng, tmp_path):
    levels = np.uint8([0, 90, 180, 255])
    frames = levels[rng.integers(0, 4, (6, 21, 33, 1))].repeat(3, axis=-1)
    path = video.write_gif(tmp_path / "clip.gif", frames, fps=10)
    with Image.open(str(path)) as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (6, (33, 21), 0)
        for i in range(6):
            gif.seek(i)
            assert gif.info["duration"] == 100
            np.testing.assert_array_equal(np.asarray(gif.convert("RGB")), frames[i])


def test_write_gif_keeps_the_colors_of_text(rng, tmp_path):
    # Hardly a pixel in a frame full of other colors.
    frames = np.full((2, 64, 64, 3), drawing.CANVAS, np.uint8)
    frames[:, 16:, :, :] = _noise(rng, 2, 48, 64, 3)
    frames[:, 4, 4] = drawing.TEXT
    path = video.write_gif(tmp_path / "clip.gif", frames, fps=10)
    with Image.open(str(path)) as gif:
        image = np.asarray(gif.convert("RGB"))
    assert tuple(image[4, 4]) == drawing.TEXT and tuple(image[0, 0]) == drawing.CANVAS


@pytest.mark.parametrize("encoder", ["best", "mpeg4"])
def test_write_mp4_reads_back(rng, tmp_path, monkeypatch, encoder):
    if encoder == "mpeg4":
        monkeypatch.setattr(video, "_encoder", lambda: "mpeg4")
    shades = np.linspace(40, 220, 8).astype(np.uint8)
    frames = np.broadcast_to(shades[:, None, None, None], (8, 65, 97, 3)).copy()
    path = video.write_mp4(tmp_path / "clip.mp4", frames, fps=12.5)
    with av.open(str(path)) as container:
        assert float(container.streams.video[0].average_rate) == 12.5
        read = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert read.shape == (8, 66, 98, 3)  # Odd sides have grown by one.
    assert np.abs(read[:, :65, :97].astype(int) - frames).max() < 12
