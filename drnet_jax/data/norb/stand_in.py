"""Rendered toys on a turntable in front of a fixed camera and lamp: a stand-in for small NORB."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation.builder import Clip, ClipBuilder, Job
from drnet_jax.data.rendering import stand_in, toys
from drnet_jax.data.rendering.scene import Light

LIGHTINGS = (
    Light(-40, 50),
    Light(45, 38, key=0.95, sky=0.15, fill=0.1),
    Light(0, 72, size=0.1),
    Light(-75, 32, key=0.9, sky=0.12, fill=0.14),
    Light(80, 50, size=0.12, key=0.5, sky=0.5, fill=0.3),
    Light(10, 35, key=0.45, sky=0.2, fill=0.16),
)
"""Six lightings as different as those of small NORB; azimuths count from the camera's."""

_BACKGROUND = 0.6  # Brighter than most toys, like the table of small NORB.


@dataclasses.dataclass(kw_only=True)
class StandInNorbConfig(stand_in.TurntableConfig):
    """Settings of the rendered toys."""

    instances_per_category: int  # Toys of each category; the first half is for training.
    num_lightings: int  # 1 to 6.

    def __post_init__(self):
        super().__post_init__()
        stand_in.check_at_least(self, instances_per_category=2, num_lightings=1)
        if self.num_lightings > len(LIGHTINGS):
            raise ValueError(
                f"config.data.stand_in.num_lightings={self.num_lightings}; allowed: 1 to "
                f"{len(LIGHTINGS)}."
            )
        self.name = (
            f"size{self.image_size}_instances{self.instances_per_category}"
            f"{self.elevations_in_name}_lightings{self.num_lightings}"
            f"_azimuths{self.num_azimuths}_seed{self.seed}"
        )


class StandInNorb(ClipBuilder):
    """Clips of rendered toys; a job is a toy, at all elevations and in all lightings."""

    builder_config: StandInNorbConfig
    name = "procedural_norb"  # The folder's name since the first version: never changes.
    CONTENT = ("category", "instance")
    CARD = stand_in.card(
        "Rendered toys (stand-in for small NORB)",
        "A stand-in for small NORB (LeCun, Huang and Bottou 2004), rendered by drnet_jax: "
        "nothing in it is a photograph, and numbers on it cannot be compared with the paper's. "
        "A clip is a full turn of one toy at one elevation and in one of six lightings, before "
        "a camera and lamp that stay. Five categories (animal, human, plane, truck, car); the "
        "first half of the instances of each is for training, the other for the test.",
        periodic=True,
    )

    def factor_features(self) -> dict[str, Any]:
        """Returns the features: which toy, in which lighting, and those of a turn."""
        return {
            "category": tfds.features.ClassLabel(names=toys.CATEGORIES),
            "instance": np.int32,
            "lighting": np.int32,
            **stand_in.TURN_FEATURES,
        }

    def jobs(self) -> dict[str, list[Job]]:
        number = self.builder_config.instances_per_category
        # An odd toy is for training.
        splits = dict(train=range((number + 1) // 2), test=range((number + 1) // 2, number))
        return {
            split: [
                Job(f"{name} {instance:02d}", (category, instance))
                for category, name in enumerate(toys.CATEGORIES)
                for instance in instances
            ]
            for split, instances in splits.items()
        }

    def make(self, job: Job) -> list[Clip]:
        config, (category, instance) = self.builder_config, job.arguments
        name = toys.CATEGORIES[category]
        toy = toys.make_toy(config.seed, name, instance)
        clips = []
        views = itertools.product(range(len(config.elevations)), range(config.num_lightings))
        for elevation, lighting in views:
            frames, factors = stand_in.draw_turn(
                toy, config, elevation, LIGHTINGS[lighting], _BACKGROUND, lamp_follows_camera=True
            )
            factors |= dict(category=category, instance=instance, lighting=lighting)
            clip = f"{name}{instance:02d}_elevation{elevation}_lighting{lighting}"
            clips.append(Clip(clip, frames, factors))
        return clips
