"""Frames as people hand them over: arrays, PIL images, paths of image files, and lists of these."""

import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from drnet_jax.base.arrays import Array
from drnet_jax.data.readers import image_files
from drnet_jax.data.readers.framing import Framing

_ROUNDING = 1e-3  # Resized floats may leave [0, 1] by this much; other scales leave it by far more.


def as_array(frames: Any, framing: Framing) -> Array:
    """Returns frames as one array, uint8 or float32 `[..., height, width, channels]`.

    Args:
      frames: an array, a PIL image, the path of an image file, or a list of these, perhaps nested.
        Pictures are cropped and resized as `framing` says; arrays must have that size already.
      framing: the form of the frames.

    Raises:
      ValueError: for frames of another size or dtype, floats outside [0, 1], no frames, or frames
        that differ in shape.
      UnreadableError: for a path that is not a readable picture.
    """
    array = _stacked(frames, framing)
    is_float = jnp.issubdtype(array.dtype, jnp.floating)
    if array.dtype != jnp.uint8 and not is_float:
        raise ValueError(f"Frames of {array.dtype}; allowed: uint8, or floats in [0, 1].")
    frame = (framing.image_size, framing.image_size, framing.channels)
    if array.shape[-3:] != frame:
        size = ", ".join(map(str, frame))
        hint = "; channels come last" if array.shape[-3:] == (frame[2], *frame[:2]) else ""
        raise ValueError(
            f"Frames of shape {array.shape}; allowed: [{size}], [time, {size}] or "
            f"[batch, time, {size}]{hint}."
        )
    if not array.size:
        raise ValueError(f"No frames, in an array of shape {array.shape}; allowed: 1 or more.")
    if is_float and not isinstance(array, jax.core.Tracer):  # What is traced has no values yet.
        _check_range(array)
    return array.astype(jnp.float32) if is_float else array


def _stacked(frames: Any, framing: Framing) -> Array:
    """Returns `frames` as an array, of whichever shape and dtype."""
    if isinstance(frames, jax.Array | np.ndarray):
        return frames
    if isinstance(frames, Image.Image):
        return image_files.as_frame(frames, framing)
    if isinstance(frames, str | os.PathLike):
        path = pathlib.Path(frames)
        return image_files.read_sequence([(str(frames), path)], framing)[0]
    if not isinstance(frames, list | tuple):
        return np.asarray(frames)
    parts = [_stacked(part, framing) for part in frames]
    if not parts:
        raise ValueError("No frames, in an empty list; allowed: 1 or more.")
    for what in ("shape", "dtype"):
        found = dict.fromkeys(str(getattr(part, what)) for part in parts)
        if len(found) > 1:
            raise ValueError(f"A list of frames of {what} {' and '.join(found)}; allowed: one.")
    return jnp.stack(parts) if isinstance(parts[0], jax.Array) else np.stack(parts)


def _check_range(frames: Array) -> None:
    """Raises ValueError if floats are not in [0, 1], as they are when they count to 255."""
    low, high = float(frames.min()), float(frames.max())
    if not low >= -_ROUNDING or not high <= 1 + _ROUNDING:  # False for NaN as well.
        found = "NaN" if np.isnan(low) else f"{low:.4g} to {high:.4g}"
        raise ValueError(f"Frames with floats of {found}; allowed: floats in [0, 1], or uint8.")
