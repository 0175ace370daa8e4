"""Moving pictures of rollouts, and the files they are kept in."""

import fractions
import io
from collections.abc import Sequence

import av
import numpy as np
from etils import epath
from PIL import Image, ImageDraw

from drnet_jax.base import files
from drnet_jax.pictures import drawing

_HEADER = 32
_LABELS = 56  # Width of the column that names the rows.


def playback_steps(num_steps: int, *, dense: int = 100, stride: int = 5) -> list[int]:
    """Returns the time steps to animate: each of the first `dense`, then every `stride`-th."""
    return [t for t in range(1, num_steps + 1) if t <= dense or (t - dense) % stride == 0]


def rollout_animation(
    observed: np.ndarray,
    generated: np.ndarray,
    truth: np.ndarray | None,
    steps: Sequence[int] | None = None,
) -> np.ndarray:
    """Returns clips side by side as they play, the truth above what the model makes of them.

    The model's frames are outlined in one color while they are observed and in another once they
    are generated; a counter tells the time step.

    Args:
      observed: `[num_clips, num_observed, height, width, channels]`.
      generated: `[num_clips, num_steps, height, width, channels]`, following `observed`.
      truth: what really followed, as `generated` but maybe of fewer steps, or None.
      steps: ascending time steps to show, where 1 is the first observed frame; None shows all.

    Returns:
      uint8 `[len(steps), height, width, 3]`.

    Raises:
      ValueError: when the shapes do not fit together, or a step was not generated.
    """
    drawing.check_rollout(observed, generated, truth)
    num_observed, last = observed.shape[1], observed.shape[1] + generated.shape[1]
    steps = range(1, last + 1) if steps is None else steps
    if not all(1 <= t <= last for t in steps):
        raise ValueError(f"Expected time steps from 1 to {last}, got {list(steps)}.")
    background, tops = _background(
        observed, rows=["model"] if truth is None else ["truth", "model"]
    )
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


def write_gif(path: epath.PathLike, frames: np.ndarray, fps: float) -> epath.Path:
    """Writes `frames`, uint8 `[time, height, width, 3]`, as an endless GIF; returns its path."""
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
    """Writes `frames`, uint8 `[time, height, width, 3]`, as H.264, or MPEG-4 where there is none.

    Sides of an odd number of pixels grow by one, which the formats demand. Returns the path.
    """
    height, width = frames.shape[1:3]
    odd = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    buffer, encoder = io.BytesIO(), _encoder()
    with av.open(buffer, "w", format="mp4") as container:
        rate = fractions.Fraction(fps).limit_denominator(1000)
        stream = container.add_stream(encoder, rate=rate)
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"  # What every browser plays.
        if encoder == "libx264":
            stream.options = {"crf": "20", "preset": "fast"}
        else:
            stream.bit_rate = 4_000_000
        for frame in np.pad(frames, odd, mode="edge"):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return files.write_atomically(path, buffer.getvalue())


def _palette(frames: np.ndarray) -> Image.Image:
    """Returns one palette for all frames, or their colors would flicker; few make files small."""
    ours = (drawing.CANVAS, drawing.TEXT, drawing.MUTED, drawing.OBSERVED, drawing.GENERATED)
    sample = Image.fromarray(np.concatenate(frames)).quantize(64, Image.Quantize.MEDIANCUT)
    # Text covers too few pixels to be given colors of its own.
    colors = [*sample.getpalette(), *(value for color in ours for value in color)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors)
    return palette


def _encoder() -> str:
    # Builds of FFmpeg differ: H.264 is left out of some for its license.
    for name in ("libx264", "libopenh264"):
        try:
            return av.Codec(name, "w").name
        except ValueError:
            continue
    return "mpeg4"


def _row_places(frames: np.ndarray) -> tuple[int, list[int]]:
    """Returns the factor frames `[num_clips, ..., height, width, channels]` grow by, and where."""
    factor = drawing.enlargement(frames, at_least=80)
    stride = factor * frames.shape[-2] + 2 * drawing.GUTTER
    return factor, [_LABELS + i * stride for i in range(len(frames))]


def _background(observed: np.ndarray, rows: Sequence[str]) -> tuple[Image.Image, list[int]]:
    """Returns the canvas with its rows named, and the top of each row."""
    factor, lefts = _row_places(observed)
    height, width = (factor * side for side in observed.shape[-3:-1])
    tops = [_HEADER + i * (height + 3 * drawing.GUTTER) for i in range(len(rows))]
    right = max(lefts[-1] + width, 360)  # One small clip alone is narrower than the counter.
    picture = drawing.blank(right + drawing.MARGIN, tops[-1] + height + drawing.MARGIN)
    for words, top in zip(rows, tops, strict=True):
        place = (_LABELS - 10, top + height // 2)
        drawing.text(picture, words, place, drawing.MUTED, anchor="rm", size=13)
    return picture, tops


def _write_time(picture: Image.Image, t: int, last: int, observed: bool, stride: int) -> None:
    drawing.text(picture, f"t = {t} of {last}", (_LABELS, 15), drawing.TEXT, anchor="lm", size=15)
    words = "observed" if observed else "generated"
    if stride > 1:
        words += f", {stride} steps at a time"
    color = drawing.OBSERVED if observed else drawing.GENERATED
    drawing.text(picture, words, (_LABELS + 120, 15), color, anchor="lm", size=15)


def _draw_row(picture: Image.Image, frames: np.ndarray, top: int, outline: drawing.Color) -> None:
    """Draws `frames` `[num_clips, height, width, channels]` side by side, each outlined."""
    factor, lefts = _row_places(frames)
    for x, frame in zip(lefts, drawing.enlarge(drawing.to_rgb(frames), factor), strict=True):
        height, width = frame.shape[:2]
        box = (x - 2, top - 2, x + width + 1, top + height + 1)
        ImageDraw.Draw(picture).rectangle(box, outline=outline, width=2)
        drawing.paste(picture, frame, x, top)
