"""Reads videos of the usual kinds as frames, with PyAV, each on a single thread."""

import contextlib
import io
import pathlib
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from drnet_jax.data.preparation.builder import UnreadableError
from drnet_jax.data.readers import framing as framing_lib
from drnet_jax.data.readers.framing import Framing

SUFFIXES = (".mp4", ".avi", ".mov", ".webm", ".mkv", ".gif")

# No playlists: FFmpeg would follow them to other files and over the network.
_OPTIONS = {"format_whitelist": "avi,mov,matroska,gif"}
# Seconds and frames per second; damaged headers and time stamps claim more.
_LONGEST_FRAME = 60
_LONGEST_VIDEO = 1e6
_HIGHEST_RATE = 1000
_FORMATS = {1: "gray", 3: "rgb24"}


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

    Frames are upright and scaled by area averaging; a frame that already has the right size and
    color keeps every bit. The last frame of a truncated file is left out if its data are cut off.

    Args:
      source: the path of the file, or its content; `name` is its name in errors.
      framing: the form of the frames.
      start: the first time to return, found by seeking.
      stop: the time before which to stop; None for the end.

    Raises:
      UnreadableError: it is not a video, is damaged, or its frames change size.
    """
    with _opened(source, name) as (container, stream):
        origin = (stream.start_time or 0) * stream.time_base
        # Time stamps are rounded, so a frame may be up to half a frame early.
        half = Fraction(1, 2) / stream.average_rate if stream.average_rate else Fraction(0)
        if start:
            target = int((start - half + origin) / stream.time_base)
            container.seek(target, stream=stream, backward=True)
        scaler, size = VideoReformatter(), None
        for number, frame in enumerate(container.decode(stream)):
            if frame.is_corrupt:
                continue
            time = _time(frame, number, stream, name, start) - origin
            if time < start - half:
                continue
            if stop is not None and time >= stop - half:
                break
            if size is None:
                size = frame.width, frame.height
                framing_lib.check_picture(name, *size)  # The header may have said otherwise.
            if size != (frame.width, frame.height):
                raise UnreadableError(
                    f"{name} changes from {size[0]}x{size[1]} to {frame.width}x{frame.height} "
                    f"after {float(time):.2f} s; the frames of a video must have one size."
                )
            yield time, _square(scaler, frame, framing)


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
        raise UnreadableError(f"{name} is not a readable video: {reason}.") from error


def _time(frame, number: int, stream, name: str, start: Fraction) -> Fraction:
    if frame.pts is not None:
        return frame.pts * frame.time_base
    # Some AVI files store no times; counting works only from the start.
    if start or not stream.average_rate:
        raise UnreadableError(f"{name} does not say when its frames are shown.")
    return (stream.start_time or 0) * stream.time_base + number / Fraction(stream.average_rate)


def _square(scaler: VideoReformatter, frame, framing: Framing) -> np.ndarray:
    width, height = framing.scaled(frame.width, frame.height)
    scaled = scaler.reformat(
        frame, width=width, height=height, format=_FORMATS[framing.channels], interpolation="AREA"
    )
    side = framing.image_size
    left, upper = (width - side) // 2, (height - side) // 2
    square = scaled.to_ndarray()[upper : upper + side, left : left + side]
    # Phones note how they were held; the angle counts counterclockwise, as in `rot90`.
    square = np.rot90(square, round(frame.rotation / 90))
    # PyAV's gray arrays have no axis for the channel.
    return np.ascontiguousarray(square).reshape(side, side, framing.channels)
