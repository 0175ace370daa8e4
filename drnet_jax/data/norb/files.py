"""The binary matrices of small NORB, plain or gzipped, checked before anything is read from them.

Source: the description of the format on the data set's home page.
"""

import dataclasses
import gzip
import math
import pathlib
import struct
import threading
import zlib
from typing import BinaryIO

import numpy as np

MAX_RECORDS = 48_600
"""As many as there are poses: 5 x 10 objects, 9 elevations, 18 azimuths, 6 lightings."""

_DTYPES = {0x1E3D4C55: np.dtype(np.uint8), 0x1E3D4C54: np.dtype("<i4")}
_CHUNK = 2**24
_DAMAGE = (OSError, EOFError, zlib.error)  # What reading a damaged gzip file raises.


@dataclasses.dataclass(frozen=True)
class Header:
    """What the first bytes of a file say.

    Attributes:
      dtype: uint8 or little-endian int32.
      shape: of the matrix.
      start: where its values begin.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def num_bytes(self) -> int:
        """Size of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


class MatrixFile:
    """A matrix in a file, read at first use; may be used from several threads.

    A plain file is mapped into memory. A gzipped one is decompressed once and kept.
    """

    def __init__(self, path: pathlib.Path, dtype: type, record_shape: tuple[int, ...]):
        """Reads the header.

        Args:
          path: the file; gzipped when it ends in `.gz`.
          dtype: what values it must have.
          record_shape: what shape it must have after the first axis.

        Raises:
          ValueError: the file is no such matrix, or not as long as its header says.
        """
        self.path = path
        self._lock, self._values, self._failure = threading.Lock(), None, ""
        self._gzipped = path.name.endswith(".gz")
        try:
            with self._open() as file:
                self.header = _read_header(file, path)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        shape = self.header.shape
        if self.header.dtype != dtype or shape[1:] != record_shape or len(shape) < 1:
            expected = ", ".join(str(s) for s in ("num", *record_shape))
            raise ValueError(
                f"{path} holds {self.header.dtype} of shape {shape}; "
                f"expected {np.dtype(dtype)} of shape ({expected})."
            )
        if not 1 <= shape[0] <= MAX_RECORDS:
            raise ValueError(f"{path} holds {shape[0]} records; allowed: 1 to {MAX_RECORDS}.")
        if not self._gzipped:
            self._check_size(path.stat().st_size - self.header.start)

    def __len__(self) -> int:
        return self.header.shape[0]

    def values(self) -> np.ndarray:
        """Returns the matrix.

        Raises:
          ValueError: the gzip file is damaged, or not as long as its header says.
        """
        with self._lock:
            if self._failure:  # Unpacking takes seconds: once is enough to know.
                raise ValueError(self._failure)
            if self._values is None:
                try:
                    self._values = self._decompressed() if self._gzipped else self._mapped()
                except ValueError as error:
                    self._failure = str(error)
                    raise
            return self._values

    def _open(self) -> BinaryIO:
        return gzip.open(self.path) if self._gzipped else self.path.open("rb")

    def _mapped(self) -> np.ndarray:
        header = self.header
        return np.memmap(self.path, header.dtype, "r", offset=header.start, shape=header.shape)

    def _decompressed(self) -> np.ndarray:
        values = np.empty(self.header.num_bytes, np.uint8)
        length = 0
        try:
            with self._open() as file:
                file.read(self.header.start)
                while chunk := file.read(_CHUNK):
                    # One byte too many is enough to know: never keep what a bomb unpacks to.
                    if length + len(chunk) > len(values):
                        self._check_size(length + len(chunk))
                    values[length : length + len(chunk)] = np.frombuffer(chunk, np.uint8)
                    length += len(chunk)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        self._check_size(length)
        return values.view(self.header.dtype).reshape(self.header.shape)

    def _check_size(self, found: int) -> None:
        if found != self.header.num_bytes:
            raise ValueError(
                f"{self.path} promises {self.header.num_bytes} bytes of shape "
                f"{self.header.shape}, but {found} follow its header."
            )

    def _damaged(self, error: Exception) -> ValueError:
        return ValueError(f"{self.path} is truncated or damaged: {error}.")


def _read_header(file: BinaryIO, path: pathlib.Path) -> Header:
    """Returns the header at the start of `file`.

    Raises:
      ValueError: there is none.
    """
    magic, num_dims = struct.unpack("<II", _take(file, 8, path))
    if magic not in _DTYPES:
        known = ", ".join(f"{m:#x} ({d})" for m, d in _DTYPES.items())
        raise ValueError(
            f"{path} starts with {magic:#x}; expected {known}: it is no matrix of small NORB."
        )
    if not 1 <= num_dims <= 4:
        raise ValueError(f"{path} promises {num_dims} dimensions; allowed: 1 to 4.")
    # Three sizes are always there, even of a vector.
    num_sizes = max(3, num_dims)
    sizes = struct.unpack(f"<{num_sizes}i", _take(file, 4 * num_sizes, path))
    return Header(_DTYPES[magic], sizes[:num_dims], 8 + 4 * num_sizes)


def _take(file: BinaryIO, num_bytes: int, path: pathlib.Path) -> bytes:
    content = file.read(num_bytes)
    if len(content) < num_bytes:
        raise ValueError(f"{path} ends within its header.")
    return content
