"""Reads and writes IDX, the format of MNIST's files, and checks four such files for digits."""

import gzip
import hashlib
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
Folder = epath.Path | Traversable
# split -> (images, uint8 `[num, 28, 28]`; labels, uint8 `[num]`)
Splits = dict[str, tuple[np.ndarray, np.ndarray]]

_GZIP_MAGIC = b"\x1f\x8b"
_UBYTE_MAGIC = b"\x00\x00\x08"  # The fourth byte counts the dimensions.


def encode(array: np.ndarray) -> bytes:
    """Returns a uint8 array as the content of an IDX file."""
    header = _UBYTE_MAGIC + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


def decode(content: bytes, num_dims: int, name: str) -> np.ndarray:
    """Returns the uint8 array in an IDX file.

    Args:
      content: what the file holds, decompressed.
      num_dims: how many dimensions the array must have: 3 for images, 1 for labels.
      name: what to call the file in errors.

    Raises:
      ValueError: the content is not such an IDX file, or not all of it.
    """
    magic = _UBYTE_MAGIC + bytes([num_dims])
    start = 4 + 4 * num_dims
    if content[:4] != magic:
        raise ValueError(
            f"{name} starts with {content[:4].hex()!r}, expected {magic.hex()!r}: "
            f"not an IDX file of {num_dims}-dimensional bytes."
        )
    if len(content) < start:
        raise ValueError(f"{name} ends within its header, after {len(content)} bytes.")
    shape = tuple(np.frombuffer(content, ">u4", num_dims, offset=4).tolist())
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != math.prod(shape):
        raise ValueError(
            f"{name} promises shape {shape}, {math.prod(shape)} bytes, but {values.size} follow."
        )
    return values.reshape(shape)


def decompress(content: bytes, name: str) -> bytes:
    """Returns `content` unpacked if it is gzip, else as it is: browsers unpack but keep `.gz`.

    Raises:
      ValueError: the gzip stream is truncated or damaged.
    """
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name} is truncated or damaged gzip: {error}.") from error


def read_folder(folder: Folder) -> Splits:
    """Returns the digits in the four IDX files of `folder`, each plain or gzipped.

    Raises:
      FileNotFoundError: the folder, or one of the files, is missing.
      ValueError: a file is damaged or does not hold 28x28 digits of classes 0 to 9.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} to read digits from.")
    names = [name for pair in FILES.values() for name in pair]
    paths = {name: _find(folder, name) for name in names}
    if missing := [name for name in names if paths[name] is None]:
        raise FileNotFoundError(
            f"Folder {folder} lacks {', '.join(missing)} (plain or with .gz), "
            f"of the four files of digits it must hold."
        )
    return {split: _read_split(*(paths[name] for name in FILES[split])) for split in FILES}


def checksums(splits: Splits) -> dict[str, str]:
    """Returns the MD5 of each of the four files, plain, by file name."""
    return {
        name: md5(encode(array))
        for split, names in FILES.items()
        for name, array in zip(names, splits[split], strict=True)
    }


def md5(content: bytes) -> str:
    """Returns the MD5 of `content` in hexadecimal."""
    # It guards against damage, not against an attacker, so strict systems may allow it too.
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _find(folder: Folder, name: str) -> Folder | None:
    candidates = [folder / name, folder / f"{name}.gz"]
    return next((path for path in candidates if path.is_file()), None)


def _read(path: Folder, num_dims: int) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    return decode(decompress(content, str(path)), num_dims, str(path))


def _read_split(images_path: Folder, labels_path: Folder) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _read(images_path, num_dims=3), _read(labels_path, num_dims=1)
    if images.shape[1:] != (28, 28):
        height, width = images.shape[1:]
        raise ValueError(f"{images_path} holds images of {height}x{width}, expected 28x28.")
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} labels."
        )
    if not len(images):
        raise ValueError(f"{images_path} holds no digits.")
    if labels.max() > 9:
        raise ValueError(f"{labels_path} holds the label {labels.max()}, expected 0 to 9.")
    return images, labels
