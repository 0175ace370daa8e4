"""Frames, text and lines on a canvas: the strokes that every picture consists of.

Frames are NumPy arrays `[..., height, width, channels]`, uint8 or float in [0, 1], with one or
three channels. They are enlarged by repeating pixels, never by interpolation, so that a picture
shows exactly what the model made.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

# A dark slate, from which black frames stand out, and which suits light and dark pages.
CANVAS: Color = (52, 58, 68)
TEXT: Color = (228, 232, 237)
MUTED: Color = (172, 180, 192)
# Two of the Okabe-Ito colors, which every kind of color vision can tell apart.
OBSERVED: Color = (86, 180, 233)
GENERATED: Color = (230, 159, 0)

GUTTER = 4  # Between frames of one kind.
GAP = 16  # Between inputs and outputs.
MARGIN = 8
LINE = 22  # Height of a line of text.


def to_rgb(frames: np.ndarray) -> np.ndarray:
    """Returns `frames` `[..., height, width, 1 or 3]` as uint8 with three channels.

    Raises:
      ValueError: for another number of channels, or integers other than uint8.
    """
    frames = np.asarray(frames)
    if frames.ndim < 3 or frames.shape[-1] not in (1, 3):
        raise ValueError(f"Expected frames of 1 or 3 channels, got shape {frames.shape}.")
    if frames.dtype != np.uint8:
        # Not a test for np.floating, which bfloat16 would fail.
        if frames.dtype.kind in "biu":
            raise ValueError(f"Expected frames of dtype uint8 or float, got {frames.dtype}.")
        frames = np.round(np.clip(frames.astype(np.float32), 0, 1) * 255).astype(np.uint8)
    return np.repeat(frames, 3, axis=-1) if frames.shape[-1] == 1 else frames


def enlarge(frames: np.ndarray, factor: int) -> np.ndarray:
    """Returns `frames` `[..., height, width, channels]` with each pixel repeated `factor` times."""
    return frames.repeat(factor, axis=-3).repeat(factor, axis=-2)


def enlargement(frames: np.ndarray, *, at_least: int) -> int:
    """Returns the smallest factor that makes `frames` at least `at_least` pixels high."""
    return max(1, math.ceil(at_least / frames.shape[-3]))


def blank(width: int, height: int) -> Image.Image:
    """Returns an empty canvas."""
    return Image.new("RGB", (width, height), CANVAS)


def paste(picture: Image.Image, frame: np.ndarray, x: int, y: int) -> None:
    """Puts `frame`, uint8 `[height, width, 3]`, into `picture`, its top left corner at `(x, y)`."""
    picture.paste(Image.fromarray(frame), (x, y))


def paste_row(
    picture: Image.Image,
    frames: Iterable[np.ndarray | None],
    lefts: Sequence[int],
    top: int,
    factor: int,
) -> None:
    """Puts enlarged `frames` `[height, width, 1 or 3]` side by side; None leaves a place empty."""
    for frame, x in zip(frames, lefts, strict=True):
        if frame is not None:
            paste(picture, enlarge(to_rgb(frame), factor), x, top)


def text(
    picture: Image.Image, words: str, xy: Sequence[int], color: Color, *, anchor: str, size: int
) -> None:
    """Writes `words` at `xy`; `anchor` is Pillow's, e.g. "lm" for left and middle."""
    # The built-in font has only ASCII: accents are dropped, other letters become question marks.
    letters = unicodedata.normalize("NFKD", words)
    words = "".join(c for c in letters if not unicodedata.combining(c))
    words = words.encode("ascii", "replace").decode()
    ImageDraw.Draw(picture).text(
        tuple(xy), words, fill=color, font=ImageFont.load_default(size=size), anchor=anchor
    )


def heading(picture: Image.Image, words: str, color: Color, x: int, end: int) -> None:
    """Writes `words` at the top, starting at `x`, and underlines them from `x` to `end`."""
    text(picture, words, (x, LINE // 2), color, anchor="lm", size=15)
    ImageDraw.Draw(picture).rectangle((x, LINE + 1, end - 1, LINE + 2), fill=color)


def arrow_label(words: str) -> Image.Image:
    """Returns a small picture of `words` followed by an arrow to the right."""
    font = ImageFont.load_default(size=15)
    start = round(font.getlength(words)) + 8
    picture = blank(start + 32, LINE)
    text(picture, words, (0, LINE // 2), TEXT, anchor="lm", size=15)
    draw = ImageDraw.Draw(picture)
    y, tip = LINE // 2 + 1, start + 30
    # The built-in font has no arrows.
    draw.line((start, y, tip - 6, y), fill=TEXT, width=2)
    draw.polygon([(tip, y), (tip - 8, y - 5), (tip - 8, y + 5)], fill=TEXT)
    return picture


def check_rollout(observed: np.ndarray, generated: np.ndarray, truth: np.ndarray | None) -> None:
    """Raises ValueError unless the arrays `[num_clips, time, height, width, channels]` match."""
    for name, frames in (("generated", generated), ("true", truth)):
        # Only the numbers of frames may differ.
        if frames is not None and (
            observed.ndim != 5 or frames[:, :0].shape != observed[:, :0].shape
        ):
            raise ValueError(
                f"Expected {name} frames [num_clips, time, height, width, channels] like the "
                f"observed ones of shape {observed.shape}, got shape {frames.shape}."
            )
