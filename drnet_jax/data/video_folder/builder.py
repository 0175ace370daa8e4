"""Your own videos: files of the usual kinds, and folders of numbered pictures."""

import dataclasses
import hashlib
import math
import pathlib
import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

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

_CONTENTS = "videos, or folders of numbered pictures, perhaps below train/ and test/"
_CLIPS_PER_JOB = 10


@dataclasses.dataclass(kw_only=True)
class VideoFolderConfig(ClipConfig):
    """Settings of a folder of videos.

    Attributes:
      name: made from the settings and from what the folder holds.
      colored: whether frames are in color, else gray.
      crop: `center` takes the greatest square in the middle, `none` squeezes the whole picture.
      frame_rate: frames per second that videos are sampled at; 0 takes every frame there is.
        Pictures in folders are all taken in any case.
      min_frames: shorter clips are left out.
      max_frames: longer videos are cut into clips of this length.
      test_fraction: how many of the files to test on, where no folders train/ and test/ say so.
    """

    name: str = ""
    colored: bool = True
    crop: str = "center"
    frame_rate: float = 0.0
    min_frames: int = 2
    max_frames: int = 300
    test_fraction: float = 0.15

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
        folder = raw_files.open_folder(self.folder, _CONTENTS)
        settings = (self.frame_rate, self.min_frames, self.max_frames, self.test_fraction)
        files = [file for recording in _recordings(folder) for file in recording.files]
        files += [raw_files.raw_file(p, p.name) for p in folder.glob(clip_labels.FILE)]
        found = ((file.name, file.size, file.changed) for file in files)
        # British spelling, as on disk since the first version.
        color = "colour" if self.colored else "grey"
        crop = {"center": "centre"}.get(self.crop, self.crop)
        digits = raw_files.fingerprint([settings, *found])
        self.name = f"px{self.image_size}_{color}_crop_{crop}_{digits}"

    def framing(self) -> Framing:
        """Returns the form of the frames."""
        return Framing(self.image_size, channels=3 if self.colored else 1, crop=self.crop)


@dataclasses.dataclass(frozen=True)
class _Recording:
    """One video, or one folder of pictures.

    Attributes:
      name: its path below the folder, in one spelling on every system.
      files: the video, or the pictures.
    """

    name: str
    files: tuple[RawFile, ...]

    @property
    def is_video(self) -> bool:
        return _suffix(self.files[0]) in video_files.SUFFIXES


class VideoFolder(ClipBuilder):
    """A clip is a video, a part of a long one, or a folder of pictures."""

    CONTENT = ("file",)
    LABEL = "label"  # A column of `labels.csv`, where there is one of this name.
    CARD = Card(
        title="Folder of videos",
        description=(
            "Videos and folders of numbered pictures that the user named. Split by the folders "
            "train and test, else by file: a hash of its path decides, so that files added later "
            "change nobody's side. All parts of a file are on one side."
        ),
        license="That of the videos.",
        homepage="",
        citation="",
        stand_in=False,
        periodic=False,
    )

    _found: tuple[dict[str, list[_Recording]], clip_labels.Labels] | None = None

    @property
    def channels(self) -> int:
        """Channels of a frame: 1 for gray, 3 for color."""
        return self.builder_config.framing().channels

    def factor_features(self) -> dict[str, Any]:
        """Returns the file, and the columns of `labels.csv` where there is one."""
        _, labels = self._find()
        columns = {c: tfds.features.ClassLabel(names=names) for c, names in labels.classes.items()}
        return {"file": tfds.features.Text(), **columns}

    def jobs(self) -> dict[str, list[Job]]:
        """Returns a job for each file, several for a long video; see the base class."""
        splits, _ = self._find()
        return {split: [job for r in splits[split] for job in self._jobs(r)] for split in SPLITS}

    def make(self, job: Job) -> list[Clip]:
        """Returns the clips of a file or of a part of it; see the base class."""
        recording, part, start, stop = job.arguments
        config = self.builder_config
        _, labels = self._find()
        factors = {"file": recording.name, **labels.rows[recording.name]}
        read = self._video if recording.is_video else self._pictures
        clips, batch = [], []

        def finish_clip() -> None:
            # Numbers, since the times in damaged files may repeat.
            name = f"{recording.name}#{part}.{len(clips)}"
            clips.append(Clip(name, np.stack(batch), factors))
            batch.clear()

        for frame in read(recording, start, stop):
            batch.append(frame)
            if len(batch) == config.max_frames:
                finish_clip()
        if len(batch) >= config.min_frames:
            finish_clip()
        if not clips and part == 0:
            raise UnreadableError(
                f"{recording.name} has {len(batch)} frames; allowed: at least {config.min_frames}."
            )
        return clips

    def _find(self) -> tuple[dict[str, list[_Recording]], clip_labels.Labels]:
        """Returns recordings by split, and labels."""
        if self._found is None:
            folder = raw_files.open_folder(self.builder_config.folder, _CONTENTS)
            recordings = _recordings(folder)
            labels = clip_labels.read(folder, [recording.name for recording in recordings])
            self._found = _split(folder, recordings, self.builder_config.test_fraction), labels
        return self._found

    def _jobs(self, recording: _Recording) -> Iterator[Job]:
        """Returns the parts of a recording that are made at once, each small enough for memory."""
        part, total = self._lengths(recording)
        count = max(1, math.ceil(total / part))
        for i in range(count):
            # Headers err, so the last part goes on to the end.
            stop = part * (i + 1) if i + 1 < count else None
            name = f"{recording.name}, part {i + 1}" if i else recording.name
            yield Job(name, (recording, i, part * i, stop))

    def _lengths(self, recording: _Recording) -> tuple[Fraction, Fraction]:
        """Returns the length of a part and of all, in seconds or pictures; 0 where unknown."""
        part = Fraction(self.builder_config.max_frames * _CLIPS_PER_JOB)
        if not recording.is_video:
            return part, Fraction(len(recording.files))
        try:
            timing = video_files.read_timing(recording.files[0].path, recording.name)
        except UnreadableError:
            return part, Fraction(0)  # `make` will tell.
        rate = self._rate() or timing.rate
        if not rate or not timing.duration:
            return part, Fraction(0)
        return part / rate, timing.duration

    def _rate(self) -> Fraction | None:
        rate = self.builder_config.frame_rate
        return Fraction(rate).limit_denominator(1001) if rate else None

    def _video(
        self, recording: _Recording, start: Fraction, stop: Fraction | None
    ) -> Iterator[np.ndarray]:
        """Returns the frames from `start` to `stop` seconds."""
        path, framing = recording.files[0].path, self.builder_config.framing()
        frames = video_files.frames(path, recording.name, framing, start=start, stop=stop)
        if rate := self._rate():
            frames = video_files.resample(frames, rate, recording.name)
        return (frame for _, frame in frames)

    def _pictures(
        self, recording: _Recording, start: Fraction, stop: Fraction | None
    ) -> Iterator[np.ndarray]:
        """Returns the pictures from number `start` to `stop`, counted from 0."""
        part = slice(int(start), None if stop is None else int(stop))
        pictures = [(file.name, file.path) for file in _in_order(recording.files)[part]]
        yield from image_files.read_sequence(pictures, self.builder_config.framing())


def _in_order(files: tuple[RawFile, ...]) -> list[RawFile]:
    """Returns pictures ordered by the last number in their names.

    Raises:
      UnreadableError: a name has no number, or two have the same.
    """
    numbered: dict[int, RawFile] = {}
    for file in files:
        numbers = re.findall(r"\d+", pathlib.PurePosixPath(file.name).stem)
        if not numbers:
            raise UnreadableError(f"{file.name} has no number in its name; frames need an order.")
        earlier = numbered.setdefault(int(numbers[-1]), file)
        if earlier is not file:
            raise UnreadableError(f"{earlier.name} and {file.name} have the same number.")
    return [file for _, file in sorted(numbered.items())]


def _recordings(folder: pathlib.Path) -> list[_Recording]:
    """Returns what can become clips below `folder`, in natural order.

    Raises:
      ValueError: two would have the same name.
    """
    found: dict[str, list[RawFile]] = {}
    for file in raw_files.walk(folder):
        if _suffix(file) in video_files.SUFFIXES:
            found.setdefault(file.name, []).append(file)
        elif _suffix(file) in image_files.SUFFIXES:
            found.setdefault(str(pathlib.PurePosixPath(file.name).parent), []).append(file)
    recordings: dict[str, _Recording] = {}
    for name, files in found.items():
        # Systems spell accents differently; a name must stay the same when files are copied.
        recording = _Recording(unicodedata.normalize("NFC", name), tuple(files))
        if recording.name in recordings:
            raise ValueError(f"{folder} holds {recording.name!r} twice, in different spellings.")
        recordings[recording.name] = recording
    return sorted(recordings.values(), key=lambda r: raw_files.natural_key(r.name))


def _split(
    folder: pathlib.Path, recordings: list[_Recording], test_fraction: float
) -> dict[str, list[_Recording]]:
    """Returns recordings by split.

    Raises:
      ValueError: a split is empty.
    """
    if not any((folder / split).is_dir() for split in SPLITS):
        return _split_by_hash(folder, recordings, test_fraction)
    splits = {split: [r for r in recordings if r.name.split("/")[0] == split] for split in SPLITS}
    for split, inside in splits.items():
        if not inside:
            raise ValueError(
                f"{folder / split} holds no video and no folder of pictures; "
                "there must be some in train and in test, or neither of the two folders."
            )
    return splits


def _split_by_hash(
    folder: pathlib.Path, recordings: list[_Recording], test_fraction: float
) -> dict[str, list[_Recording]]:
    if len(recordings) < 2:
        raise ValueError(
            f"{folder} holds {len(recordings)} videos or folders of pictures; "
            "expected at least 2, one of them to test on."
        )
    order = sorted(recordings, key=lambda r: _position(r.name))
    num_test = sum(_position(r.name) < test_fraction for r in recordings)
    num_test = min(max(1, num_test), len(recordings) - 1)
    test = set(order[:num_test])
    return {
        "train": [r for r in recordings if r not in test],
        "test": [r for r in recordings if r in test],
    }


def _position(name: str) -> float:
    """Returns a number in [0, 1) that looks random and depends on nothing but `name`."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48


def _suffix(file: RawFile) -> str:
    return pathlib.PurePosixPath(file.name).suffix.lower()
