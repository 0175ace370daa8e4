"""Reads clips that NumPy has saved, each as one array in a file."""

import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from drnet_jax.base.errors import first_line
from drnet_jax.data.preparation.builder import UnreadableError
from drnet_jax.data.readers import framing as framing_lib
from drnet_jax.data.readers import image_files
from drnet_jax.data.readers.framing import Framing

SUFFIX = ".npy"

ARCHIVES = (".npz", ".h5", ".hdf5")
"""Files that hold several arrays, of which nothing says which are clips."""


def length(path: pathlib.Path, name: str) -> int:
    """Returns the number of frames; `name` and errors are those of `frames`."""
    return len(_mapped(path, name))


def frames(path: pathlib.Path, name: str, framing: Framing, part: slice) -> Iterator[np.ndarray]:
    """Yields the frames `part` of an array as uint8 `[size, size, channels]`.

    Args:
      path: a file with uint8 `[time, height, width]`, or `[time, height, width, channels]` with 1,
        3 or 4 channels, the fourth of which is opacity.
      name: the name of the file in errors.
      framing: the form of the frames.
      part: which frames.

    Raises:
      UnreadableError: it is not such a file.
    """
    for frame in _mapped(path, name)[part]:
        yield image_files.as_frame(Image.fromarray(frame), framing)


def _mapped(path: pathlib.Path, name: str) -> np.ndarray:
    """Returns the array, of which only what is looked at is read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    # NumPy parses the header as Python, and raises what that raises.
    except Exception as error:
        reason = first_line(error).rstrip(".")
        raise UnreadableError(f"{name} is not a readable array: {reason}.") from error
    if not isinstance(array, np.ndarray):
        raise UnreadableError(f"{name} is an archive of arrays; save each clip as {SUFFIX}.")
    is_video = array.ndim == 3 or (array.ndim == 4 and array.shape[-1] in (1, 3, 4))
    if array.dtype != np.uint8 or not is_video:
        raise UnreadableError(
            f"{name} is {array.dtype} {list(array.shape)}; allowed: uint8 [time, height, width], "
            "perhaps with 1, 3 or 4 channels as the last axis."
        )
    framing_lib.check_picture(name, array.shape[2], array.shape[1])
    return array[..., 0] if array.ndim == 4 and array.shape[-1] == 1 else array
