"""Gray backdrops for people: a lawn in front of a hedge or a wall, and a room."""

import numpy as np
from PIL import Image

_SIDE = 256  # Drawn at this size and shrunk, so that frames of all sizes show the same backdrop.
_HORIZON = 0.42  # Upper edge of the lawn: fraction of the picture from its top.


def outdoors(seed: tuple[int, ...], image_size: int) -> np.ndarray:
    """Returns a lawn and a hedge or wall, float32 `[image_size, image_size, 1]`, linear light."""
    rng = np.random.default_rng(seed)
    y = np.linspace(0, 1, _SIDE)[:, None]
    ground, behind, sky = rng.uniform([0.34, 0.3, 0.6], [0.55, 0.5, 0.75])
    lawn = (
        ground * (0.86 + 0.24 * y) * (1 + 0.09 * _noise(rng, (5, 3)) + 0.06 * _noise(rng, (48, 24)))
    )
    hedge = behind * (1 + 0.16 * _noise(rng, (9, 9)) + 0.14 * _noise(rng, (40, 40)))
    top = rng.uniform(0.02, 0.3) + 0.04 * _noise(rng, (1, 9))[:1]
    picture = np.where(y < top, sky, hedge)
    if rng.random() < 0.5:  # A wall with a few dark windows or doors.
        wall = behind * 1.25 * np.ones((_SIDE, _SIDE))
        for left in rng.permutation(5)[: rng.integers(1, 4)]:
            first, last = int((0.05 + 0.2 * left) * _SIDE), int((0.15 + 0.2 * left) * _SIDE)
            wall[int(0.12 * _SIDE) : int(rng.uniform(0.26, 0.42) * _SIDE), first:last] *= 0.55
        picture = wall * (1 + 0.05 * _noise(rng, (30, 30)))
    edge = _HORIZON + 0.006 * _noise(rng, (1, 40))[:1]
    return _finish(np.where(y > edge, lawn, picture), image_size)


def indoors(seed: tuple[int, ...], image_size: int) -> np.ndarray:
    """Returns a room's wall and floor, float32 `[image_size, image_size, 1]`, linear light."""
    rng = np.random.default_rng(seed)
    y, x = np.linspace(0, 1, _SIDE)[:, None], np.linspace(-1, 1, _SIDE)[None]
    wall, floor = rng.uniform([0.5, 0.28], [0.75, 0.48])
    lamp = 1 - 0.2 * (x - rng.uniform(-0.8, 0.8)) ** 2
    picture = wall * lamp * (1 + 0.02 * _noise(rng, (20, 20)))
    picture = np.where(y > 0.72, floor * (0.8 + 0.4 * y) * lamp, picture)
    picture = np.where(abs(y - 0.715) < 0.012, 0.5 * wall, picture)  # The baseboard.
    left = rng.uniform(-0.95, 0.45)
    door = (x > left) & (x < left + 0.5) & (y > 0.12) & (y < 0.703)
    picture = np.where(door, picture * rng.choice([0.55, 0.75, 1.3]), picture)
    inner = (x > left + 0.05) & (x < left + 0.45) & (y > 0.15) & (y < 0.7)
    picture = np.where(inner, picture * 0.88, picture)
    return _finish(picture, image_size)


def _noise(rng: np.random.Generator, cells: tuple[int, int]) -> np.ndarray:
    """Returns smooth noise `[_SIDE, _SIDE]`, deviation about 1, from `cells` rows and columns."""
    coarse = Image.fromarray(rng.normal(size=(cells[0] + 1, cells[1] + 1)).astype(np.float32))
    return np.asarray(coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), float)


def _finish(picture: np.ndarray, image_size: int) -> np.ndarray:
    image = Image.fromarray(np.clip(picture, 0.02, 0.98).astype(np.float32))
    return np.asarray(image.resize((image_size, image_size), Image.Resampling.BOX))[..., None]
