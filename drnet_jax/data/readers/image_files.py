"""Reads image files as frames, with Pillow."""

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging
from PIL import Image, ImageOps

from drnet_jax.data.preparation.builder import UnreadableError
from drnet_jax.data.readers import framing as framing_lib
from drnet_jax.data.readers.framing import Framing

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".pgm", ".ppm")

HEIC = (".heic", ".heif", ".hif")
"""Pictures of phones that Pillow cannot read; libav would take one of their tiles for a video."""

_MOST_WARNINGS = 10

_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "PPM")


def read_sequence(files: Sequence[tuple[str, pathlib.Path]], framing: Framing) -> np.ndarray:
    """Returns the pictures in `files` as frames, uint8 `[time, size, size, channels]`.

    Arguments and errors are those of `frames`.
    """
    return np.stack(list(frames(files, framing)))


def frames(files: Sequence[tuple[str, pathlib.Path]], framing: Framing) -> Iterator[np.ndarray]:
    """Yields the pictures in `files` as frames, uint8 `[size, size, channels]`.

    Transparent parts show `framing.background`. A picture that already has the right size keeps
    every bit. `files` are (name for errors, path) of each frame, in order.

    Raises:
      UnreadableError: a picture is damaged, or the pictures differ in size.
    """
    size, brightest = None, -1
    for name, path in files:
        picture, is_deep = _open(name, path, framing)
        if size is None:
            size, earlier = picture.size, name
        if picture.size != size:
            raise UnreadableError(
                f"{name} is {picture.width}x{picture.height}, but {earlier} is "
                f"{size[0]}x{size[1]}; the pictures of a clip must have one size."
            )
        frame = _square(picture, framing)
        brightest = max(brightest, int(frame.max()) if is_deep else 255)
        yield frame
    if framing.bits == 16 and 0 <= brightest < 16:
        what = "%s and others of its clip use only low bits of 16 and are nearly black; "
        what += "config.data.bits says how many there are, as in config.data.bits=12."
        logging.log_first_n(logging.WARNING, what, _MOST_WARNINGS, name)


def as_frame(picture: Image.Image, framing: Framing) -> np.ndarray:
    """Returns an open picture as a frame, uint8 `[size, size, channels]`."""
    return _square(_prepared(picture, framing), framing)


def resize(picture: Image.Image, framing: Framing) -> Image.Image:
    """Returns `picture` as a square of `framing.image_size`, antialiased and bilinear."""
    if framing.crop == "center":
        short = min(picture.size)
        left, upper = (picture.width - short) // 2, (picture.height - short) // 2
        picture = picture.crop((left, upper, left + short, upper + short))
    side = framing.image_size
    if picture.size == (side, side):
        return picture
    return picture.resize((side, side), Image.Resampling.BILINEAR)


def _open(name: str, path: pathlib.Path, framing: Framing) -> tuple[Image.Image, bool]:
    """Returns a picture as `_prepared` does, and whether it had 16 bits."""
    if path.suffix.lower() in HEIC:
        raise UnreadableError(f"{name} is a HEIC picture; allowed: JPEG, PNG, WebP, AVIF, TIFF ...")
    try:
        with path.open("rb") as file, Image.open(file, formats=_FORMATS) as picture:
            framing_lib.check_picture(name, *picture.size)
            return _prepared(picture, framing), _is_deep(picture)
    except UnreadableError:
        raise
    # Decoders raise all kinds of errors on damaged files, even struct.error and SyntaxError, and
    # Pillow's limit on pixels is a warning, which arrives here where warnings are errors.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableError(
            f"{name} is not a readable picture: {reason.splitlines()[0]}."
        ) from error


def _prepared(picture: Image.Image, framing: Framing) -> Image.Image:
    """Returns `picture` upright, opaque, and in the colors of `framing`."""
    # Phones store pixels as the sensor sees them, and note separately how they were held.
    upright = ImageOps.exif_transpose(picture)
    return _opaque(upright, framing).convert("RGB" if framing.channels == 3 else "L")


def _square(picture: Image.Image, framing: Framing) -> np.ndarray:
    side = framing.image_size
    # Pillow's gray arrays have no axis for the channel.
    return np.asarray(resize(picture, framing)).reshape(side, side, framing.channels)


def _is_deep(picture: Image.Image) -> bool:
    return picture.mode.startswith("I")


def _opaque(picture: Image.Image, framing: Framing) -> Image.Image:
    if _is_deep(picture):  # Pillow would clip 16 bits at 255.
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() >> framing.bits:
            raise UnreadableError(
                f"A value of {values.max():,} with config.data.bits={framing.bits}; "
                f"allowed: 0 to {2**framing.bits - 1:,}."
            )
        return Image.fromarray((values >> (framing.bits - 8)).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, framing.background), picture)
