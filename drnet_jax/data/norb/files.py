"""Reads the binary matrices of small NORB, plain or gzipped, and checks them.

Source: the description of the format on the data set's home page.
"""

import gzip
import math
import pathlib
import struct
import zlib
from typing import BinaryIO

import numpy as np

MAX_RECORDS = 48_600
"""All poses of small NORB: 5 x 10 objects, 9 elevations, 18 azimuths, 6 lightings."""

_DTYPES = {0x1E3D4C55: np.dtype(np.uint8), 0x1E3D4C54: np.dtype("<i4")}  # By magic number.


def read_matrix(path: pathlib.Path, dtype: type, record_shape: tuple[int, ...]) -> np.ndarray:
    """Returns the matrix in a file: a memory map, or the content if its name ends in `.gz`.

    The matrix must have the dtype `dtype` and, after the first axis, the shape `record_shape`.

    Raises:
      ValueError: the file is damaged, holds another matrix or is not as long as its header says.
    """
    gzipped = path.name.endswith(".gz")
    try:
        with gzip.open(path) if gzipped else path.open("rb") as file:
            found, shape = _read_header(file, path)
            if found != dtype or shape[1:] != record_shape:
                expected = ", ".join(str(size) for size in ("num", *record_shape))
                raise ValueError(
                    f"{path} holds {found} of shape {shape}; "
                    f"expected {np.dtype(dtype)} of shape ({expected})."
                )
            if not 1 <= shape[0] <= MAX_RECORDS:
                raise ValueError(f"{path} holds {shape[0]} records; allowed: 1 to {MAX_RECORDS}.")
            promised, start = math.prod(shape) * found.itemsize, file.tell()
            if gzipped:
                # One more byte proves the header wrong, and a gzip bomb is not unpacked further.
                content = file.read(promised + 1)
                follow = "more" if len(content) > promised else len(content)
            else:
                follow = path.stat().st_size - start
    except struct.error as error:
        raise ValueError(f"{path} ends within its header.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is truncated or damaged: {error}.") from error
    if follow != promised:
        raise ValueError(
            f"{path} promises {promised} bytes of shape {shape}, but {follow} follow its header."
        )
    if gzipped:
        return np.frombuffer(content, found).reshape(shape)
    return np.memmap(path, found, "r", offset=start, shape=shape)


def _read_header(file: BinaryIO, path: pathlib.Path) -> tuple[np.dtype, tuple[int, ...]]:
    """Returns dtype and shape of the matrix in `file`, leaving it at the first value."""
    magic, num_dims = struct.unpack("<II", file.read(8))
    if magic not in _DTYPES:
        allowed = ", ".join(f"{key:#x} ({dtype})" for key, dtype in _DTYPES.items())
        raise ValueError(
            f"{path} starts with {magic:#x}; expected {allowed}: it is not a matrix of small NORB."
        )
    if not 1 <= num_dims <= 4:
        raise ValueError(f"{path} promises {num_dims} dimensions; allowed: 1 to 4.")
    num_sizes = max(3, num_dims)  # Even the header of a vector has three sizes.
    sizes = struct.unpack(f"<{num_sizes}i", file.read(4 * num_sizes))
    return _DTYPES[magic], sizes[:num_dims]
