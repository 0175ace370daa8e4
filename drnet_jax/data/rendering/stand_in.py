"""What the rendered stand-in data sets share: cards, checks of settings, objects that turn."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation.builder import Card, ClipConfig
from drnet_jax.data.rendering.scene import Light, Model, draw, turntable

TURN_FEATURES = {
    "elevation": np.int32,
    "elevation_degrees": np.float32,
    "azimuth": tfds.features.Tensor(shape=(None,), dtype=np.float32),
}
"""Features of a full turn of the camera around an object.

`elevation` is an index into the settings' elevations and `elevation_degrees` the value there;
`azimuth` is the camera's in every frame, in degrees: 0 sees the object's front, 90 its own left.
"""


def card(title: str, description: str, *, periodic: bool = False) -> Card:
    """Returns the card of a data set that drnet_jax renders in place of another one."""
    license = "Apache-2.0, as drnet_jax"
    return Card(title, description, license, stand_in=True, periodic=periodic)


def check_at_least(config: Any, **limits: int) -> None:
    """Raises ValueError if an attribute of `config` is below its value in `limits`."""
    for name, limit in limits.items():
        if (value := getattr(config, name)) < limit:
            raise ValueError(f"config.data.stand_in.{name}={value}; allowed: {limit} or more.")


@dataclasses.dataclass(kw_only=True)
class TurntableConfig(ClipConfig):
    """Settings of a data set in which a camera turns around objects."""

    elevations: tuple[float, ...]  # Elevations of the camera, in degrees.
    num_azimuths: int  # Frames of a full turn.
    seed: int  # Seed of the objects.

    def __post_init__(self):
        check_at_least(self, image_size=8, num_azimuths=2, seed=0)
        self.elevations = values = tuple(self.elevations)
        # From below, the floor hides an object; from straight above, azimuths look alike.
        if not values or len(set(values)) < len(values) or not all(0 <= v <= 80 for v in values):
            raise ValueError(
                f"config.data.stand_in.elevations={values}; allowed: one or more distinct "
                "values from 0 to 80 degrees."
            )

    @property
    def elevations_in_name(self) -> str:
        """The elevations as a part of the name of a folder."""
        values = "_".join(f"{value:g}" for value in self.elevations)
        return f"_elevations{values.replace('.', 'p')}"


def draw_turn(
    model: Model,
    config: TurntableConfig,
    elevation: int,
    light: Light,
    background: float | tuple[float, ...],
    *,
    lamp_follows_camera: bool,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns frames and factors of a full turn of the camera around a model on the floor.

    Args:
      elevation: index into `config.elevations`.
      background: linear light of the background, one value for each color channel.
      lamp_follows_camera: True looks as if the object turned in front of a fixed camera and
        lamp: the azimuth of `light` counts from the camera's.

    Returns:
      uint8 `[num_azimuths, image_size, image_size, channels]`; values of `TURN_FEATURES`.
    """
    degrees = config.elevations[elevation]
    azimuths = np.arange(config.num_azimuths) * 360 / config.num_azimuths
    views = []
    # The object stays at the origin: cameras around it give the same pictures as a turntable.
    for camera in turntable(model.points(), azimuths, degrees):
        turn = camera.azimuth if lamp_follows_camera else 0
        lamp = dataclasses.replace(light, azimuth=light.azimuth + turn)
        views.append(camera.view(lamp, floor=0.0))
    size = config.image_size
    backdrop = np.full((size, size, np.size(background)), background, np.float32)
    frames = draw([model.scene()] * len(views), views, backdrop)
    return frames, dict(
        elevation=elevation,
        elevation_degrees=float(degrees),
        azimuth=azimuths.astype(np.float32),
    )
