"""small NORB from its raw files, or from what the tfds catalog's `smallnorb` prepared."""

import io
import pathlib
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from drnet_jax.data.norb.files import MatrixFile
from drnet_jax.data.readers import raw_files

STEMS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
LABELS = {"category": 5, "instance": 10, "elevation": 9, "lighting": 6, "azimuth": 18}
"""How many values each label has; all count from 0."""

SIDE = 96
CONTENTS = (
    "the six files smallnorb-*.mat of small NORB, plain or with .gz, or a folder `smallnorb` that "
    "tensorflow-datasets prepared"
)

_PARTS = {"dat": (np.uint8, (2, SIDE, SIDE)), "cat": (np.int32, ()), "info": (np.int32, (4,))}


class RawSplit:
    """Pictures and labels of a split, from three binary matrices."""

    def __init__(self, paths: dict[str, pathlib.Path]):
        """Checks the files; `paths` are those of `dat`, `cat` and `info`.

        Raises:
          ValueError: a file is damaged, or they do not belong together.
        """
        files = {part: MatrixFile(paths[part], *_PARTS[part]) for part in _PARTS}
        if len({len(file) for file in files.values()}) > 1:
            lengths = ", ".join(f"{file.path.name} {len(file)}" for file in files.values())
            raise ValueError(f"The files in {paths['dat'].parent} differ in length: {lengths}.")
        self._pictures = files["dat"]
        instance, elevation, azimuth, lighting = files["info"].values().T
        if np.any(azimuth % 2):
            raise ValueError(f"{paths['info']} holds an odd azimuth; expected 0, 2, 4 to 34.")
        category = files["cat"].values()
        self.labels = np.stack([category, instance, elevation, lighting, azimuth // 2], axis=1)
        _check_labels(self.labels, str(paths["info"]))

    def pictures(self, records: Sequence[int], camera: int) -> np.ndarray:
        """Returns uint8 `[num, 96, 96]` of a camera; see `MatrixFile.values` for errors."""
        return self._pictures.values()[list(records), camera]


class PreparedSplit:
    """Pictures and labels of a split, from what tfds prepared in the form of ArrayRecord."""

    def __init__(self, folder: pathlib.Path, split: str):
        """Reads the labels of all records, in seconds: the pictures stay packed.

        Raises:
          ValueError: the folder holds something else.
        """
        builder = tfds.builder_from_directory(folder)
        if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
            raise ValueError(
                f"{folder} was prepared as {builder.info.file_format.value}, which needs "
                "TensorFlow to read; allowed: file_format='array_record'."
            )
        names = [f"label_{n}" if n != "instance" else n for n in LABELS]
        if lacking := {"image", "image2", *names} - set(builder.info.features):
            raise ValueError(f"{folder} is no smallnorb: it lacks {', '.join(sorted(lacking))}.")
        skip = {camera: tfds.decode.SkipDecoding() for camera in ("image", "image2")}
        self._source = builder.as_data_source(split=split, decoders=skip)
        self._lock = threading.Lock()
        rows = [[record[name] for name in names] for record in self._source]
        self.labels = np.array(rows, np.int32).reshape(-1, len(names))
        _check_labels(self.labels, str(folder))

    def pictures(self, records: Sequence[int], camera: int) -> np.ndarray:
        """Returns uint8 `[num, 96, 96]` of a camera."""
        with self._lock:
            packed = [self._source[i]["image2" if camera else "image"] for i in records]
        return np.stack([np.asarray(Image.open(io.BytesIO(content))) for content in packed])


Split = RawSplit | PreparedSplit


def open_splits(folder: pathlib.Path) -> dict[str, Split]:
    """Returns the splits in `folder`.

    Raises:
      FileNotFoundError: it does not hold all of small NORB.
      ValueError: a file is damaged, or an object is in both splits.
    """
    raw = _raw_paths(folder)
    if raw:
        splits = {split: RawSplit(paths) for split, paths in raw.items()}
    else:
        prepared = _prepared_folder(folder)
        splits = {split: PreparedSplit(prepared, split) for split in STEMS}
    objects = [{tuple(row) for row in split.labels[:, :2].tolist()} for split in splits.values()]
    if shared := sorted(objects[0] & objects[1]):
        category, instance = shared[0]
        raise ValueError(
            f"{folder} has instance {instance} of category {category} in both splits; "
            "objects to test on must be new."
        )
    return splits


def fingerprint(folder: pathlib.Path) -> str:
    """Returns digits that change with the files of small NORB in `folder`.

    Raises:
      FileNotFoundError: it does not hold all of small NORB.
    """
    raw = _raw_paths(folder)
    paths = [path for parts in raw.values() for path in parts.values()]
    if raw:
        files = [raw_files.raw_file(path, path.name) for path in paths]
    else:
        files = raw_files.walk(_prepared_folder(folder))
    return raw_files.fingerprint((file.name, file.size) for file in files)


def _raw_paths(folder: pathlib.Path) -> dict[str, dict[str, pathlib.Path]]:
    """Returns the raw files by split and part; empty when there is none at all.

    Raises:
      FileNotFoundError: some of them are missing.
    """
    names = {
        split: {part: f"{stem}-{part}.mat" for part in _PARTS} for split, stem in STEMS.items()
    }
    found, missing = {}, []
    for split, parts in names.items():
        for part, name in parts.items():
            # The plain file first: it need not be decompressed.
            paths = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
            if paths:
                found.setdefault(split, {})[part] = paths[0]
            else:
                missing.append(name)
    if found and missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}, plain or with .gz.")
    return found


def _prepared_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns the folder that tfds can read, of the newest version, in or below `folder`.

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
