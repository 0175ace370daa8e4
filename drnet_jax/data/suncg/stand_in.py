"""Rendered chairs, a camera that goes round and a lamp that stays: a stand-in for SUNCG's."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation.builder import Card, Clip, ClipBuilder, ClipConfig, Job
from drnet_jax.data.rendering import chairs, limits
from drnet_jax.data.rendering.scene import Light, draw, turntable

_LIGHT = Light(azimuth=40, elevation=55)
_BACKDROP = 0.72
_FILL = 0.84


@dataclasses.dataclass(kw_only=True)
class StandInChairsConfig(ClipConfig):
    """Settings.

    Attributes:
      num_identities: different chairs; the first 85 % are for training, the others for the test.
      elevations: of the camera, in degrees.
      num_azimuths: frames of a full turn.
      seed: another one gives other chairs.
    """

    name: str = ""
    image_size: int = 64
    num_identities: int = 300
    elevations: tuple[float, ...] = (10, 18, 26, 34, 42)
    num_azimuths: int = 36
    seed: int = 0

    def __post_init__(self):
        limits.at_least(self, image_size=8, num_identities=2, num_azimuths=2, seed=0)
        limits.elevations(self.elevations)
        self.elevations = tuple(self.elevations)
        self.name = (
            f"size{self.image_size}_chairs{self.num_identities}_azimuths{self.num_azimuths}"
            f"_elevations{limits.elevations_in_name(self.elevations)}_seed{self.seed}"
        )


class StandInChairs(ClipBuilder):
    """Clips of rendered chairs; a job is a chair, from all elevations."""

    builder_config: StandInChairsConfig
    name = "procedural_chairs"  # As on disk since the first version.
    CONTENT = ("identity",)
    CARD = Card(
        title="Rendered chairs (stand-in for SUNCG)",
        description=(
            "A stand-in for the chairs of SUNCG that the paper used, which were withdrawn for "
            "legal reasons: rendered by drnet_jax, and numbers on it cannot be compared with the "
            "paper's. A clip is a full turn of the camera around one chair at one elevation; the "
            "light stays where it is. All chairs differ, and all have a back, so that the azimuth "
            "can be told. The first 85 % of the chairs are for training, the others for the test."
        ),
        license="Apache-2.0, as drnet_jax",
        homepage="",
        citation="",
        stand_in=True,
        periodic=True,
    )

    @property
    def channels(self) -> int:
        """Channels of a frame: colors."""
        return 3

    def factor_features(self) -> dict[str, Any]:
        """Returns the features: which chair, from where, and what it is made of.

        `elevation` counts the settings' elevations, `elevation_degrees` is the value; `azimuth`
        is the camera's in every frame, in degrees: 0 sees the front, 90 the chair's own left.
        """
        return {
            "identity": np.int32,
            "elevation": np.int32,
            "elevation_degrees": np.float32,
            "azimuth": tfds.features.Tensor(shape=(None,), dtype=np.float32),
            "base": tfds.features.ClassLabel(names=chairs.BASES),
            "back": tfds.features.ClassLabel(names=chairs.BACKS),
        }

    def jobs(self) -> dict[str, list[Job]]:
        """Returns the jobs by split; the chairs are random, so their order needs no shuffling."""
        number = self.builder_config.num_identities
        num_train = min(max(round(0.85 * number), 1), number - 1)
        jobs = [Job(f"chair {identity:03d}", (identity,)) for identity in range(number)]
        return {"train": jobs[:num_train], "test": jobs[num_train:]}

    def make(self, job: Job) -> list[Clip]:
        """Returns the clips of one chair."""
        config, (identity,) = self.builder_config, job.arguments
        chair = chairs.make_chair(config.seed, identity)
        scene, points = chair.model.scene(), chair.model.points()
        azimuths = np.arange(config.num_azimuths) * 360 / config.num_azimuths
        backdrop = np.full((config.image_size, config.image_size, 3), _BACKDROP, np.float32)
        clips = []
        for number, elevation in enumerate(config.elevations):
            cameras = turntable(points, azimuths, elevation, fill=_FILL)
            views = [camera.view(_LIGHT, floor=0.0) for camera in cameras]
            factors = dict(
                identity=identity,
                elevation=number,
                elevation_degrees=float(elevation),
                azimuth=azimuths.astype(np.float32),
                base=chairs.BASES.index(chair.base),
                back=chairs.BACKS.index(chair.back),
            )
            frames = draw([scene] * len(views), views, backdrop)
            clips.append(Clip(f"chair{identity:03d}_elevation{number}", frames, factors))
        return clips
