"""Videos as frames, by PyAV: any of the usual containers, read in a single thread."""

import contextlib
import dataclasses
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

# Play lists, which FFmpeg would follow to other files and over the network, are not among them.
_OPTIONS = {"format_whitelist": "avi,mov,matroska,gif"}
_LONGEST_FRAME = 60  # In seconds.
_LONGEST_VIDEO = 1e6  # In seconds.
_GREATEST_RATE = 1000
_FORMATS = {1: "gray", 3: "rgb24"}


@dataclasses.dataclass(frozen=True)
class Timing:
    """What a video's header says about time; both are None where it does not, or absurdly.

    Attributes:
      duration: in seconds.
      rate: frames per second on average.
    """

    duration: Fraction | None
    rate: Fraction | None


def read_timing(path: pathlib.Path, name: str) -> Timing:
    """Returns what the header of the video at `path` says; `name` is for errors.

    Raises:
      UnreadableError: it is no video.
    """
    with _opened(path, name) as (container, stream):
        duration, rate = container.duration, stream.average_rate
        known = duration and 0 < duration <= _LONGEST_VIDEO * av.time_base
        return Timing(
            Fraction(duration, av.time_base) if known else None,
            Fraction(rate) if rate and 0 < rate <= _GREATEST_RATE else None,
        )


def frames(
    source: pathlib.Path | bytes,
    name: str,
    framing: Framing,
    *,
    start: Fraction = Fraction(0),
    stop: Fraction | None = None,
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Returns (seconds since the first frame, uint8 `[size, size, channels]`) of each frame.

    Frames are upright and scaled by area average; one of the right size and color keeps every
    bit. A frame whose data are cut off, the last of a truncated file, is left out.

    Args:
      source: the file, or what it holds.
      name: what to call it in errors.
      framing: the form of the frames.
      start: frames from here on, looked up by seeking.
      stop: frames before here, or None for all.

    Raises:
      UnreadableError: it is no video, is damaged, or its pictures change size.
    """
    with _opened(source, name) as (container, stream):
        origin = (stream.start_time or 0) * stream.time_base
        # Time stamps are rounded, so half a frame decides to which side one belongs.
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


def resample(
    timed: Iterator[tuple[Fraction, np.ndarray]], rate: Fraction, name: str
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Returns `timed` frames at `rate` per second: for every time on that grid the nearest one.

    Raises:
      UnreadableError: a frame of the video `name` stays for more than a minute: its times are
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
    # The last frame lasts, but not so long that its own double would follow it.
    while previous is not None and number / rate <= previous[0] + shortest / 2:
        yield number / rate, previous[1]
        number += 1


@contextlib.contextmanager
def _opened(source: pathlib.Path | bytes, name: str) -> Iterator[tuple]:
    """Yields container and video stream; all that fails inside becomes an UnreadableError."""
    try:
        with contextlib.ExitStack() as stack:
            # Files are opened here, because FFmpeg takes names with colons for addresses.
            file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
            stack.enter_context(file)
            # Titles in Latin-1 are no reason to refuse a video.
            opened = av.open(file, options=dict(_OPTIONS), metadata_errors="replace")
            container = stack.enter_context(opened)
            if not container.streams.video:
                raise UnreadableError(f"{name} holds no pictures.")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise UnreadableError(f"{name} is coded in a way that FFmpeg cannot decode.")
            framing_lib.check_picture(name, stream.width, stream.height)
            stream.codec_context.thread_count = 1  # Several videos are read at once instead.
            yield container, stream
    except (av.FFmpegError, OSError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError | av.FFmpegError) else None
        reason = reason or type(error).__name__
        raise UnreadableError(f"{name} is no readable video: {reason}.") from error


def _time(frame, number: int, stream, name: str, start: Fraction) -> Fraction:
    if frame.pts is not None:
        return frame.pts * frame.time_base
    if start or not stream.average_rate:
        raise UnreadableError(f"{name} lacks the times of its frames.")
    return (stream.start_time or 0) * stream.time_base + number / Fraction(stream.average_rate)


def _square(scaler: VideoReformatter, frame, framing: Framing) -> np.ndarray:
    width, height = framing.scaled(frame.width, frame.height)
    scaled = scaler.reformat(
        frame, width=width, height=height, format=_FORMATS[framing.channels], interpolation="AREA"
    )
    side = framing.image_size
    left, upper = (width - side) // 2, (height - side) // 2
    square = scaled.to_ndarray()[upper : upper + side, left : left + side]
    # Telephones note how they were held; the angle counts anticlockwise, as in `rot90`.
    square = np.rot90(square, round(frame.rotation / 90))
    return np.ascontiguousarray(square).reshape(side, side, framing.channels)
