"""Reads videos of the usual kinds as frames, with PyAV, each on a single thread."""

import contextlib
import io
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import TypeVar

import av
import numpy as np
from absl import logging
from av.video.reformatter import VideoReformatter
from PIL import ImageColor

from drnet_jax.data.preparation.builder import UnreadableError
from drnet_jax.data.readers import decoding
from drnet_jax.data.readers import framing as framing_lib
from drnet_jax.data.readers.framing import Framing

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".avi", ".mkv", ".webm", ".wmv", ".asf", ".flv"),
    *(".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".gif"),
)

# No playlists: FFmpeg would follow them to other files and over the network.
_OPTIONS = {"format_whitelist": "asf,avi,flv,gif,matroska,mov,mpeg,mpegts,mpegvideo,ogg"}
# Seconds and frames per second; damaged headers and time stamps claim more.
_LONGEST_FRAME = 60
_LONGEST_VIDEO = 1e6
_HIGHEST_RATE = 1000
# In other formats FFmpeg seeks to any frame, which cannot be decoded without the key frame before.
_INDEXED = ("avi", "gif", "matroska", "mov")
_LONGEST_GOP = 20  # Seconds between key frames.
_FORMATS = {1: "gray", 3: "rgb24"}

_T = TypeVar("_T")


class DamagedError(UnreadableError):
    """A video that cannot be decoded any further, or not at all."""


def read_timing(path: pathlib.Path, name: str) -> tuple[Fraction | None, Fraction | None]:
    """Returns the length in seconds and the average frames per second that a header claims.

    Each is None if the header does not give it, or if it makes no sense. `name` is the video's name
    in errors.

    Raises:
      UnreadableError: it is not a video.
    """
    with _opened(path, name) as (container, stream):
        duration, rate = container.duration, stream.average_rate
        plausible = duration and 0 < duration <= _LONGEST_VIDEO * av.time_base
        return (
            Fraction(duration, av.time_base) if plausible else None,
            Fraction(rate) if rate and 0 < rate <= _HIGHEST_RATE else None,
        )


def frames(
    source: pathlib.Path | bytes,
    name: str,
    framing: Framing,
    *,
    start: Fraction = Fraction(0),
    stop: Fraction | None = None,
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Yields (seconds since the start, uint8 `[size, size, channels]`) of each frame.

    Frames are upright, deinterlaced, and scaled by area averaging to square pixels; transparent
    parts show `framing.background`. A frame that already has the right size and color keeps every
    bit. The last frame of a truncated file is left out if its data are cut off.

    Args:
      source: the path of the file, or its content; `name` is its name in errors.
      framing: the form of the frames.
      start: the first time to return, found by seeking.
      stop: the time before which to stop; None for the end.

    Raises:
      DamagedError: it is not a video, or is damaged; the frames before that have been yielded.
      UnreadableError: its frames change size.
    """
    with _opened(source, name) as (container, stream):
        origin = (stream.start_time or 0) * stream.time_base
        # Time stamps are rounded, so a frame may be up to half a frame early.
        half = Fraction(1, 2) / stream.average_rate if stream.average_rate else Fraction(0)
        # Deinterlacing looks at the frame before.
        early = 4 * half if container.format.name.split(",")[0] in _INDEXED else _LONGEST_GOP
        if start > early + half:
            target = int((start - half - early + origin) / stream.time_base)
            container.seek(target, stream=stream, backward=True)
        pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        scaler, size = VideoReformatter(), None
        for number, frame in enumerate(decoding.decoded(container, stream, name)):
            time = _time(frame, number, stream, name, start) - origin
            if time < start - half:
                continue
            if stop is not None and time >= stop - half:
                break
            if size is None:
                size = frame.width, frame.height
                # The header may have said otherwise.
                framing_lib.check_picture(name, round(size[0] * pixel_aspect), size[1])
            if size != (frame.width, frame.height):
                raise UnreadableError(
                    f"{name} changes from {size[0]}x{size[1]} to {frame.width}x{frame.height} "
                    f"after {float(time):.2f} s; the frames of a video must have one size."
                )
            yield time, _square(scaler, frame, pixel_aspect, framing)


def before_damage(frames: Iterator[_T]) -> Iterator[_T]:
    """Yields `frames` up to the first damage, and logs a warning if there is any.

    Raises:
      UnreadableError: nothing can be decoded, or the video cannot be used for another reason.
    """
    number = 0
    try:
        for frame in frames:
            number += 1
            yield frame
    except DamagedError as error:
        if not number:
            raise
        logging.warning("%s The frames before that are used: %d.", error, number)


def exact_rate(rate: float) -> Fraction | None:
    """Returns frames per second as a fraction, exact even for NTSC; None for 0, all frames."""
    # NTSC has 30000 / 1001 frames per second.
    return Fraction(rate).limit_denominator(1001) if rate else None


def resample(
    timed: Iterator[tuple[Fraction, np.ndarray]], rate: Fraction, name: str
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Yields frames at `rate` per second: for every time on that grid, the nearest of `timed`.

    Raises:
      UnreadableError: a frame of the video `name` lasts more than a minute: its times are
        damaged, and copies of it would fill the memory.
    """
    previous, number, shortest = None, None, 1 / rate
    for time, frame in timed:
        if previous is None:
            number = round(time * rate)
        elif time - previous[0] > _LONGEST_FRAME:
            raise UnreadableError(
                f"{name} shows one frame for {float(time - previous[0]):.0f} s; "
                f"allowed: at most {_LONGEST_FRAME} s."
            )
        else:
            shortest = min(shortest, time - previous[0])
            while number < time * rate:
                nearer = abs(number / rate - previous[0]) <= time - number / rate
                yield number / rate, previous[1] if nearer else frame
                number += 1
        previous = time, frame
    # Nothing says when the last frame ends: half the shortest interval gives no extra copy.
    while previous is not None and number / rate <= previous[0] + shortest / 2:
        yield number / rate, previous[1]
        number += 1


@contextlib.contextmanager
def _opened(source: pathlib.Path | bytes, name: str) -> Iterator[tuple]:
    """Yields the container and its video stream; what fails inside becomes an UnreadableError."""
    try:
        with (
            # Files are opened here because FFmpeg takes names with colons for addresses.
            io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
            # A title in Latin-1 is no reason to refuse a video.
            av.open(file, options=dict(_OPTIONS), metadata_errors="replace") as container,
        ):
            if not container.streams.video:
                raise UnreadableError(f"{name} holds no pictures.")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise UnreadableError(f"{name} has a codec that FFmpeg cannot decode.")
            framing_lib.check_picture(name, stream.width, stream.height)
            stream.codec_context.thread_count = 1  # The cores read several videos at once instead.
            yield container, stream
    except (av.FFmpegError, OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DamagedError(f"{name} is not a readable video: {reason}.") from error


def _time(frame, number: int, stream, name: str, start: Fraction) -> Fraction:
    if frame.pts is not None:
        return frame.pts * frame.time_base
    # Some AVI files store no times; counting works only from the start.
    if start or not stream.average_rate:
        raise UnreadableError(f"{name} does not say when its frames are shown.")
    return (stream.start_time or 0) * stream.time_base + number / Fraction(stream.average_rate)


def _square(
    scaler: VideoReformatter, frame, pixel_aspect: Fraction, framing: Framing
) -> np.ndarray:
    """Returns uint8 `[size, size, channels]`; a pixel is `pixel_aspect` times as wide as high."""
    width, height = framing.scaled(frame.width * pixel_aspect, frame.height)
    scaled = scaler.reformat(
        _opaque(frame, framing.background),
        width=width,
        height=height,
        format=_FORMATS[framing.channels],
        interpolation="AREA",
    )
    side = framing.image_size
    left, upper = (width - side) // 2, (height - side) // 2
    square = scaled.to_ndarray()[upper : upper + side, left : left + side]
    # Phones note how they were held; the angle counts counterclockwise, as in `rot90`.
    square = np.rot90(square, round(frame.rotation / 90))
    # PyAV's gray arrays have no axis for the channel.
    return np.ascontiguousarray(square).reshape(side, side, framing.channels)


def _opaque(frame: av.VideoFrame, background: str) -> av.VideoFrame:
    if not any(component.is_alpha for component in frame.format.components):
        return frame
    rgba = frame.to_ndarray(format="rgba")
    alpha = rgba[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return frame
    # At most 255 * 255 + 127, which fits in 16 bits.
    mixed = rgba[..., :3] * alpha + np.uint16(ImageColor.getrgb(background)) * (255 - alpha)
    return av.VideoFrame.from_ndarray(((mixed + 127) // 255).astype(np.uint8), format="rgb24")
