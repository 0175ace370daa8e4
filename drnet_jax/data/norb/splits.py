"""small NORB from its raw files, or from what `smallnorb` of the tfds catalog prepared."""

import io
import pathlib
import threading
from collections.abc import Sequence

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


class RawSplit:
    """Pictures and labels of a split, from its three binary matrices.

    Attributes:
      labels: int32 `[num, 5]`, the columns as in `LABELS`.
    """

    def __init__(self, paths: dict[str, pathlib.Path]):
        """Reads the files `paths` of `dat`, `cat` and `info`.

        Raises:
          ValueError: a file is damaged, or the files do not belong together.
        """
        parts = {part: files.read_matrix(paths[part], *_PARTS[part]) for part in _PARTS}
        if len({len(matrix) for matrix in parts.values()}) > 1:
            lengths = ", ".join(f"{paths[part].name} {len(parts[part])}" for part in parts)
            raise ValueError(f"The files in {paths['dat'].parent} differ in length: {lengths}.")
        self._pictures = parts["dat"]
        instance, elevation, azimuth, lighting = parts["info"].T
        # The raw files count azimuths in steps of 10 degrees but hold every second one only.
        if np.any(azimuth % 2):
            raise ValueError(f"{paths['info']} holds an odd azimuth; expected 0, 2, 4 to 34.")
        columns = [parts["cat"], instance, elevation, lighting, azimuth // 2]
        self.labels = np.stack(columns, axis=1)
        _check_labels(self.labels, str(paths["info"]))

    def pictures(self, records: Sequence[int], camera: int) -> np.ndarray:
        """Returns uint8 `[num, 96, 96]` of a camera."""
        return self._pictures[list(records), camera]


class PreparedSplit:
    """Pictures and labels of a split, from what tfds prepared as ArrayRecord.

    Attributes:
      labels: int32 `[num, 5]`, the columns as in `LABELS`.
    """

    def __init__(self, folder: pathlib.Path, split: str):
        """Reads the labels of all records, which takes seconds: the pictures stay compressed.

        Raises:
          ValueError: the folder holds something else.
        """
        builder = tfds.builder_from_directory(folder)
        if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
            raise ValueError(
                f"{folder} was prepared as {builder.info.file_format.value}, which needs "
                "TensorFlow to read; allowed: file_format='array_record'."
            )
        names = [label if label == "instance" else f"label_{label}" for label in LABELS]
        if missing := {"image", "image2", *names} - set(builder.info.features):
            raise ValueError(f"{folder} is no smallnorb: it has no {', '.join(sorted(missing))}.")
        skip = {camera: tfds.decode.SkipDecoding() for camera in ("image", "image2")}
        self._source = builder.as_data_source(split=split, decoders=skip)
        self._lock = threading.Lock()
        rows = [[record[name] for name in names] for record in self._source]
        self.labels = np.array(rows, np.int32).reshape(-1, len(names))
        _check_labels(self.labels, str(folder))

    def pictures(self, records: Sequence[int], camera: int) -> np.ndarray:
        """Returns uint8 `[num, 96, 96]` of a camera."""
        with self._lock:
            pngs = [self._source[i]["image2" if camera else "image"] for i in records]
        return np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in pngs])


Split = RawSplit | PreparedSplit


def open_splits(folder: pathlib.Path) -> dict[str, Split]:
    """Returns the splits in `folder`.

    Raises:
      FileNotFoundError: the folder does not hold all of small NORB.
      ValueError: a file is damaged, or an object is in both splits.
    """
    if raw := _raw_paths(folder):
        splits = {split: RawSplit(paths) for split, paths in raw.items()}
    else:
        prepared = _prepared_folder(folder)
        splits = {split: PreparedSplit(prepared, split) for split in STEMS}
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
        found = raw_files.walk(_prepared_folder(folder))
    return raw_files.fingerprint((file.name, file.size) for file in found)


def _raw_paths(folder: pathlib.Path) -> dict[str, dict[str, pathlib.Path]]:
    """Returns the raw files by split and part; empty if there are none.

    Raises:
      FileNotFoundError: some of them are missing.
    """
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
    """Returns the folder of the newest version that tfds prepared, `folder` itself or below it.

    Raises:
      FileNotFoundError: there is none.
    """
    candidates = [folder, *folder.glob("[0-9]*"), *folder.glob("smallnorb/[0-9]*")]
    prepared = [path for path in candidates if (path / "features.json").is_file()]
    if not prepared:
        raise FileNotFoundError(f"{folder} holds none of: {CONTENTS}.")
    return max(prepared, key=lambda path: raw_files.natural_key(path.name))


def _check_labels(labels: np.ndarray, name: str) -> None:
    """Raises ValueError unless `labels`, int `[num, 5]`, are within bounds."""
    for column, (label, count) in zip(labels.T, LABELS.items(), strict=True):
        if column.min() < 0 or column.max() >= count:
            raise ValueError(
                f"{name} holds {label} {column.min()} to {column.max()}; allowed: 0 to {count - 1}."
            )
