"""Animations of rollouts, and the GIF and MP4 files that hold them."""

import fractions
import io
from collections.abc import Sequence

import av
import numpy as np
from etils import epath
from PIL import Image, ImageDraw

from drnet_jax.base import files
from drnet_jax.pictures import drawing

FRAMES_PER_SECOND = 12
"""Where a clip has no rate of its own."""

_HEADER = 32  # Height of the counter above the frames.
_LABELS = 56  # Width of the column that names the rows.


def playback_steps(num_steps: int, *, dense: int = 100, stride: int = 5) -> list[int]:
    """Returns the time steps to animate: the first `dense`, then every `stride`-th."""
    return [t for t in range(1, num_steps + 1) if t <= dense or (t - dense) % stride == 0]


def rollout_animation(
    observed: np.ndarray, generated: np.ndarray, truth: np.ndarray | None, steps: Sequence[int]
) -> np.ndarray:
    """Returns clips playing side by side, the true frames above those of the model.

    The color of the outline tells observed frames from generated ones; a counter shows the time
    step.

    Args:
      observed: `[num_clips, num_observed, height, width, channels]`.
      generated: `[num_clips, num_steps, height, width, channels]`, following `observed`.
      truth: the true continuation, shaped like `generated` but possibly shorter, or None.
      steps: time steps to show, ascending; 1 is the first observed frame.

    Returns:
      uint8 `[len(steps), height, width, 3]`.

    Raises:
      ValueError: when the shapes do not fit together, or a step lies beyond the rollout.
    """
    drawing.check_rollout(observed, generated, truth)
    num_observed, last = observed.shape[1], observed.shape[1] + generated.shape[1]
    if not all(1 <= t <= last for t in steps):
        raise ValueError(f"Expected time steps from 1 to {last}, got {list(steps)}.")
    background, tops = _background(observed, ["model"] if truth is None else ["truth", "model"])
    pictures = []
    for i, t in enumerate(steps):
        picture = background.copy()
        _write_time(picture, t, last, t <= num_observed, t - steps[i - 1] if i else 1)
        index = t - num_observed - 1
        model = observed[:, t - 1] if index < 0 else generated[:, index]
        outline = drawing.OBSERVED if index < 0 else drawing.GENERATED
        _draw_row(picture, model, tops[-1], outline)
        if truth is not None and index < truth.shape[1]:
            _draw_row(picture, model if index < 0 else truth[:, index], tops[0], drawing.CANVAS)
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def swap_animation(
    content_frame: np.ndarray, pose_frames: np.ndarray, swapped: np.ndarray
) -> np.ndarray:
    """Returns a still frame, a clip, and the clip with the content of the still, side by side.

    Args:
      content_frame: `[height, width, channels]`.
      pose_frames: `[time, height, width, channels]`.
      swapped: shaped like `pose_frames`.

    Returns:
      uint8 `[time, height, width, 3]`, with a heading above each column.
    """
    factor = drawing.enlargement(content_frame, at_least=120)
    height, width = (factor * side for side in content_frame.shape[:2])
    lefts = [drawing.MARGIN + i * (width + drawing.GAP) for i in range(3)]
    top = drawing.LINE + drawing.MARGIN
    background = drawing.blank(lefts[-1] + width + drawing.MARGIN, top + height + drawing.MARGIN)
    colors = (drawing.MUTED, drawing.OBSERVED, drawing.GENERATED)
    for words, color, left in zip(("content", "pose", "swap"), colors, lefts, strict=True):
        drawing.heading(background, words, color, left, left + width)
    pictures = []
    for pose, swap in zip(pose_frames, swapped, strict=True):
        picture = background.copy()
        drawing.paste_row(picture, (content_frame, pose, swap), lefts, top, factor)
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def write_gif(path: epath.PathLike, frames: np.ndarray, fps: float) -> epath.Path:
    """Writes `frames`, uint8 `[time, height, width, 3]`, as a GIF that loops; returns its path."""
    palette = _palette(frames[:: max(1, len(frames) // 16)])
    first, *rest = (
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    )
    buffer = io.BytesIO()
    milliseconds = max(20, round(1000 / fps))  # Browsers slow down anything faster.
    first.save(
        buffer, format="gif", save_all=True, append_images=rest, duration=milliseconds, loop=0
    )
    return files.write_atomically(path, buffer.getvalue())


def write_mp4(path: epath.PathLike, frames: np.ndarray, fps: float) -> epath.Path:
    """Writes `frames`, uint8 `[time, height, width, 3]`, as an MP4; returns its path.

    The video is H.264 if this machine can encode it, else MPEG-4. Odd sides grow by one pixel,
    since both formats demand even ones.
    """
    height, width = frames.shape[1:3]
    odd = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    buffer, encoder = io.BytesIO(), _encoder()
    with av.open(buffer, "w", format="mp4") as container:
        rate = fractions.Fraction(fps).limit_denominator(1000)
        stream = container.add_stream(encoder, rate=rate)
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"  # The format that every browser plays.
        if encoder == "libx264":
            stream.options = {"crf": "20", "preset": "fast"}
        else:
            stream.bit_rate = 4_000_000
        for frame in np.pad(frames, odd, mode="edge"):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return files.write_atomically(path, buffer.getvalue())


def _palette(frames: np.ndarray) -> Image.Image:
    """Returns one palette for all frames, which keeps colors from flickering."""
    ours = (drawing.CANVAS, drawing.TEXT, drawing.MUTED, drawing.OBSERVED, drawing.GENERATED)
    # Few colors make small files.
    sample = Image.fromarray(np.concatenate(frames)).quantize(64, Image.Quantize.MEDIANCUT)
    # Text covers too few pixels for the quantizer to keep its colors.
    colors = [*sample.getpalette(), *(value for color in ours for value in color)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors)
    return palette


def _encoder() -> str:
    """Returns the best encoder of this build of FFmpeg; licenses keep H.264 out of some."""
    for name in ("libx264", "libopenh264"):
        try:
            return av.Codec(name, "w").name
        except ValueError:
            continue
    return "mpeg4"


def _row_places(frames: np.ndarray) -> tuple[int, list[int]]:
    """Returns the enlargement and the left edges of frames `[num_clips, ..., width, channels]`."""
    factor = drawing.enlargement(frames, at_least=80)
    stride = factor * frames.shape[-2] + 2 * drawing.GUTTER
    return factor, [_LABELS + i * stride for i in range(len(frames))]


def _background(observed: np.ndarray, rows: Sequence[str]) -> tuple[Image.Image, list[int]]:
    """Returns a canvas with the names of `rows`, and the top of each row."""
    factor, lefts = _row_places(observed)
    height, width = (factor * side for side in observed.shape[-3:-1])
    tops = [_HEADER + i * (height + 3 * drawing.GUTTER) for i in range(len(rows))]
    right = max(lefts[-1] + width, 360)  # The counter is wider than a single small clip.
    picture = drawing.blank(right + drawing.MARGIN, tops[-1] + height + drawing.MARGIN)
    for words, top in zip(rows, tops, strict=True):
        place = (_LABELS - 10, top + height // 2)
        drawing.text(picture, words, place, drawing.MUTED, anchor="rm", size=13)
    return picture, tops


def _write_time(picture: Image.Image, t: int, last: int, observed: bool, stride: int) -> None:
    """Writes the counter, and how many steps it advances at a time."""
    drawing.text(picture, f"t = {t} of {last}", (_LABELS, 15), drawing.TEXT, anchor="lm", size=15)
    words = "observed" if observed else "generated"
    if stride > 1:
        words += f", {stride} steps at a time"
    color = drawing.OBSERVED if observed else drawing.GENERATED
    drawing.text(picture, words, (_LABELS + 120, 15), color, anchor="lm", size=15)


def _draw_row(picture: Image.Image, frames: np.ndarray, top: int, outline: drawing.Color) -> None:
    """Draws `frames` `[num_clips, height, width, channels]` side by side, each with an outline."""
    factor, lefts = _row_places(frames)
    for x, frame in zip(lefts, drawing.enlarge(drawing.to_rgb(frames), factor), strict=True):
        height, width = frame.shape[:2]
        box = (x - 2, top - 2, x + width + 1, top + height + 1)
        ImageDraw.Draw(picture).rectangle(box, outline=outline, width=2)
        drawing.paste(picture, frame, x, top)
