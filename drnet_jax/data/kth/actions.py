"""KTH from the official videos: six actions of 25 persons in four scenarios.

Source: Schuldt, Laptev & Caputo 2004; drnet-py, data/kth.py.
"""

import dataclasses
import lzma
import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from drnet_jax.data.kth import sequences
from drnet_jax.data.kth.sequences import ACTIONS
from drnet_jax.data.preparation import builder
from drnet_jax.data.readers import raw_files, video_files
from drnet_jax.data.readers.framing import Framing

TEST_PERSONS = {"20/5": range(21, 26), "16/9": range(17, 26)}
"""Test persons by name of the split: `20/5` is DrNET's, `16/9` is that of PredRNN and others.

`00sequences.txt` proposes a different 16 and 9, for recognition.
"""

MISSING = "person13_handclapping_d3"
"""The only video that is missing from the official data set itself."""

_CONTENTS = "the six folders or zip files of KTH (boxing, ...) and 00sequences.txt"
_MAX_BYTES = 2**28  # Largest video unpacked from a zip file; the originals have about 1 MB.


@dataclasses.dataclass(kw_only=True)
class KthConfig(builder.ClipConfig):
    """Settings of KTH."""

    persons: str  # Name of the split, a key of `TEST_PERSONS`.

    def __post_init__(self):
        raw_files.check_image_size(self.image_size)
        if self.persons not in TEST_PERSONS:
            raise ValueError(
                f"config.data.real.persons={self.persons!r}; allowed: {', '.join(TEST_PERSONS)}."
            )
        folder = _folder(self)
        parts = [(file.name, file.size) for file in _files(folder)]
        parts += [path.read_bytes() for path in folder.glob("00sequences.txt")]
        self.name = (
            f"px{self.image_size}_persons{self.persons.replace('/', '_')}_"
            f"{raw_files.fingerprint(parts)}"
        )


class KthActions(builder.ClipBuilder):
    """Clips of KTH: sequences of its videos, squeezed to a square as in the authors' code."""

    CONTENT = ("person", "scenario")
    CLUSTER = ("person",)
    LABEL = "action"
    CARD = builder.Card(
        title="KTH actions",
        description=(
            "25 persons box, clap, wave, jog, run and walk: outdoors, with changes of scale, in "
            "other clothes and indoors. A clip is one sequence of frames listed in "
            "00sequences.txt, gray, 25 per second, 160x120 squeezed to a square by area average. "
            "Split by person: 1-20 train and 21-25 test (20/5), or 1-16 and 17-25 (16/9). "
            "person13_handclapping_d3 does not exist; person01_boxing_d4 breaks off early, so "
            "its last clip is short."
        ),
        license="For non-commercial use, according to its home page; cite the paper.",
        homepage="https://www.csc.kth.se/cvap/actions/",
        citation=(
            "Schuldt, Laptev, Caputo: Recognizing human actions: a local SVM approach. ICPR 2004."
        ),
    )

    def factor_features(self) -> dict[str, Any]:
        """Returns action, person 1-25, scenario 1-4, video, and first frame counted from 1."""
        return {
            "action": tfds.features.ClassLabel(names=ACTIONS),
            "person": np.int32,
            "scenario": np.int32,
            "first_frame": np.int32,
            "video": tfds.features.Text(),
        }

    def jobs(self) -> dict[str, list[builder.Job]]:
        """Returns a job for each video that 00sequences.txt lists; see the base class."""
        folder = _folder(self.builder_config)
        videos = sequences.read(folder / "00sequences.txt")
        found = _listing(folder)
        for action in sorted({video.action for video in videos if video.ranges}):
            if not any(f"_{action}_" in name for name in found):
                raise FileNotFoundError(
                    f"{folder} holds no video of {action}; expected {action}/*_uncomp.avi or "
                    f"{action}.zip."
                )
        test_persons = TEST_PERSONS[self.builder_config.persons]
        # A listed video whose file is missing is still a job, which counts as unreadable.
        jobs = {"train": [], "test": []}
        for video in videos:
            file = f"{video.name}_uncomp.avi"
            if video.ranges is None or (video.name == MISSING and file not in found):
                logging.info("%s is missing, as in the official data set.", video.name)
                continue
            split = "test" if video.person in test_persons else "train"
            jobs[split].append(builder.Job(f"{video.action}/{file}", (video, found.get(file))))
        for split, listed in jobs.items():
            if not listed:
                raise ValueError(
                    f"{folder / '00sequences.txt'} lists no video of the {split} persons; test "
                    f"persons are {min(test_persons)} to 25, all others train."
                )
        return jobs

    def make(self, job: builder.Job) -> list[builder.Clip]:
        video, place = job.arguments
        frames = self._decode(job.name, place)
        clips = []
        for number, (first, last) in enumerate(video.ranges):
            if last > len(frames):
                logging.warning(
                    "%s ends at frame %d, but its sequence %d should last from %d to %d: %s.",
                    *(video.name, len(frames), number, first, last),
                    "cut short" if len(frames) > first else "left out",
                )
            # Ranges count from 1 and include their last frame.
            clip = frames[first - 1 : last]
            if len(clip) < 2:  # No two frames that a network could compare.
                continue
            factors = dict(action=video.action, person=video.person, scenario=video.scenario)
            factors |= dict(first_frame=first, video=video.name)
            clips.append(builder.Clip(f"{video.name}_{number}", clip, factors))
        if not clips:
            raise builder.UnreadableError(
                f"{job.name} ends at frame {len(frames)}, too early for its sequences "
                f"{video.ranges}."
            )
        return clips

    def _decode(self, name: str, place: str | None) -> np.ndarray:
        """Returns the frames of a video, up to the first damage if there is any."""
        folder = _folder(self.builder_config)
        if place is None:
            raise builder.UnreadableError(
                f"{name} is listed in 00sequences.txt, but not in {folder}."
            )
        framing = Framing(self.builder_config.image_size, channels=1, crop="none")
        if place.endswith(".zip"):
            source = _unzip(folder / place, pathlib.PurePath(name).name)
        else:
            source = folder / place
        timed = video_files.before_damage(video_files.frames(source, name, framing))
        frames = [frame for _, frame in timed]
        if not frames:
            raise builder.UnreadableError(f"{name} holds no frames.")
        return np.stack(frames)


def _folder(config: KthConfig) -> pathlib.Path:
    return raw_files.open_folder(config.folder, _CONTENTS)


def _files(folder: pathlib.Path) -> list[raw_files.RawFile]:
    """Returns the files of KTH: the list of sequences, and zip files or videos in folders."""
    # Only what KTH consists of: other files in the folder must not change the fingerprint.
    names = ["00sequences.txt", *(f"{action}.zip" for action in ACTIONS)]
    for action in ACTIONS:
        names += (f"{action}/{path.name}" for path in (folder / action).glob("person*.avi"))
    return [raw_files.raw_file(folder / n, n) for n in sorted(names) if (folder / n).is_file()]


def _listing(folder: pathlib.Path) -> dict[str, str]:
    """Returns the path below `folder` of each video file, or of the zip file that holds it."""
    found = {}
    for file in _files(folder):
        if file.name.endswith(".zip"):
            for name in _members(file.path):
                found.setdefault(name, file.name)
        else:  # A file in a folder wins over one of the same name in a zip file.
            found[pathlib.PurePosixPath(file.name).name] = file.name
    return found


def _members(path: pathlib.Path) -> dict[str, zipfile.ZipInfo]:
    """Returns the videos in a zip file by file name, whichever folder they are in there."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith("_uncomp.avi")]
    # The last is zipfile's for versions of the format that it does not know.
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ValueError(f"{path} is not a readable zip file: {error}.") from error
    members = {}
    for info in infos:
        name = pathlib.PurePosixPath(info.filename).name
        if name.startswith("."):  # macOS adds hidden copies.
            continue
        if name in members:
            raise ValueError(
                f"{path} holds {name} twice: as {members[name].filename} and {info.filename}."
            )
        members[name] = info
    return members


def _unzip(path: pathlib.Path, name: str) -> bytes:
    info = _members(path)[name]
    if info.file_size > _MAX_BYTES:
        raise builder.UnreadableError(
            f"{name} in {path} has {info.file_size} bytes; allowed: {_MAX_BYTES} or fewer."
        )
    try:
        with zipfile.ZipFile(path) as archive, archive.open(info) as file:
            # `archive.read` would unpack more than the size that the archive states.
            return file.read(info.file_size)
    # RuntimeError: the file is encrypted, or compressed by an unknown method.
    except (
        *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
        *(EOFError, OSError, RuntimeError, ValueError),
    ) as error:
        raise builder.UnreadableError(f"{name} in {path} cannot be unpacked: {error}.") from error
