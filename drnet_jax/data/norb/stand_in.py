"""Rendered toys on a turntable before a fixed camera and lamp: a stand-in for small NORB."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation.builder import Card, Clip, ClipBuilder, ClipConfig, Job
from drnet_jax.data.rendering import limits, toys
from drnet_jax.data.rendering.scene import Light, draw, turntable

LIGHTINGS = (
    Light(-40, 50),
    Light(45, 38, key=0.95, sky=0.15, fill=0.1),
    Light(0, 72, size=0.1),
    Light(-75, 32, key=0.9, sky=0.12, fill=0.14),
    Light(80, 50, size=0.12, key=0.5, sky=0.5, fill=0.3),
    Light(10, 35, key=0.45, sky=0.2, fill=0.16),
)
"""Lamps; azimuths are from the camera's, since the object turns and they do not."""

_BACKDROP = 0.6
_FILL = 0.84


@dataclasses.dataclass(kw_only=True)
class StandInNorbConfig(ClipConfig):
    """Settings.

    Attributes:
      instances_per_category: toys of each category; the first half is for training.
      elevations: of the camera, in degrees.
      num_lightings: 1 to 6.
      num_azimuths: frames of a full turn.
      seed: another one gives other toys.
    """

    name: str = ""
    image_size: int = 96
    instances_per_category: int = 10
    elevations: tuple[float, ...] = tuple(range(30, 75, 5))
    num_lightings: int = len(LIGHTINGS)
    num_azimuths: int = 18
    seed: int = 0

    def __post_init__(self):
        least = dict(image_size=8, instances_per_category=2, num_lightings=1, num_azimuths=2)
        limits.at_least(self, **least, seed=0)
        limits.elevations(self.elevations)
        if self.num_lightings > len(LIGHTINGS):
            raise ValueError(
                f"config.data.stand_in.num_lightings={self.num_lightings}; allowed: 1 to "
                f"{len(LIGHTINGS)}."
            )
        self.elevations = tuple(self.elevations)
        self.name = (
            f"size{self.image_size}_instances{self.instances_per_category}"
            f"_elevations{limits.elevations_in_name(self.elevations)}"
            f"_lightings{self.num_lightings}_azimuths{self.num_azimuths}_seed{self.seed}"
        )


class StandInNorb(ClipBuilder):
    """Clips of rendered toys; a job is a toy, from all elevations and in all lightings."""

    builder_config: StandInNorbConfig
    name = "procedural_norb"  # As on disk since the first version.
    CONTENT = ("category", "instance")
    CARD = Card(
        title="Rendered toys (stand-in for small NORB)",
        description=(
            "A stand-in for small NORB (LeCun, Huang and Bottou 2004), rendered by drnet_jax: "
            "nothing in it is a photograph, and numbers on it cannot be compared with the paper's. "
            "A clip is a full turn of one toy at one elevation and in one of six lightings, before "
            "a camera and lamp that stay. Five categories (animal, human, plane, truck, car); the "
            "first half of the instances of each is for training, the other for the test."
        ),
        license="Apache-2.0, as drnet_jax",
        homepage="",
        citation="",
        stand_in=True,
        periodic=True,
    )

    def factor_features(self) -> dict[str, Any]:
        """Returns the features: which toy, seen how.

        `elevation` counts the settings' elevations, `elevation_degrees` is the value; `azimuth`
        is the camera's from the toy in every frame, in degrees: 0 sees its front, 90 its own left.
        """
        return {
            "category": tfds.features.ClassLabel(names=toys.CATEGORIES),
            "instance": np.int32,
            "elevation": np.int32,
            "elevation_degrees": np.float32,
            "lighting": np.int32,
            "azimuth": tfds.features.Tensor(shape=(None,), dtype=np.float32),
        }

    def jobs(self) -> dict[str, list[Job]]:
        """Returns the jobs by split."""
        number = self.builder_config.instances_per_category
        splits = dict(train=range((number + 1) // 2), test=range((number + 1) // 2, number))
        return {
            split: [
                Job(f"{toys.CATEGORIES[category]} {instance:02d}", (category, instance))
                for category, instance in itertools.product(range(len(toys.CATEGORIES)), instances)
            ]
            for split, instances in splits.items()
        }

    def make(self, job: Job) -> list[Clip]:
        """Returns the clips of one toy."""
        config, (category, instance) = self.builder_config, job.arguments
        name = toys.CATEGORIES[category]
        model = toys.make_toy(config.seed, name, instance)
        scene, points = model.scene(), model.points()
        azimuths = np.arange(config.num_azimuths) * 360 / config.num_azimuths
        backdrop = np.full((config.image_size, config.image_size, 1), _BACKDROP, np.float32)
        clips = []
        for number, elevation in enumerate(config.elevations):
            cameras = turntable(points, azimuths, elevation, fill=_FILL)
            for lighting, light in enumerate(LIGHTINGS[: config.num_lightings]):
                views = [
                    camera.view(
                        dataclasses.replace(light, azimuth=light.azimuth + camera.azimuth), 0.0
                    )
                    for camera in cameras
                ]
                factors = dict(
                    category=category,
                    instance=instance,
                    elevation=number,
                    elevation_degrees=float(elevation),
                    lighting=lighting,
                    azimuth=azimuths.astype(np.float32),
                )
                frames = draw([scene] * len(views), views, backdrop)
                clip = f"{name}{instance:02d}_elevation{number}_lighting{lighting}"
                clips.append(Clip(clip, frames, factors))
        return clips
