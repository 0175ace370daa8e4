"""Reads and writes IDX, the format of MNIST's files, and checks the four files of a digit set."""

import gzip
import hashlib
import io
import math
import zlib
from importlib.resources.abc import Traversable

import numpy as np
from etils import epath

# split -> (file of images, file of labels); each may also end in `.gz`.
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# MD5 of MNIST's files, decompressed: tells MNIST, compressed or not, from a user's digits.
MNIST_CHECKSUMS = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
Folder = epath.Path | Traversable
# split -> (images, uint8 `[num, 28, 28]`; labels, integers `[num]`)
Splits = dict[str, tuple[np.ndarray, np.ndarray]]

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_BYTES = 2**29  # Ten times MNIST; a gzip file of 500 kB may promise as much.
_UBYTE_MAGIC = b"\x00\x00\x08"  # A fourth byte holds the number of dimensions.


def encode(array: np.ndarray) -> bytes:
    """Returns an array of values 0 to 255 as the content of an IDX file."""
    header = _UBYTE_MAGIC + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + np.asarray(array, np.uint8).tobytes()


def _read(path: Folder, num_dims: int) -> np.ndarray:
    """Returns the uint8 array in an IDX file, plain or gzipped."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    # The content decides, not the name: browsers unpack a file but keep its `.gz`.
    if content.startswith(_GZIP_MAGIC):
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(_MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is truncated or damaged gzip: {error}.") from error
        if len(content) > _MAX_BYTES:
            raise ValueError(f"{path} has more than the allowed {_MAX_BYTES:,} bytes.")
    magic = _UBYTE_MAGIC + bytes([num_dims])
    start = 4 + 4 * num_dims  # The sizes follow the magic number, four bytes each.
    if content[:4] != magic:
        raise ValueError(
            f"{path} starts with {content[:4].hex()!r}, expected {magic.hex()!r}: "
            f"not an IDX file of {num_dims}-dimensional bytes."
        )
    if len(content) < start:
        raise ValueError(f"{path} ends within its header, after {len(content)} bytes.")
    shape = tuple(np.frombuffer(content, ">u4", num_dims, offset=4).tolist())
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != math.prod(shape):
        raise ValueError(
            f"{path} promises shape {shape}, {math.prod(shape)} bytes, but {values.size} follow."
        )
    return values.reshape(shape)


def read_folder(folder: Folder) -> Splits:
    """Returns the digits in the four IDX files of `folder`, each plain or gzipped.

    Raises:
      FileNotFoundError: the folder or one of the files is missing.
      ValueError: a file is damaged or does not hold 28x28 digits of classes 0 to 9.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} to read digits from.")
    paths = {}
    for name in MNIST_CHECKSUMS:
        found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        paths[name] = found[0] if found else None
    if missing := [name for name, path in paths.items() if path is None]:
        raise FileNotFoundError(
            f"Folder {folder} has no {', '.join(missing)} (plain or with .gz); "
            "it must hold all four files of a digit set."
        )
    return {split: _read_split(*(paths[name] for name in FILES[split])) for split in FILES}


def checksums(splits: Splits) -> dict[str, str]:
    """Returns the MD5 of each of the four files, decompressed, by file name."""
    return {
        name: md5(encode(array))
        for split, names in FILES.items()
        for name, array in zip(names, splits[split], strict=True)
    }


def md5(content: bytes) -> str:
    """Returns the MD5 of `content` in hexadecimal."""
    # Not for security: the flag keeps MD5 available on systems that forbid it there.
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _read_split(images_path: Folder, labels_path: Folder) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _read(images_path, num_dims=3), _read(labels_path, num_dims=1)
    if images.shape[1:] != (28, 28):
        height, width = images.shape[1:]
        raise ValueError(f"{images_path} holds images of {height}x{width}, expected 28x28.")
    if len(images) != len(labels):
        lengths = f"{len(images)} and {len(labels)}"
        raise ValueError(f"{images_path} and {labels_path} differ in length: {lengths}.")
    if not len(images):
        raise ValueError(f"{images_path} holds no digits.")
    if labels.max() > 9:
        raise ValueError(f"{labels_path} holds the label {labels.max()}, expected 0 to 9.")
    return images, labels
