"""Rendered chairs, circled by a camera under a fixed lamp: a stand-in for SUNCG's."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation.builder import Clip, ClipBuilder, Job
from drnet_jax.data.rendering import chairs, stand_in
from drnet_jax.data.rendering.scene import Light

_LIGHT = Light(azimuth=40, elevation=55)
_BACKGROUND = (0.72, 0.72, 0.72)  # Light gray: dark and pale chairs stand out.


@dataclasses.dataclass(kw_only=True)
class StandInChairsConfig(stand_in.TurntableConfig):
    """Settings of the rendered chairs."""

    num_identities: int  # Number of different chairs; the first 85 % are for training.

    def __post_init__(self):
        super().__post_init__()
        stand_in.check_at_least(self, num_identities=2)
        self.name = (
            f"size{self.image_size}_chairs{self.num_identities}_azimuths{self.num_azimuths}"
            f"{self.elevations_in_name}_seed{self.seed}"
        )


class StandInChairs(ClipBuilder):
    """Clips of rendered chairs; a job is a chair, at all elevations."""

    builder_config: StandInChairsConfig
    name = "procedural_chairs"  # The folder's name since the first version: never changes.
    channels = 3
    CONTENT = ("identity",)
    CARD = stand_in.card(
        "Rendered chairs (stand-in for SUNCG)",
        "A stand-in for the chairs of SUNCG that the paper used, which were withdrawn for "
        "legal reasons: rendered by drnet_jax, and numbers on it cannot be compared with the "
        "paper's. A clip is a full turn of the camera around one chair at one elevation; the "
        "light stays where it is. All chairs differ, and all have a back, so that the azimuth "
        "can be told. The first 85 % of the chairs are for training, the others for the test.",
        periodic=True,
    )

    def factor_features(self) -> dict[str, Any]:
        """Returns the features: which chair, its parts, and those of a turn."""
        return {
            "identity": np.int32,
            "base": tfds.features.ClassLabel(names=chairs.BASES),
            "back": tfds.features.ClassLabel(names=chairs.BACKS),
            **stand_in.TURN_FEATURES,
        }

    def jobs(self) -> dict[str, list[Job]]:
        number = self.builder_config.num_identities
        num_train = min(max(round(0.85 * number), 1), number - 1)
        # The chairs are random, so their order needs no shuffling.
        jobs = [Job(f"chair {identity:03d}", (identity,)) for identity in range(number)]
        return {"train": jobs[:num_train], "test": jobs[num_train:]}

    def make(self, job: Job) -> list[Clip]:
        config, (identity,) = self.builder_config, job.arguments
        chair = chairs.make_chair(config.seed, identity)
        clips = []
        for elevation in range(len(config.elevations)):
            frames, factors = stand_in.draw_turn(
                chair, config, elevation, _LIGHT, _BACKGROUND, lamp_follows_camera=False
            )
            factors |= dict(
                identity=identity,
                base=chairs.BASES.index(chair.base),
                back=chairs.BACKS.index(chair.back),
            )
            clips.append(Clip(f"chair{identity:03d}_elevation{elevation}", frames, factors))
        return clips
