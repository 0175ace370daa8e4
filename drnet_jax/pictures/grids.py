"""Still pictures of what a model saw and what it made: swap grids and rollout strips."""

import io
import math
from collections.abc import Sequence

import numpy as np
from etils import epath
from PIL import Image, ImageFont

from drnet_jax.base import files
from drnet_jax.pictures import drawing


def write_png(path: epath.PathLike, image: np.ndarray) -> epath.Path:
    """Writes `image`, uint8 `[height, width, 3]`, and returns its path."""
    buffer = io.BytesIO()
    # Not `optimize`, which takes eight times as long to save a tenth.
    Image.fromarray(image).save(buffer, format="png")
    return files.write_atomically(path, buffer.getvalue())


def swap_grid(
    pose_frames: np.ndarray, content_frames: np.ndarray, swapped: np.ndarray
) -> np.ndarray:
    """Returns the grid in which every row has one content and every column one pose.

    Args:
      pose_frames: `[num_poses, height, width, channels]`, shown along the top.
      content_frames: `[num_contents, height, width, channels]`, shown down the left side.
      swapped: `[num_contents, num_poses, height, width, channels]`, what the decoder made of
          content i and pose j.

    Returns:
      uint8 `[height, width, 3]`.

    Raises:
      ValueError: when the shapes do not fit together or there is nothing to show.

    Source: paper, Fig. 3 left.
    """
    expected = (len(content_frames), *pose_frames.shape)
    if swapped.shape != expected or swapped.size == 0:
        raise ValueError(f"Expected swapped frames of shape {expected}, got {swapped.shape}.")
    factor = drawing.enlargement(pose_frames, at_least=80)
    poses, contents, decoded = (
        drawing.enlarge(drawing.to_rgb(frames), factor)
        for frames in (pose_frames, content_frames, swapped)
    )
    height, width = poses.shape[1:3]
    first = drawing.LINE + drawing.MARGIN
    lefts = _places(first + width + drawing.GAP, width + drawing.GUTTER, len(poses))
    tops = _places(first + height + drawing.GAP, height + drawing.GUTTER, len(contents))
    picture = drawing.blank(lefts[-1] + width + drawing.MARGIN, tops[-1] + height + drawing.MARGIN)
    for j, x in enumerate(lefts):
        drawing.paste(picture, poses[j], x, first)
    for i, y in enumerate(tops):
        drawing.paste(picture, contents[i], first, y)
        for j, x in enumerate(lefts):
            drawing.paste(picture, decoded[i, j], x, y)
    picture.paste(drawing.arrow_label("pose"), (lefts[0], 4))
    sideways = drawing.arrow_label("content").transpose(Image.Transpose.ROTATE_270)
    picture.paste(sideways, (4, tops[0]))
    return np.asarray(picture)


def rollout_strip(
    observed: np.ndarray, generated: np.ndarray, truth: np.ndarray | None, steps: Sequence[int]
) -> np.ndarray:
    """Returns a row per clip: its observed frames, then the generated ones at `steps`.

    Args:
      observed: `[num_clips, num_observed, height, width, channels]`.
      generated: `[num_clips, num_steps, height, width, channels]`, following `observed`.
      truth: what really followed, as `generated` but maybe of fewer steps, or None. Drawn at
          half size under the generated frames.
      steps: time steps to show, where 1 is the first observed frame. Steps that were observed
          or lie beyond what was generated are left out.

    Returns:
      uint8 `[height, width, 3]`.

    Raises:
      ValueError: when the shapes do not fit together.

    Source: paper, Fig. 3 right.
    """
    drawing.check_rollout(observed, generated, truth)
    num_observed = observed.shape[1]
    shown = [t - num_observed - 1 for t in steps]
    shown = [index for index in shown if 0 <= index < generated.shape[1]]
    factor = drawing.enlargement(observed, at_least=64)
    height, width = (factor * side for side in observed.shape[2:4])
    lefts = _places(drawing.MARGIN, width + drawing.GUTTER, num_observed + len(shown))
    lefts[num_observed:] = [x + drawing.GAP for x in lefts[num_observed:]]
    truth_height = 0 if truth is None else height // 2 + drawing.GUTTER
    tops = _places(2 * drawing.LINE + 10, height + truth_height + 10, len(observed))
    picture = drawing.blank(
        lefts[-1] + width + drawing.MARGIN, tops[-1] + height + truth_height + drawing.MARGIN
    )
    times = [*range(1, num_observed + 1), *(index + num_observed + 1 for index in shown)]
    _write_times(picture, times, num_observed, lefts, width)
    for i, top in enumerate(tops):
        row = np.concatenate([observed[i], generated[i, shown]])
        for x, frame in zip(lefts, drawing.enlarge(drawing.to_rgb(row), factor), strict=True):
            drawing.paste(picture, frame, x, top)
        if truth is not None and shown:
            real = {
                x: drawing.enlarge(drawing.to_rgb(truth[i, index]), factor)
                for x, index in zip(lefts[num_observed:], shown, strict=True)
                if index < truth.shape[1]
            }
            _draw_truth(picture, real, top + height + drawing.GUTTER)
            middle = (lefts[num_observed] - drawing.GAP, top + height + height // 4)
            drawing.text(picture, "truth", middle, drawing.MUTED, anchor="rm", size=13)
    return np.asarray(picture)


def clips(frames: np.ndarray, times: Sequence[int]) -> np.ndarray:
    """Returns a row per clip with its frames at `times`.

    Args:
      frames: `[num_clips, time, height, width, channels]`.
      times: the time of each frame, written above.

    Returns:
      uint8 `[height, width, 3]`.
    """
    factor = drawing.enlargement(frames, at_least=64)
    height, width = (factor * side for side in frames.shape[2:4])
    lefts = _places(drawing.MARGIN, width + drawing.GUTTER, frames.shape[1])
    tops = _places(drawing.LINE + 6, height + drawing.GUTTER, len(frames))
    picture = drawing.blank(lefts[-1] + width + drawing.MARGIN, tops[-1] + height + drawing.MARGIN)
    for x, time in zip(lefts, times, strict=True):
        center = (x + width // 2, drawing.LINE // 2 + 3)
        drawing.text(picture, f"t = {time}", center, drawing.MUTED, anchor="mm", size=13)
    for row, top in zip(drawing.enlarge(drawing.to_rgb(frames), factor), tops, strict=True):
        for x, frame in zip(lefts, row, strict=True):
            drawing.paste(picture, frame, x, top)
    return np.asarray(picture)


def labeled_rows(
    rows: Sequence[Sequence[np.ndarray | None]],
    labels: Sequence[str],
    headings: Sequence[str],
    *,
    groups: Sequence[tuple[str, drawing.Color, int]],
    rows_together: int = 1,
) -> np.ndarray:
    """Returns rows of frames with words to their left and above.

    Args:
      rows: frames `[height, width, channels]` of one shape, None where there is nothing to show.
      labels: of each row; lines after the first are set in smaller type.
      headings: of each column.
      groups: name, color and number of columns of neighbors that belong together.
      rows_together: after so many rows there is a gap.

    Returns:
      uint8 `[height, width, 3]`.

    Raises:
      ValueError: when the numbers of rows, columns and words do not fit together.
    """
    widths = {len(headings), sum(size for *_, size in groups), *map(len, rows)}
    if len(labels) != len(rows) or len(widths) != 1:
        raise ValueError(
            f"{len(rows)} rows of {[len(row) for row in rows]} frames, {len(labels)} labels, "
            f"{len(headings)} headings, groups of {[size for *_, size in groups]} columns."
        )
    like = next(frame for row in rows for frame in row if frame is not None)
    factor = drawing.enlargement(like, at_least=80)
    height, width = (factor * side for side in like.shape[:2])
    lefts, x = [], drawing.MARGIN + _words_width(labels)
    for *_, size in groups:
        lefts += _places(x + drawing.GAP, width + drawing.GUTTER, size)
        x = lefts[-1] + width
    tops = _places(2 * drawing.LINE + 10, height + drawing.GUTTER, len(rows))
    tops = [y + i // rows_together * drawing.GUTTER for i, y in enumerate(tops)]
    picture = drawing.blank(x + drawing.MARGIN, tops[-1] + height + drawing.MARGIN)
    _write_headings(picture, groups, headings, lefts, width)
    for row, label, y in zip(rows, labels, tops, strict=True):
        for i, line in enumerate(label.split("\n")):
            place = (drawing.MARGIN, y + drawing.LINE // 2 + i * 18)
            color, size = (drawing.MUTED, 13) if i else (drawing.TEXT, 15)
            drawing.text(picture, line, place, color, anchor="lm", size=size)
        for frame, left in zip(row, lefts, strict=True):
            if frame is not None:
                drawing.paste(picture, drawing.enlarge(drawing.to_rgb(frame), factor), left, y)
    return np.asarray(picture)


def _places(start: int, stride: int, count: int) -> list[int]:
    return [start + i * stride for i in range(count)]


def _write_times(
    picture: Image.Image, times: Sequence[int], num_observed: int, lefts: list[int], width: int
) -> None:
    """Writes "observed" and "generated", and a time step above each column."""
    groups = (
        ("observed", drawing.OBSERVED, lefts[:num_observed]),
        ("generated", drawing.GENERATED, lefts[num_observed:]),
    )
    for words, color, columns in groups:
        if columns:
            drawing.heading(picture, words, color, columns[0], columns[-1] + width)
    for x, time in zip(lefts, times, strict=True):
        center = (x + width // 2, drawing.LINE + 18)
        drawing.text(picture, f"t = {time}", center, drawing.MUTED, anchor="mm", size=13)


def _words_width(labels: Sequence[str]) -> int:
    """Returns how many pixels the longest line of labels takes."""
    lines = [line for label in labels for line in label.split("\n")]
    return max(math.ceil(ImageFont.load_default(size=15).getlength(line)) for line in lines)


def _write_headings(
    picture: Image.Image,
    groups: Sequence[tuple[str, drawing.Color, int]],
    headings: Sequence[str],
    lefts: list[int],
    width: int,
) -> None:
    """Writes the name of each group of columns, and a heading above each column."""
    first = 0
    for words, color, size in groups:
        drawing.heading(picture, words, color, lefts[first], lefts[first + size - 1] + width)
        first += size
    for x, words in zip(lefts, headings, strict=True):
        center = (x + width // 2, drawing.LINE + 18)
        drawing.text(picture, words, center, drawing.MUTED, anchor="mm", size=13)


def _draw_truth(picture: Image.Image, frames: dict[int, np.ndarray], top: int) -> None:
    """Draws `frames`, by the x of their column, at half size from `top` down."""
    for x, frame in frames.items():
        height, width = (side // 2 for side in frame.shape[:2])
        # The mean of 2 x 2 pixels, which are equal unless the frames were too large to enlarge.
        small = frame[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
        drawing.paste(picture, small.round().astype(np.uint8), x + (width + 1) // 2, top)
