"""Models built of primitives in NumPy, and the cameras that look at them."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np

from drnet_jax.data.rendering import raycast
from drnet_jax.data.rendering.raycast import Scene, View

CAPACITY = 32
"""Most primitives of a kind in a scene; the same for all, so that one program draws them all."""

_FRAMES_PER_CALL = 6  # Frames of one compiled call: short clips waste little on padding.
_FILL = 0.84  # Fraction of the picture that an object on a turntable fills at its largest.

# Points that bound the unit shapes: corners of the cube, 12 on each rim, 26 on the sphere.
_CORNERS = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), -1).reshape(-1, 3)
_RING = [[np.sin(a), np.cos(a)] for a in np.arange(12) * np.pi / 6]
_RIMS = np.float64([[x, y, z] for x, z in _RING for y in (-1, 1)])
_DIRECTIONS = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 3)
_DIRECTIONS = _DIRECTIONS[np.any(_DIRECTIONS != 0, axis=1)]
_BALL = _DIRECTIONS / np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)
_OUTLINES = dict(zip(raycast.KINDS, (_CORNERS, _RIMS, _BALL), strict=True))


@dataclasses.dataclass(frozen=True)
class Material:
    """The surface of a primitive."""

    color: tuple[float, ...]  # sRGB in [0, 1]; one value for gray pictures, three for colored ones.
    shine: float = 0.03  # Strength of the highlight.
    contrast: float = 0.0  # Strength of stripes or of the grain of wood; 0 is plain.
    wavelength: float = 0.05  # Distance of two stripes, in meters.
    across: int = 1  # 0: stripes across the longest side of a primitive; 1: along it, as grain.


def rotation(axis: str, angle: float) -> np.ndarray:
    """Returns the float64 `[3, 3]` rotation around `x`, `y` or `z` by `angle` in radians."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


class Model:
    """A list of primitives to add to; lengths in meters, y up, z to the front."""

    def __init__(self):
        self._primitives: dict[str, list] = {kind: [] for kind in raycast.KINDS}

    def add(self, kind: str, center: Sequence, half: Sequence, material: Material, turn=None):
        """Adds a primitive of half sizes `half`, turned by the matrix `turn`."""
        turn = np.eye(3) if turn is None else turn
        half = np.maximum(np.asarray(half, float), 1e-4)  # A flat shape's map has no inverse.
        self._primitives[kind].append((np.asarray(center, float), half, turn, material))

    box = functools.partialmethod(add, "box")
    ellipsoid = functools.partialmethod(add, "ellipsoid")

    def cylinder(
        self, start: Sequence, end: Sequence, radius: float, material: Material, wide: float = 0.0
    ) -> None:
        """Adds a cylinder between two points; `wide`, if not 0, is its second radius, towards z."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        length = np.linalg.norm(end - start)
        y = (end - start) / length
        # The third axis then points towards z, where `wide` lies.
        x = np.cross(y, [0, 0, 1] if abs(y[2]) < 0.9 else [1, 0, 0])
        x /= np.linalg.norm(x)
        turn = np.stack([x, y, np.cross(x, y)], axis=1)
        half = [radius, length / 2, wide or radius]
        self.add("cylinder", (start + end) / 2, half, material, turn)

    def moved(self, turn: np.ndarray, shift: Sequence) -> "Model":
        """Returns a copy that is turned by the matrix `turn` and then moved by `shift`."""
        copy = Model()
        for kind, primitives in self._primitives.items():
            for center, half, own, material in primitives:
                copy.add(kind, turn @ center + shift, half, material, turn @ own)
        return copy

    def points(self) -> np.ndarray:
        """Returns points on all primitives, float64 `[points, 3]`, as bounds for the camera."""
        return np.concatenate(
            [
                center + (_OUTLINES[kind] * half) @ turn.T
                for kind, primitives in self._primitives.items()
                for center, half, turn, _ in primitives
            ]
        )

    def scene(self) -> Scene:
        """Returns the primitives as padded NumPy arrays.

        Raises:
          ValueError: more primitives of a kind than `CAPACITY`.
        """
        channels = {len(p[3].color) for kind in self._primitives.values() for p in kind}
        shape = (len(raycast.KINDS), CAPACITY)
        scene = Scene(
            transforms=np.zeros((*shape, 3, 4), np.float32),
            counts=np.int32([len(p) for p in self._primitives.values()]),
            colors=np.zeros((*shape, max(channels)), np.float32),
            shine=np.zeros(shape, np.float32),
            waves=np.zeros((*shape, 3), np.float32),
            contrast=np.zeros(shape, np.float32),
        )
        for k, (kind, primitives) in enumerate(self._primitives.items()):
            if len(primitives) > CAPACITY:
                raise ValueError(
                    f"{len(primitives)} primitives of kind {kind}; allowed: at most {CAPACITY}."
                )
            for i, (center, half, turn, material) in enumerate(primitives):
                matrix = turn.T / half[:, None]
                scene.transforms[k, i] = np.column_stack([matrix, -matrix @ center])
                scene.colors[k, i] = np.clip(material.color, 0, 1)
                scene.shine[k, i] = material.shine
                scene.waves[k, i] = _wave(half, material)
                scene.contrast[k, i] = material.contrast
        return scene


def _wave(half: np.ndarray, material: Material) -> np.ndarray:
    """Returns the wave vector of the stripes, in the space of a unit shape scaled by `half`."""
    longest_first = np.argsort(-half, kind="stable")
    wave = np.zeros(3)
    axis = longest_first[material.across]
    wave[axis] = half[axis]
    if material.across:
        wave[longest_first[2]] = half[longest_first[2]] / 2  # Grain shows on every side.
        wave[longest_first[0]] = half[longest_first[0]] / 15  # It never runs quite straight.
    return 2 * np.pi / material.wavelength * wave


class RandomModel(Model):
    """A model whose measures are drawn from `rng`, in the order in which its parts are added."""

    def __init__(self, rng: np.random.Generator):
        super().__init__()
        self.rng = rng

    def draw(self, low: float, high: float) -> float:
        """Returns a number between the two."""
        return float(self.rng.uniform(low, high))

    def chance(self, odds: float) -> bool:
        """Returns True with probability `odds`."""
        return bool(self.rng.random() < odds)

    def pick(self, number: int) -> int:
        """Returns one of `number` variants, counted from 0."""
        return int(self.rng.integers(number))


@dataclasses.dataclass(frozen=True)
class Light:
    """One lamp and the sky."""

    azimuth: float  # Of the lamp, in degrees, measured like a camera's.
    elevation: float  # Of the lamp, in degrees.
    size: float = 0.05  # Half the lamp's width in radians.
    key: float = 0.75  # Light of the lamp.
    sky: float = 0.3  # Light from above that objects shade.
    fill: float = 0.2  # Light from everywhere.


def towards(azimuth: float, elevation: float) -> np.ndarray:
    """Returns the unit vector of angles in degrees: azimuth 0 is z, 90 is x; elevation 90 is y."""
    azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    flat = np.cos(elevation)
    return np.array([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)])


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera; angles in degrees, lengths in meters."""

    target: tuple[float, float, float]  # The point in the middle of the picture.
    azimuth: float  # 0 looks at the front of an object, 90 from its own left (from x).
    elevation: float  # Angle above the floor.
    distance: float  # Distance from `target`.
    half_width: float  # Distance that the picture shows to the right of `target`.
    half_height: float  # Distance that the picture shows above `target`.

    def view(self, light: Light, floor: float) -> View:
        """Returns this camera's view by `light`, of objects on a floor at height `floor`."""
        back = towards(self.azimuth, self.elevation)
        right = towards(self.azimuth + 90, 0)
        arrays = View(
            eye=np.asarray(self.target) + self.distance * back,
            forward=-back,
            right=right * self.half_width / self.distance,
            up=np.cross(back, right) * self.half_height / self.distance,
            lamp=towards(light.azimuth, light.elevation),
            lamp_size=light.size,
            key=light.key,
            sky=light.sky,
            fill=light.fill,
            floor=floor,
        )
        # The ray caster takes float32 only.
        return View(*(np.float32(value) for value in arrays))


def turntable(points: np.ndarray, azimuths: Sequence[float], elevation: float) -> list[Camera]:
    """Returns cameras around an object, all with the distance and zoom that fit every azimuth.

    `points` on the object are float `[points, 3]`, around the y axis; angles are in degrees.
    """
    radius = np.linalg.norm(points[:, [0, 2]], axis=1).max() + np.ptp(points[:, 1]) / 2
    # Five radii away: near enough to show perspective, far enough not to distort.
    distance, middle = 5 * radius, (points[:, 1].min() + points[:, 1].max()) / 2
    # The middle depends a little on the perspective, which depends on the middle: iterate.
    for _ in range(3):
        target = np.array([0.0, middle, 0.0])
        sideways, heights = [], []
        for azimuth in azimuths:
            back, right = towards(azimuth, elevation), towards(azimuth + 90, 0)
            depth = 1 - (points - target) @ back / distance
            sideways.append((points @ right) / depth)
            heights.append((points - target) @ np.cross(back, right) / depth)
        low, high = np.min(heights), np.max(heights)
        middle += (low + high) / 2 / np.cos(np.radians(elevation))
    half = max(np.max(np.abs(sideways)), (high - low) / 2) / _FILL
    return [Camera((0.0, middle, 0.0), a, elevation, distance, half, half) for a in azimuths]


def draw(scenes: Sequence[Scene], views: Sequence[View], backdrop: np.ndarray) -> np.ndarray:
    """Returns uint8 frames `[frames, size, size, channels]`, one of each scene and view.

    `backdrop` is float32 `[size, size, channels]`, linear light, the same one for all frames.
    """
    frames = []
    for start in range(0, len(scenes), _FRAMES_PER_CALL):
        # The last frame pads the last call: calls of equal size share one compiled program.
        chosen = np.minimum(np.arange(start, start + _FRAMES_PER_CALL), len(scenes) - 1)
        several = jax.tree.map(lambda *x: np.stack(x), *[(scenes[i], views[i]) for i in chosen])
        frames.append(np.asarray(raycast.render_frames(*several, backdrop)))
    return np.concatenate(frames)[: len(scenes)]
