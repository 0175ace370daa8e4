"""small NORB from its raw files, or from what `smallnorb` of the tfds catalog prepared."""

import dataclasses
import io
import pathlib
import threading
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from drnet_jax.data.norb import files
from drnet_jax.data.readers import raw_files

STEMS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
LABELS = {"category": 5, "instance": 10, "elevation": 9, "lighting": 6, "azimuth": 18}
"""Number of values of each label, all counted from 0."""

SIDE = 96
CONTENTS = (
    "the six files smallnorb-*.mat of small NORB, plain or with .gz, or a folder `smallnorb` that "
    "tensorflow-datasets prepared"
)

# Ending of a file's name -> dtype and shape of a record.
_PARTS = {"dat": (np.uint8, (2, SIDE, SIDE)), "cat": (np.int32, ()), "info": (np.int32, (4,))}


@dataclasses.dataclass(frozen=True)
class Split:
    """Labels and pictures of a split."""

    labels: np.ndarray  # int32 `[num, 5]`, the columns as in `LABELS`.
    # Maps a list of records and a camera, 0 or 1, to uint8 `[records, 96, 96]`.
    pictures: Callable[[Sequence[int], int], np.ndarray]


def _raw_split(paths: dict[str, pathlib.Path]) -> Split:
    """Returns a split from the files `paths` of `dat`, `cat` and `info`."""
    parts = {part: files.read_matrix(paths[part], *_PARTS[part]) for part in _PARTS}
    if len({len(matrix) for matrix in parts.values()}) > 1:
        lengths = ", ".join(f"{paths[part].name} {len(parts[part])}" for part in parts)
        raise ValueError(f"The files in {paths['dat'].parent} differ in length: {lengths}.")
    instance, elevation, azimuth, lighting = parts["info"].T
    # The raw files count azimuths in steps of 10 degrees but hold only every second one.
    if np.any(azimuth % 2):
        raise ValueError(f"{paths['info']} holds an odd azimuth; expected 0, 2, 4 to 34.")
    labels = np.stack([parts["cat"], instance, elevation, lighting, azimuth // 2], axis=1)
    _check_labels(labels, paths["info"])
    return Split(labels, lambda records, camera: parts["dat"][list(records), camera])


def _prepared_split(folder: pathlib.Path, split: str) -> Split:
    """Returns a split that tfds prepared; reads all labels, while the pictures stay compressed."""
    builder = tfds.builder_from_directory(folder)
    if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        raise ValueError(
            f"{folder} was prepared as {builder.info.file_format.value}, which needs "
            "TensorFlow to read; allowed: file_format='array_record'."
        )
    names = [label if label == "instance" else f"label_{label}" for label in LABELS]
    cameras = ("image", "image2")
    if missing := {*cameras, *names} - set(builder.info.features):
        raise ValueError(f"{folder} is not smallnorb: it has no {', '.join(sorted(missing))}.")
    decoders = {camera: tfds.decode.SkipDecoding() for camera in cameras}
    source, lock = builder.as_data_source(split=split, decoders=decoders), threading.Lock()

    def pictures(records: Sequence[int], camera: int) -> np.ndarray:
        with lock:  # The file behind the source is shared by all threads.
            pngs = [source[i][cameras[camera]] for i in records]
        return np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in pngs])

    rows = [[record[name] for name in names] for record in source]
    labels = np.array(rows, np.int32).reshape(-1, len(names))
    _check_labels(labels, folder)
    return Split(labels, pictures)


def open_splits(folder: pathlib.Path) -> dict[str, Split]:
    """Returns the splits in `folder`.

    Raises:
      FileNotFoundError: the folder does not hold all of small NORB.
      ValueError: a file is damaged or holds something else, or an object is in both splits.
    """
    if raw := _raw_paths(folder):
        splits = {split: _raw_split(paths) for split, paths in raw.items()}
    else:
        prepared = _prepared_folder(folder)
        splits = {split: _prepared_split(prepared, split) for split in STEMS}
    objects = [{tuple(row) for row in split.labels[:, :2].tolist()} for split in splits.values()]
    if shared := sorted(objects[0] & objects[1]):
        category, instance = shared[0]
        raise ValueError(
            f"{folder} has instance {instance} of category {category} in both splits; "
            "test objects must not occur in training."
        )
    return splits


def fingerprint(folder: pathlib.Path) -> str:
    """Returns hexadecimal digits that change with the files of small NORB in `folder`.

    Raises:
      FileNotFoundError: the folder does not hold all of small NORB.
    """
    if raw := _raw_paths(folder):
        paths = [path for parts in raw.values() for path in parts.values()]
        found = [raw_files.raw_file(path, path.name) for path in paths]
    else:
        found, _ = raw_files.walk(_prepared_folder(folder))
    return raw_files.fingerprint((file.name, file.size) for file in found)


def _raw_paths(folder: pathlib.Path) -> dict[str, dict[str, pathlib.Path]]:
    """Returns the raw files by split and part; empty if there are none."""
    found, missing = {}, []
    for split, stem in STEMS.items():
        for part in _PARTS:
            name = f"{stem}-{part}.mat"
            # The plain file first: it need not be decompressed.
            paths = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
            if paths:
                found.setdefault(split, {})[part] = paths[0]
            else:
                missing.append(name)
    if found and missing:
        raise FileNotFoundError(f"{folder} has no {', '.join(missing)}, plain or with .gz.")
    return found


def _prepared_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns the folder of the newest version that tfds prepared, `folder` itself or below it."""
    candidates = [folder, *folder.glob("[0-9]*"), *folder.glob("smallnorb/[0-9]*")]
    prepared = [path for path in candidates if (path / "features.json").is_file()]
    if not prepared:
        raise FileNotFoundError(f"{folder} holds none of: {CONTENTS}.")
    return max(prepared, key=lambda path: raw_files.natural_key(path.name))


def _check_labels(labels: np.ndarray, path: pathlib.Path) -> None:
    """Raises ValueError unless `labels`, int `[num, 5]`, are within bounds."""
    for column, (label, count) in zip(labels.T, LABELS.items(), strict=True):
        if column.min() < 0 or column.max() >= count:
            raise ValueError(
                f"{path} holds {label} {column.min()} to {column.max()}; allowed: 0 to {count - 1}."
            )
