"""What the script of the page works with: where frames are in a picture, and frames to play."""

import dataclasses
import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from drnet_jax.pictures import drawing, grids, video
from drnet_jax.report import inputs as inputs_lib
from drnet_jax.report.inputs import Inputs

_MOST_TIMES = 200
_MOST_CLIPS = 5
# Browsers unpack a picture to four bytes a pixel, and phones give up at a few hundred megabytes.
_MOST_PIXELS = 16_000_000
_MOST_ROLLOUT_BYTES = 500_000_000
# RuntimeError: encrypted, or compressed in a way that Python does not know. MemoryError: a header
# that promises more than there is.
_BROKEN_ZIP = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, RuntimeError, MemoryError)


@dataclasses.dataclass(frozen=True)
class SwapCells:
    """Where the frames of a swap grid are in its picture, in pixels.

    Attributes:
      side: height and width of a frame.
      lefts: left edges of the columns, that of the content frames first.
      tops: top edges of the rows, that of the pose frames first.
    """

    side: int
    lefts: list[int]
    tops: list[int]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The frames of a rollout in one picture, to be played by the script of the page.

    Attributes:
      webp: the picture, without loss. Each time step is a block of two rows, the true frames above
        those of the model, and `num_clips` columns; blocks are in reading order.
      side: height and width of a frame.
      num_clips: frames side by side in a block.
      num_columns: blocks side by side.
      num_observed: time steps that the model saw.
      last: the last time step of the rollout.
      steps: the time step of each block; 1 is the first.
      scale: how many pixels of a screen a pixel of a frame should have.
    """

    webp: bytes
    side: int
    num_clips: int
    num_columns: int
    num_observed: int
    last: int
    steps: list[int]
    scale: int


def swap_cells(inputs: Inputs, grid: bytes) -> SwapCells | None:
    """Returns where the frames are in the PNG `grid`, or None if that cannot be told."""
    size = _setting(inputs, "data", "image_size")
    if size is None:
        return None
    try:
        with Image.open(io.BytesIO(grid)) as picture:
            found = grids.swap_grid_layout(*picture.size, size)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError):
        return None
    return SwapCells(*found) if found else None


def rollout_sheet(inputs: Inputs) -> Sheet | None:
    """Returns the frames in `samples/rollout.npz` to play, or None if there are none to use."""
    num_observed = _setting(inputs, "predictor", "num_observed")
    arrays = _arrays(inputs)
    if num_observed is None or arrays is None:
        return None
    frames, truth = arrays
    last, side = frames.shape[1], frames.shape[2]
    steps = inputs_lib.spread(video.playback_steps(last), _MOST_TIMES)
    most_clips = _MOST_PIXELS // (2 * len(steps) * side**2)
    num_clips = min(_MOST_CLIPS, len(frames), most_clips)
    if not num_clips:
        return None
    times = np.array(steps) - 1
    # [2, clips, time, side, side, channels] to blocks [time, 2 * side, clips * side, channels].
    both = np.stack([array[:num_clips, times] for array in (truth, frames)])
    blocks = both.transpose(2, 0, 3, 1, 4, 5).reshape(len(steps), 2 * side, num_clips * side, -1)
    # About as wide as high, since the format allows no more than 16,383 pixels a side.
    num_columns = min(len(steps), max(1, round(math.sqrt(len(steps) * 2 / num_clips))))
    picture = _arranged(drawing.to_rgb(blocks), num_columns)
    buffer = io.BytesIO()
    try:
        # The quickest method; the others save a tenth and take five times as long.
        Image.fromarray(picture).save(buffer, format="webp", lossless=True, method=0)
    except (OSError, ValueError):  # This build of Pillow has no WebP, or the picture is too large.
        return None
    if len(buffer.getvalue()) > inputs_lib.MOST_PICTURE_BYTES:
        return None
    scale = drawing.enlargement(frames, at_least=80)
    return Sheet(buffer.getvalue(), side, num_clips, num_columns, num_observed, last, steps, scale)


def _arranged(blocks: np.ndarray, num_columns: int) -> np.ndarray:
    """Returns `blocks` `[num, height, width, 3]` in rows of `num_columns`, the rest black."""
    num, height, width, channels = blocks.shape
    num_rows = -(-num // num_columns)
    padding = ((0, num_rows * num_columns - num), (0, 0), (0, 0), (0, 0))
    cells = np.pad(blocks, padding).reshape(num_rows, num_columns, height, width, channels)
    return cells.swapaxes(1, 2).reshape(num_rows * height, num_columns * width, channels)


def _arrays(inputs: Inputs) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the generated and true frames of a rollout, uint8 of one shape, or None."""
    try:
        content = io.BytesIO((inputs.workdir / "samples" / "rollout.npz").read_bytes())
        with zipfile.ZipFile(content) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_ROLLOUT_BYTES:
                return None
        with np.load(content) as arrays:
            frames, truth = arrays["frames"], arrays["truth"]
    except (OSError, ValueError, KeyError, EOFError, *_BROKEN_ZIP):
        return None
    is_clips = frames.ndim == 5 and frames.size and frames.shape[2] == frames.shape[3]
    fits = frames.shape == truth.shape and frames.dtype == truth.dtype == np.uint8
    return (frames, truth) if is_clips and fits and frames.shape[4] in (1, 3) else None


def _setting(inputs: Inputs, section: str, name: str) -> int | None:
    """Returns a whole number of the settings, or None."""
    found: Any = inputs.config.get(section)
    value = found.get(name) if isinstance(found, Mapping) else None
    return value if isinstance(value, int) and 0 < value < 10_000 else None
