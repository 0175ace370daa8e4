"""SUNCG chairs from the authors' pictures: a clip is a turn of one chair at one elevation.

The data set was withdrawn; this reads the copies that people still have.
Source: drnet-py, data/suncg.py.
"""

import dataclasses
import pathlib
import re
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation import builder
from drnet_jax.data.readers import image_files, raw_files
from drnet_jax.data.readers.framing import Framing
from drnet_jax.data.readers.raw_files import RawFile

NUM_AZIMUTHS = 36

_TRAIN_FRACTION = 0.85  # As in the authors' code.
_CONTENTS = "the chairs as <object>/elevation_<number>/p200-64_<1 to 36>.png"
_DEGREES = np.arange(NUM_AZIMUTHS, dtype=np.float32) * (360 / NUM_AZIMUTHS)
_ELEVATION = re.compile(r"elevation_(-?\d+(?:\.\d+)?)")
_PICTURE = re.compile(r"p200-64_(\d{1,6})\.png")


@dataclasses.dataclass(kw_only=True)
class SuncgChairsConfig(builder.ClipConfig):
    """Settings of SUNCG chairs."""

    def __post_init__(self):
        raw_files.check_image_size(self.image_size)
        views = (view for chair in _chairs(self.folder).values() for view in chair.values())
        files = (file for view in views for file in view)
        digits = raw_files.fingerprint((file.name, file.size) for file in files)
        self.name = f"px{self.image_size}_{digits}"


class SuncgChairs(builder.ClipBuilder):
    """Clips of SUNCG: full turns of a chair at one elevation."""

    channels = 3
    CONTENT = ("object",)
    CARD = builder.Card(
        title="SUNCG chairs",
        description=(
            "Rendered chairs in color, 64x64, transparent parts shown on white. A clip is one "
            "full turn in 36 steps of 10 degrees at one elevation. Split by object: of all names "
            "sorted, the first 85 % train. (The authors' code split them in the order of the "
            "file system, which differs between machines, and never used the last frame.)"
        ),
        license="Withdrawn for legal reasons; for people who hold a license.",
        citation=(
            "Song, Yu, Zeng, Chang, Savva, Funkhouser: Semantic scene completion from a single "
            "depth image. CVPR 2017."
        ),
        periodic=True,
    )

    def factor_features(self) -> dict[str, Any]:
        """Returns object, elevation as in the folder's name, and azimuths in degrees."""
        return {
            "object": tfds.features.ClassLabel(names=list(_chairs(self.builder_config.folder))),
            "elevation": np.float32,
            "azimuth": tfds.features.Tensor(shape=(None,), dtype=np.float32),
        }

    def jobs(self) -> dict[str, list[builder.Job]]:
        """Returns a job for each chair and elevation; see the base class."""
        chairs = _chairs(self.builder_config.folder)
        # Both splits get at least one chair.
        num_train = min(max(1, int(_TRAIN_FRACTION * len(chairs))), len(chairs) - 1)
        jobs = {"train": [], "test": []}
        for number, (chair, views) in enumerate(chairs.items()):
            split = "train" if number < num_train else "test"
            # By value: as text, elevation_10 would come before elevation_2.
            for view, files in sorted(views.items(), key=lambda item: _elevation(item[0])):
                named = tuple((file.name, str(file.path)) for file in files)
                jobs[split].append(builder.Job(f"{chair}/{view}", (chair, _elevation(view), named)))
        return jobs

    def make(self, job: builder.Job) -> list[builder.Clip]:
        chair, elevation, files = job.arguments
        framing = Framing(self.builder_config.image_size, channels=3, crop="none")
        frames = image_files.read_sequence(_in_order(job.name, files), framing)
        factors = {"object": chair, "elevation": elevation, "azimuth": _DEGREES}
        return [builder.Clip(job.name, frames, factors)]


def _elevation(view: str) -> float:
    return float(_ELEVATION.fullmatch(view)[1])


def _in_order(name: str, files: tuple[tuple[str, str], ...]) -> list[tuple[str, pathlib.Path]]:
    """Returns the 36 pictures of a turn, in order of azimuth."""
    by_number: dict[int, tuple[str, pathlib.Path]] = {}
    for file, path in files:
        number = int(_PICTURE.fullmatch(pathlib.PurePosixPath(file).name)[1])
        if number in by_number:
            raise builder.UnreadableError(
                f"{by_number[number][0]} and {file} are the same azimuth."
            )
        by_number[number] = file, pathlib.Path(path)
    expected = range(1, NUM_AZIMUTHS + 1)
    if missing := sorted(set(expected) - set(by_number)):
        raise builder.UnreadableError(
            f"{name} has no p200-64_{missing[0]}.png; missing in all: {len(missing)} of "
            f"{NUM_AZIMUTHS} azimuths."
        )
    if extra := sorted(set(by_number) - set(expected)):
        raise builder.UnreadableError(f"{by_number[extra[0]][0]} is beyond azimuth {NUM_AZIMUTHS}.")
    return [by_number[number] for number in expected]


def _chairs(folder: str) -> dict[str, dict[str, list[RawFile]]]:
    """Returns the pictures of each elevation of each chair, all in natural order."""
    chairs: dict[str, dict[str, list[RawFile]]] = {}
    for file in raw_files.walk(raw_files.open_folder(folder, _CONTENTS))[0]:
        chair, *rest = file.name.split("/")
        if len(rest) == 2 and _ELEVATION.fullmatch(rest[0]) and _PICTURE.fullmatch(rest[1]):
            chairs.setdefault(chair, {}).setdefault(rest[0], []).append(file)
    if len(chairs) < 2:
        raise ValueError(
            f"{folder} holds fewer than 2 chairs, one to train and one to test on; expected "
            f"{_CONTENTS}."
        )
    return chairs
