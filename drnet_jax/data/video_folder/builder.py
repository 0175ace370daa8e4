"""A data set of your own videos: files of the usual kinds, or folders of numbered pictures."""

import dataclasses
import functools
import hashlib
import itertools
import math
import pathlib
from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

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
from drnet_jax.data.readers import inputs, raw_files, video_files
from drnet_jax.data.readers.framing import Framing
from drnet_jax.data.readers.inputs import Input
from drnet_jax.data.video_folder import clip_labels

_CONTENTS = f"{inputs.CONTENTS}, perhaps below train/ and test/"
_CLIPS_PER_JOB = 10  # Few enough to fit in memory, enough to keep the number of jobs small.
_GAP = Fraction(1, 20)  # Share of a lone video between its training part and its test part.


@dataclasses.dataclass(kw_only=True)
class VideoFolderConfig(ClipConfig):
    """Settings of a folder of videos; `configs/video_folder.py` has their defaults."""

    colored: bool  # True for frames in color, False for gray.
    background: str  # The color behind transparent parts.
    bits: int  # Of the values in pictures with 16 bits.
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
        # The defaults were once the only ones, and must leave the name as it was.
        settings += () if self.background == "white" else (self.background,)
        settings += () if self.bits == 16 else (self.bits,)
        files = [file for found in inputs.find(folder).inputs.values() for file in found.files]
        files += [raw_files.raw_file(p, p.name) for p in folder.glob(clip_labels.FILE)]
        described = ((file.name, file.size, file.changed) for file in files)
        # British spelling, as on disk since the first version.
        color = "colour" if self.colored else "grey"
        crop = {"center": "centre"}.get(self.crop, self.crop)
        digits = raw_files.fingerprint([settings, *described])
        self.name = f"px{self.image_size}_{color}_crop_{crop}_{digits}"

    def open_folder(self) -> pathlib.Path:
        """Returns the folder of the files, or a single video; FileNotFoundError if it is absent."""
        return raw_files.open_folder(self.folder, _CONTENTS, or_file=True)

    def framing(self) -> Framing:
        """Returns the form of the frames."""
        channels = 3 if self.colored else 1
        return Framing(self.image_size, channels, self.crop, self.background, self.bits)


class VideoFolder(ClipBuilder):
    """A clip is a video, an array in a file, a part of a long one, or a folder of pictures."""

    CONTENT = ("file",)
    LEAVE_OUT_COPIES = True  # Folders of users may hold a video twice.
    LABEL = "label"  # A column of `labels.csv`, if it has one with this name.
    CARD = Card(
        title="Folder of videos",
        description=(
            "Videos and folders of numbered pictures that the user named. Split by the folders "
            "train and test, else by file: a hash of its path decides, so that files added later "
            "change nobody's side. All parts of a file are on one side, unless it is the only one: "
            "then it is split in time, with a gap."
        ),
        license="That of the videos.",
    )

    @property
    def channels(self) -> int:
        """Channels of a frame: 1 for gray, 3 for color."""
        return self.builder_config.framing().channels

    @functools.cached_property
    def _found(self) -> inputs.Found:
        return inputs.find(self.builder_config.open_folder())

    @functools.cached_property
    def _labels(self) -> clip_labels.Labels:
        return clip_labels.read(self.builder_config.open_folder(), self._found.inputs)

    def ignored(self) -> list[tuple[str, str]]:
        """Returns the files that are part of no clip, except for the table of labels."""
        return [item for item in self._found.ignored if item[0] != clip_labels.FILE]

    def factor_features(self) -> dict[str, Any]:
        """Returns the file, and the columns of `labels.csv` if there is one."""
        classes = self._labels.classes.items()
        columns = {column: tfds.features.ClassLabel(names=names) for column, names in classes}
        return {"file": tfds.features.Text(), **columns}

    def jobs(self) -> dict[str, list[Job]]:
        """Returns a job for each file, several for a long video; see the base class."""
        config, found = self.builder_config, self._found.inputs
        folder = config.open_folder()
        if not found:
            others = wording.count(len(ignored := self.ignored()), "other file")
            others += ", the first {} ({})".format(*ignored[0]) if ignored else ""
            raise ValueError(f"{folder} holds {others}; expected {_CONTENTS}.")
        if len(found) == 1 and not _has_split_folders(folder):
            return self._split_in_time(next(iter(found.values())))
        splits = _split(folder, list(found), config.test_fraction)
        return {
            split: [job for name in names for job in self._parts(found[name])]
            for split, names in splits.items()
        }

    def make(self, job: Job) -> list[Clip]:
        """Returns the clips of a file or of a part of it; see the base class."""
        source, part, start, stop = job.arguments
        config = self.builder_config
        factors = {"file": source.name, **self._labels.rows[source.name]}
        clips, num_frames = [], 0
        try:
            timed = source.frames(config.framing(), self._rate, start, stop)
            frames = (frame for _, frame in timed)
            while batch := list(itertools.islice(frames, config.max_frames)):
                num_frames += len(batch)
                if len(batch) >= config.min_frames:
                    # Numbered, not named by time, because times in damaged files may repeat.
                    clip = f"{source.name}#{part}.{len(clips)}"
                    clips.append(Clip(clip, np.stack(batch), factors))
        except video_files.DamagedError as error:
            if part == 0:
                raise
            # Where a file was cut off, the parts behind it are empty.
            logging.warning("%s Its part %d is left out.", error, part + 1)
        if not clips and part == 0:
            raise UnreadableError(
                f"{source.name} has {wording.count(num_frames, 'frame')}; "
                f"allowed: at least {config.min_frames}."
            )
        return clips

    @property
    def _rate(self) -> Fraction | None:
        return video_files.exact_rate(self.builder_config.frame_rate)

    def _parts(
        self,
        source: Input,
        start: Fraction = Fraction(0),
        stop: Fraction | None = None,
        first: int = 0,
    ) -> list[Job]:
        """Returns a job for each part of an input; the frames of a part fit into memory.

        Parts are numbered from `first`; the last one ends at `stop`, None for the end.
        """
        try:
            length, rate = source.length(self._rate)
        except UnreadableError:
            length, rate = Fraction(0), None  # `make` will report it.
        end = length if stop is None else stop
        part = self.builder_config.max_frames * _CLIPS_PER_JOB / (rate or Fraction(1))
        count = max(1, math.ceil((end - start) / part)) if length and rate else 1
        jobs = []
        for i in range(count):
            # Headers can be wrong, so the last part continues to the end.
            until = start + part * (i + 1) if i + 1 < count else stop
            number = first + i
            name = f"{source.name}, part {number + 1}" if number else source.name
            jobs.append(Job(name, (source, number, start + part * i, until)))
        return jobs

    def _split_in_time(self, source: Input) -> dict[str, list[Job]]:
        """Returns the jobs of an input that is alone: its end is for the test, after a gap."""
        length, _ = source.length(self._rate)
        if not length:
            raise ValueError(
                f"{source.name} is the only video and does not say how long it is, so it cannot be "
                "split in time; expected at least 2, one of them to test on."
            )
        begin = length * (1 - Fraction(self.builder_config.test_fraction).limit_denominator(1000))
        end = begin - _GAP * length
        if not source.is_video:
            begin, end = Fraction(math.ceil(begin)), Fraction(math.floor(end))
        logging.warning(
            "%s is the only video, so it is split in time: %.4g %s to train on, and the last %.4g "
            "to test on.",
            *(source.name, end, "seconds" if source.is_video else "frames", length - begin),
        )
        train = self._parts(source, stop=max(end, Fraction(0)))
        return {"train": train, "test": self._parts(source, start=begin, first=len(train))}


def _has_split_folders(folder: pathlib.Path) -> bool:
    return any((folder / split).is_dir() for split in SPLITS)


def _split(folder: pathlib.Path, names: list[str], test_fraction: float) -> dict[str, list[str]]:
    """Returns the names of inputs by split, or raises ValueError if a split is empty."""
    if _has_split_folders(folder):
        splits = {split: [n for n in names if n.split("/")[0] == split] for split in SPLITS}
        for split, inside in splits.items():
            if not inside:
                raise ValueError(
                    f"{folder / split} holds no video and no folder of pictures; "
                    "there must be some in train and in test, or neither of the two folders."
                )
        return splits
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
