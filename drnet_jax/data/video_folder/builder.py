"""A data set of your own videos: files of the usual kinds, or folders of numbered pictures."""

import dataclasses
import functools
import hashlib
import itertools
import math
import pathlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.base import wording
from drnet_jax.data.preparation.builder import (
    SPLITS,
    Card,
    Clip,
    ClipBuilder,
    ClipConfig,
    Job,
    UnreadableError,
)
from drnet_jax.data.readers import image_files, raw_files, video_files
from drnet_jax.data.readers.framing import Framing
from drnet_jax.data.readers.raw_files import RawFile
from drnet_jax.data.video_folder import clip_labels

Files = tuple[RawFile, ...]
"""What one or several clips are made from: a video, or the pictures of a folder."""

_CONTENTS = "videos, or folders of numbered pictures, perhaps below train/ and test/"
_CLIPS_PER_JOB = 10  # Few enough to fit in memory, enough to keep the number of jobs small.


@dataclasses.dataclass(kw_only=True)
class VideoFolderConfig(ClipConfig):
    """Settings of a folder of videos; `configs/video_folder.py` has their defaults."""

    colored: bool  # True for frames in color, False for gray.
    crop: str  # `center` takes the largest centered square, `none` squeezes the whole picture.
    # Frames per second at which videos, not folders of pictures, are sampled; 0 takes every frame.
    frame_rate: float
    min_frames: int  # Shorter clips are left out.
    max_frames: int  # Longer videos are cut into clips of this length.
    test_fraction: float  # Share of the files to test on, unless there are folders train and test.

    def __post_init__(self):
        raw_files.check_image_size(self.image_size)
        self.framing()
        if not 0 <= self.frame_rate <= 1000:
            raise ValueError(f"frame_rate={self.frame_rate}; allowed: 0 to 1000, 0 for all frames.")
        if not 2 <= self.min_frames <= self.max_frames:
            raise ValueError(
                f"min_frames={self.min_frames}, max_frames={self.max_frames}; "
                "allowed: 2 <= min_frames <= max_frames."
            )
        if not 0 < self.test_fraction < 1:
            raise ValueError(f"test_fraction={self.test_fraction}; allowed: between 0 and 1.")
        folder = self.open_folder()
        settings = (self.frame_rate, self.min_frames, self.max_frames, self.test_fraction)
        files = [file for files in _find_inputs(folder).values() for file in files]
        files += [raw_files.raw_file(p, p.name) for p in folder.glob(clip_labels.FILE)]
        described = ((file.name, file.size, file.changed) for file in files)
        # British spelling, as on disk since the first version.
        color = "colour" if self.colored else "grey"
        crop = {"center": "centre"}.get(self.crop, self.crop)
        digits = raw_files.fingerprint([settings, *described])
        self.name = f"px{self.image_size}_{color}_crop_{crop}_{digits}"

    def open_folder(self) -> pathlib.Path:
        """Returns the folder of the files; raises FileNotFoundError if it does not exist."""
        return raw_files.open_folder(self.folder, _CONTENTS)

    def framing(self) -> Framing:
        """Returns the form of the frames."""
        return Framing(self.image_size, channels=3 if self.colored else 1, crop=self.crop)


class VideoFolder(ClipBuilder):
    """A clip is a video, a part of a long one, or a folder of pictures."""

    CONTENT = ("file",)
    LABEL = "label"  # A column of `labels.csv`, if it has one with this name.
    CARD = Card(
        title="Folder of videos",
        description=(
            "Videos and folders of numbered pictures that the user named. Split by the folders "
            "train and test, else by file: a hash of its path decides, so that files added later "
            "change nobody's side. All parts of a file are on one side."
        ),
        license="That of the videos.",
    )

    @property
    def channels(self) -> int:
        """Channels of a frame: 1 for gray, 3 for color."""
        return self.builder_config.framing().channels

    @functools.cached_property
    def _inputs(self) -> dict[str, Files]:
        return _find_inputs(self.builder_config.open_folder())

    @functools.cached_property
    def _labels(self) -> clip_labels.Labels:
        return clip_labels.read(self.builder_config.open_folder(), self._inputs)

    def factor_features(self) -> dict[str, Any]:
        """Returns the file, and the columns of `labels.csv` if there is one."""
        classes = self._labels.classes.items()
        columns = {column: tfds.features.ClassLabel(names=names) for column, names in classes}
        return {"file": tfds.features.Text(), **columns}

    def jobs(self) -> dict[str, list[Job]]:
        """Returns a job for each file, several for a long video; see the base class."""
        config = self.builder_config
        splits = _split(config.open_folder(), list(self._inputs), config.test_fraction)
        return {
            split: [job for name in names for job in self._jobs(name, self._inputs[name])]
            for split, names in splits.items()
        }

    def make(self, job: Job) -> list[Clip]:
        """Returns the clips of a file or of a part of it; see the base class."""
        name, files, part, start, stop = job.arguments
        config = self.builder_config
        factors = {"file": name, **self._labels.rows[name]}
        frames = self._frames(name, files, start, stop)
        clips, num_frames = [], 0
        while batch := list(itertools.islice(frames, config.max_frames)):
            num_frames += len(batch)
            if len(batch) >= config.min_frames:
                # Numbered, not named by time, because times in damaged files may repeat.
                clips.append(Clip(f"{name}#{part}.{len(clips)}", np.stack(batch), factors))
        if not clips and part == 0:
            raise UnreadableError(
                f"{name} has {wording.count(num_frames, 'frame')}; "
                f"allowed: at least {config.min_frames}."
            )
        return clips

    def _jobs(self, name: str, files: Files) -> Iterator[Job]:
        """Yields a job for each part of an input; the frames of a part fit into memory."""
        part, total = self._lengths(name, files)
        count = max(1, math.ceil(total / part))
        for i in range(count):
            # Headers can be wrong, so the last part continues to the end.
            stop = part * (i + 1) if i + 1 < count else None
            yield Job(f"{name}, part {i + 1}" if i else name, (name, files, i, part * i, stop))

    def _lengths(self, name: str, files: Files) -> tuple[Fraction, Fraction]:
        """Returns the length of a part and of the input, in seconds or pictures; 0 is unknown."""
        part = Fraction(self.builder_config.max_frames * _CLIPS_PER_JOB)
        if not _is_video(files):
            return part, Fraction(len(files))
        try:
            duration, rate = video_files.read_timing(files[0].path, name)
        except UnreadableError:
            return part, Fraction(0)  # `make` will report it.
        rate = video_files.exact_rate(self.builder_config.frame_rate) or rate
        return (part / rate, duration) if rate and duration else (part, Fraction(0))

    def _frames(
        self, name: str, files: Files, start: Fraction, stop: Fraction | None
    ) -> Iterator[np.ndarray]:
        """Returns frames; `start` and `stop` are seconds of a video, or numbers of pictures."""
        framing = self.builder_config.framing()
        if not _is_video(files):
            part = slice(int(start), None if stop is None else int(stop))
            pictures = [(file.name, file.path) for file in _in_order(files)[part]]
            return iter(image_files.read_sequence(pictures, framing))
        timed = video_files.frames(files[0].path, name, framing, start=start, stop=stop)
        if rate := video_files.exact_rate(self.builder_config.frame_rate):
            timed = video_files.resample(timed, rate, name)
        return (frame for _, frame in timed)


def _in_order(files: Files) -> list[RawFile]:
    """Returns pictures ordered by the last number in their names; no two may have the same."""
    numbered: dict[int, RawFile] = {}
    for file in files:
        numbers = re.findall(r"\d+", pathlib.PurePosixPath(file.name).stem)
        if not numbers:
            raise UnreadableError(f"{file.name} has no number in its name; frames need an order.")
        earlier = numbered.setdefault(int(numbers[-1]), file)
        if earlier is not file:
            raise UnreadableError(f"{earlier.name} and {file.name} have the same number.")
    return [file for _, file in sorted(numbered.items())]


def _find_inputs(folder: pathlib.Path) -> dict[str, Files]:
    """Returns the videos and the folders of pictures below `folder`, in natural order.

    Their names are their paths below the folder, spelled the same on every system.
    """
    by_path: dict[str, list[RawFile]] = {}
    for file in raw_files.walk(folder):
        if _is_video([file]):
            by_path[file.name] = [file]
        elif file.path.suffix.lower() in image_files.SUFFIXES:
            by_path.setdefault(str(pathlib.PurePosixPath(file.name).parent), []).append(file)
    inputs: dict[str, Files] = {}
    for name, files in by_path.items():
        # Systems spell accents differently; a name must stay the same when files are copied.
        name = unicodedata.normalize("NFC", name)
        if name in inputs:
            raise ValueError(f"{folder} holds {name!r} twice, in different spellings.")
        inputs[name] = tuple(files)
    return dict(sorted(inputs.items(), key=lambda item: raw_files.natural_key(item[0])))


def _split(folder: pathlib.Path, names: list[str], test_fraction: float) -> dict[str, list[str]]:
    """Returns the names of inputs by split, or raises ValueError if a split is empty."""
    if any((folder / split).is_dir() for split in SPLITS):
        splits = {split: [n for n in names if n.split("/")[0] == split] for split in SPLITS}
        for split, inside in splits.items():
            if not inside:
                raise ValueError(
                    f"{folder / split} holds no video and no folder of pictures; "
                    "there must be some in train and in test, or neither of the two folders."
                )
        return splits
    if len(names) < 2:
        found = wording.count(len(names), "video or folder", "videos or folders")
        raise ValueError(
            f"{folder} holds {found} of pictures; expected at least 2, one of them to test on."
        )
    order = sorted(names, key=_position)
    num_test = sum(_position(name) < test_fraction for name in names)
    test = set(order[: min(max(1, num_test), len(names) - 1)])
    return {
        "train": [name for name in names if name not in test],
        "test": [name for name in names if name in test],
    }


def _position(name: str) -> float:
    """Returns a number in [0, 1) that looks random and depends on nothing but `name`."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48


def _is_video(files: Sequence[RawFile]) -> bool:
    return files[0].path.suffix.lower() in video_files.SUFFIXES
