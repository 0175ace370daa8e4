"""Still pictures of what a model saw and what it made of it: swap grids and rollout strips."""

import io
import math
from collections.abc import Sequence

import numpy as np
from etils import epath
from PIL import Image, ImageFont

from drnet_jax.base import files
from drnet_jax.pictures import drawing

Group = tuple[str, drawing.Color, int]
"""Name, color and number of adjacent columns that belong together."""

_HEADER = 2 * drawing.LINE + 10  # Names of groups and headings of columns.


def write_png(path: epath.PathLike, image: np.ndarray) -> epath.Path:
    """Writes `image`, uint8 `[height, width, 3]`, and returns its path."""
    buffer = io.BytesIO()
    # Without `optimize`, which takes eight times as long to save a tenth.
    Image.fromarray(image).save(buffer, format="png")
    return files.write_atomically(path, buffer.getvalue())


def swap_grid(
    pose_frames: np.ndarray, content_frames: np.ndarray, swapped: np.ndarray
) -> np.ndarray:
    """Returns the grid in which every row has one content and every column one pose.

    Args:
      pose_frames: `[num_poses, height, width, channels]`, shown along the top.
      content_frames: `[num_contents, height, width, channels]`, shown down the left side.
      swapped: `[num_contents, num_poses, height, width, channels]`, decoded from content i and
        pose j.

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
    height, width = (factor * side for side in pose_frames.shape[1:3])
    first, *lefts = _swap_grid_places(width, len(pose_frames))
    first, *tops = _swap_grid_places(height, len(content_frames))
    picture = drawing.blank(lefts[-1] + width + drawing.MARGIN, tops[-1] + height + drawing.MARGIN)
    drawing.paste_row(picture, pose_frames, lefts, first, factor)
    for content, row, top in zip(content_frames, swapped, tops, strict=True):
        drawing.paste_row(picture, [content, *row], [first, *lefts], top, factor)
    picture.paste(drawing.arrow_label("pose"), (lefts[0], 4))
    sideways = drawing.arrow_label("content").transpose(Image.Transpose.ROTATE_270)
    picture.paste(sideways, (4, tops[0]))
    return np.asarray(picture)


def swap_grid_layout(
    picture_width: int, picture_height: int, image_size: int
) -> tuple[int, list[int], list[int]] | None:
    """Returns where the frames of a picture by `swap_grid` are, or None if it is none.

    These are, in pixels, the side of a frame, the left edges of the columns and the top edges of
    the rows; the first column holds the contents and the first row the poses.

    Args:
      picture_width: of the picture, in pixels.
      picture_height: of the picture, in pixels.
      image_size: height and width of the frames before they were enlarged.
    """
    side = image_size * drawing.enlargement(np.empty((image_size, image_size, 1)), at_least=80)
    edges = []
    for length in (picture_width, picture_height):
        num_frames = length // (side + drawing.GUTTER) - 1
        places = _swap_grid_places(side, max(1, num_frames))
        if places[-1] + side + drawing.MARGIN != length:
            return None
        edges.append(places)
    return side, *edges


def _swap_grid_places(side: int, num_frames: int) -> list[int]:
    """Returns the edges of a source and of `num_frames` frames along one axis of a swap grid."""
    first = drawing.LINE + drawing.MARGIN
    return [first, *_places(first + side + drawing.GAP, side + drawing.GUTTER, num_frames)]


def rollout_strip(
    observed: np.ndarray, generated: np.ndarray, truth: np.ndarray | None, steps: Sequence[int]
) -> np.ndarray:
    """Returns a row per clip: its observed frames, then the generated ones at `steps`.

    Args:
      observed: `[num_clips, num_observed, height, width, channels]`.
      generated: `[num_clips, num_steps, height, width, channels]`, following `observed`.
      truth: the true continuation, shaped like `generated` but possibly shorter, or None. It is
        drawn at half size under the generated frames.
      steps: time steps to show; 1 is the first observed frame. Steps that were observed or were
        not generated are left out.

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
    row_height = height if truth is None else height + height // 2 + drawing.GUTTER
    tops = _places(_HEADER, row_height + 10, len(observed))
    picture = drawing.blank(
        lefts[-1] + width + drawing.MARGIN, tops[-1] + row_height + drawing.MARGIN
    )
    groups = (
        ("observed", drawing.OBSERVED, num_observed),
        ("generated", drawing.GENERATED, len(shown)),
    )
    times = [*range(1, num_observed + 1), *(index + num_observed + 1 for index in shown)]
    _write_headings(picture, groups, [f"t = {t}" for t in times], lefts, width)
    for clip, made, top in zip(observed, generated, tops, strict=True):
        drawing.paste_row(picture, [*clip, *made[shown]], lefts, top, factor)
    if truth is not None and shown:
        for clip, top in zip(truth, tops, strict=True):
            for x, index in zip(lefts[num_observed:], shown, strict=True):
                if index < len(clip):
                    frame = _halved(drawing.enlarge(drawing.to_rgb(clip[index]), factor))
                    middle = x + (width // 2 + 1) // 2
                    drawing.paste(picture, frame, middle, top + height + drawing.GUTTER)
            place = (lefts[num_observed] - drawing.GAP, top + height + height // 4)
            drawing.text(picture, "truth", place, drawing.MUTED, anchor="rm", size=13)
    return np.asarray(picture)


def clips(frames: np.ndarray, times: Sequence[int]) -> np.ndarray:
    """Returns a row per clip with its frames at `times`.

    Args:
      frames: `[num_clips, time, height, width, channels]`.
      times: the time of each frame, written above it.

    Returns:
      uint8 `[height, width, 3]`.
    """
    factor = drawing.enlargement(frames, at_least=64)
    height, width = (factor * side for side in frames.shape[2:4])
    lefts = _places(drawing.MARGIN, width + drawing.GUTTER, frames.shape[1])
    tops = _places(drawing.LINE + 6, height + drawing.GUTTER, len(frames))
    picture = drawing.blank(lefts[-1] + width + drawing.MARGIN, tops[-1] + height + drawing.MARGIN)
    _write_above(picture, [f"t = {t}" for t in times], lefts, width, drawing.LINE // 2 + 3)
    for row, top in zip(frames, tops, strict=True):
        drawing.paste_row(picture, row, lefts, top, factor)
    return np.asarray(picture)


def labeled_rows(
    rows: Sequence[Sequence[np.ndarray | None]],
    labels: Sequence[str],
    headings: Sequence[str],
    *,
    groups: Sequence[Group],
    rows_together: int = 1,
) -> np.ndarray:
    """Returns rows of frames with a label at the left of each and a heading above each column.

    Args:
      rows: frames `[height, width, channels]` of one shape, or None where a place stays empty.
      labels: one per row; lines after the first are set in smaller type.
      headings: one per column.
      groups: which adjacent columns belong together.
      rows_together: number of rows between wider gaps.

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
    lines = "\n".join(labels).split("\n")
    words_width = max(math.ceil(ImageFont.load_default(size=15).getlength(line)) for line in lines)
    lefts, x = [], drawing.MARGIN + words_width
    for *_, size in groups:
        lefts += _places(x + drawing.GAP, width + drawing.GUTTER, size)
        x = lefts[-1] + width
    tops = _places(_HEADER, height + drawing.GUTTER, len(rows))
    tops = [y + i // rows_together * drawing.GUTTER for i, y in enumerate(tops)]
    picture = drawing.blank(x + drawing.MARGIN, tops[-1] + height + drawing.MARGIN)
    _write_headings(picture, groups, headings, lefts, width)
    for row, label, top in zip(rows, labels, tops, strict=True):
        drawing.paste_row(picture, row, lefts, top, factor)
        for i, line in enumerate(label.split("\n")):
            place = (drawing.MARGIN, top + drawing.LINE // 2 + i * 18)
            color, size = (drawing.MUTED, 13) if i else (drawing.TEXT, 15)
            drawing.text(picture, line, place, color, anchor="lm", size=size)
    return np.asarray(picture)


def _places(start: int, stride: int, count: int) -> list[int]:
    return [start + i * stride for i in range(count)]


def _write_headings(
    picture: Image.Image,
    groups: Sequence[Group],
    headings: Sequence[str],
    lefts: Sequence[int],
    width: int,
) -> None:
    """Writes the name of each group of columns, and a heading above each column."""
    first = 0
    for words, color, size in groups:
        if size:
            drawing.heading(picture, words, color, lefts[first], lefts[first + size - 1] + width)
        first += size
    _write_above(picture, headings, lefts, width, drawing.LINE + 18)


def _write_above(
    picture: Image.Image, headings: Sequence[str], lefts: Sequence[int], width: int, y: int
) -> None:
    """Writes a heading above each column, in the middle of its `width` and at the height `y`."""
    for x, words in zip(lefts, headings, strict=True):
        drawing.text(picture, words, (x + width // 2, y), drawing.MUTED, anchor="mm", size=13)


def _halved(frame: np.ndarray) -> np.ndarray:
    """Returns `frame`, uint8 `[height, width, 3]`, at half its size."""
    height, width = (side // 2 for side in frame.shape[:2])
    # [row, 2, column, 2, channel]: the mean of 2 x 2 pixels, which are equal in enlarged frames.
    blocks = frame[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    return blocks.mean((1, 3)).round().astype(np.uint8)
