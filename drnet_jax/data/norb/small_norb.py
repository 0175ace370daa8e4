"""small NORB: 50 toys on a turntable, seen by two cameras.

Source: LeCun, Huang & Bottou 2004.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from drnet_jax.data.norb import splits as norb_splits
from drnet_jax.data.preparation import builder
from drnet_jax.data.readers import image_files, raw_files
from drnet_jax.data.readers.framing import Framing

CATEGORIES = ("animal", "human", "plane", "truck", "car")
CAMERAS = {"both": (0, 1), "left": (0,)}

_NUM_AZIMUTHS = norb_splits.LABELS["azimuth"]
_DEGREES = np.arange(_NUM_AZIMUTHS, dtype=np.float32) * (360 / _NUM_AZIMUTHS)


@dataclasses.dataclass(kw_only=True)
class SmallNorbConfig(builder.ClipConfig):
    """Settings of small NORB."""

    cameras: str  # `both` gives two clips of each turn, `left` one.

    def __post_init__(self):
        raw_files.check_image_size(self.image_size)
        if self.cameras not in CAMERAS:
            raise ValueError(
                f"config.data.real.cameras={self.cameras!r}; allowed: {', '.join(CAMERAS)}."
            )
        folder = raw_files.open_folder(self.folder, norb_splits.CONTENTS)
        digits = norb_splits.fingerprint(folder)
        self.name = f"px{self.image_size}_cameras_{self.cameras}_{digits}"


class SmallNorb(builder.ClipBuilder):
    """Clips of small NORB: full turns of a toy at one elevation, in one lighting, by one camera."""

    CONTENT = ("category", "instance")
    CARD = builder.Card(
        title="small NORB",
        description=(
            "Ten toys each of five categories (animals, humans, planes, trucks, cars), gray, "
            "96x96. A clip is one full turn in steps of 20 degrees at one of nine elevations, six "
            "lightings and two cameras. Official split by instance: 4, 6, 7, 8, 9 train and "
            "0, 1, 2, 3, 5 test. Other sizes than 96 are resized, bilinear and antialiased."
        ),
        license="For research, not to be sold, according to its home page; cite the paper.",
        homepage="https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",
        citation=(
            "LeCun, Huang, Bottou: Learning methods for generic object recognition with "
            "invariance to pose and lighting. CVPR 2004."
        ),
        periodic=True,
    )

    def factor_features(self) -> dict[str, Any]:
        """Returns category, instance, elevation, lighting, camera, and azimuths in degrees."""
        return {
            "category": tfds.features.ClassLabel(names=CATEGORIES),
            "instance": np.int32,
            "elevation": np.int32,
            "lighting": np.int32,
            "camera": np.int32,
            "azimuth": tfds.features.Tensor(shape=(None,), dtype=np.float32),
        }

    def jobs(self) -> dict[str, list[builder.Job]]:
        """Returns a job for each toy; see the base class."""
        return {split: _jobs(split, self._splits[split].labels) for split in builder.SPLITS}

    def make(self, job: builder.Job) -> list[builder.Clip]:
        split, category, instance, turns = job.arguments
        framing = Framing(self.builder_config.image_size, channels=1, crop="none")
        clips = []
        for elevation, lighting, records in turns:
            for camera in CAMERAS[self.builder_config.cameras]:
                factors = dict(category=category, instance=instance, elevation=elevation)
                factors |= dict(lighting=lighting, camera=camera, azimuth=_DEGREES)
                name = f"{job.name}_elevation{elevation}_lighting{lighting}_camera{camera}"
                try:
                    pictures = self._splits[split].pictures(records, camera)
                except (ValueError, OSError) as error:  # A damaged record of what tfds prepared.
                    raise builder.UnreadableError(str(error)) from error
                frames = [image_files.resize(Image.fromarray(p), framing) for p in pictures]
                clips.append(builder.Clip(name, np.stack(frames)[..., None], factors))
        return clips

    @functools.cached_property  # Once for all jobs: a gzipped split takes seconds.
    def _splits(self) -> dict[str, norb_splits.Split]:
        folder = raw_files.open_folder(self.builder_config.folder, norb_splits.CONTENTS)
        return norb_splits.open_splits(folder)


def _jobs(split: str, labels: np.ndarray) -> list[builder.Job]:
    """Returns a job for each toy of a split, given int labels `[num, 5]`."""
    order = np.lexsort(labels.T[::-1])  # By category first, by azimuth last.
    # (category, instance) -> (elevation, lighting) -> azimuth and number of each record.
    toys: dict[tuple, dict[tuple, list]] = {}
    for record, row in zip(order.tolist(), labels[order].tolist(), strict=True):
        toy, view = tuple(row[:2]), tuple(row[2:4])
        toys.setdefault(toy, {}).setdefault(view, []).append((row[4], record))
    jobs = []
    for (category, instance), views in toys.items():
        name = f"{split}_{CATEGORIES[category]}{instance}"
        turns = []
        for (elevation, lighting), turn in views.items():
            azimuths, records = zip(*turn, strict=True)
            if azimuths != tuple(range(_NUM_AZIMUTHS)):
                raise ValueError(
                    f"{name} at elevation {elevation} and lighting {lighting} has azimuths "
                    f"{list(azimuths)}; expected 0 to {_NUM_AZIMUTHS - 1}, each once."
                )
            turns.append((elevation, lighting, records))
        jobs.append(builder.Job(name, (split, category, instance, tuple(turns))))
    return jobs
