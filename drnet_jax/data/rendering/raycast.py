"""Ray caster in JAX: boxes, cylinders, ellipsoids and a floor; key light, sky light, highlights.

Every primitive is a unit shape under an affine map: a ray is transformed into the shape's own space
and intersected there in closed form. A scene is padded arrays with counts, so one program draws
any scene of the same capacity, and the padding costs no time. World coordinates are right-handed
with y up; light is linear, colors are sRGB. Sums are written out, because a matrix unit would
round them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

KINDS = ("box", "cylinder", "ellipsoid")
"""Unit shapes: the cube [-1, 1]^3; the cylinder of radius 1 around y, |y| <= 1; the unit ball."""

GAMMA = 2.2  # sRGB values are linear light to the power of 1 / GAMMA.

# Four places in a pixel, no two in one row or column, so that even vertical and
# horizontal edges are smooth.
_OFFSETS = np.float32([[-0.25, -0.75], [0.75, -0.25], [0.25, 0.75], [-0.75, 0.25]]) / 2
# Each place sees its own point of the lamp and its own part of the sky: soft shadows at no cost.
_LAMP_OFFSETS = np.float32([[-1, -1], [1, -1], [1, 1], [-1, 1]])
_SKY = np.float32([[0.5, 1.5, 0.3], [-0.3, 1.5, 0.5], [-0.5, 1.5, -0.3], [0.3, 1.5, -0.5]])
_SKY = _SKY / np.linalg.norm(_SKY, axis=1, keepdims=True)

_FAR = 1e9  # Distance for a ray that hits nothing.
# Least distances of a hit, for objects of size 1: a surface must not shade itself.
_RAY_BIAS, _SHADOW_BIAS = 1e-4, 2e-3


class Scene(NamedTuple):
    """Primitives by kind, in the order of `KINDS`, each kind padded to `capacity`."""

    transforms: jax.Array  # float32 `[3, capacity, 3, 4]`, maps from the world to the unit shape.
    counts: jax.Array  # int32 `[3]`, number of primitives of each kind.
    colors: jax.Array  # float32 `[3, capacity, channels]` in [0, 1], sRGB.
    shine: jax.Array  # float32 `[3, capacity]`, strength of the highlight.
    waves: jax.Array  # float32 `[3, capacity, 3]`, wave vector of the stripes on the unit shape.
    contrast: jax.Array  # float32 `[3, capacity]`, strength of the stripes; 0 is plain.


class View(NamedTuple):
    """Camera, light and floor of one frame; all float32."""

    eye: jax.Array  # `[3]`, where rays start.
    forward: jax.Array  # `[3]`, unit vector to the center of the picture.
    right: jax.Array  # `[3]`, from the center to the middle of the right edge, at distance 1.
    up: jax.Array  # `[3]`, from the center to the middle of the upper edge, at distance 1.
    lamp: jax.Array  # `[3]`, unit vector towards the lamp, which is infinitely far away.
    lamp_size: jax.Array  # Half the lamp's width in radians; 0 throws hard shadows.
    key: jax.Array  # Light of the lamp.
    sky: jax.Array  # Light of the sky from above, which reaches the lamp's shadows.
    fill: jax.Array  # Light from everywhere, a little more from above.
    floor: jax.Array  # Height; the floor only carries shadows.


def _slab(origin, direction):
    """Returns where a line enters and leaves |coordinate| <= 1."""
    inverse = 1 / jnp.where(jnp.abs(direction) < 1e-9, 1e-9, direction)
    first, second = (-1 - origin) * inverse, (1 - origin) * inverse
    return jnp.minimum(first, second), jnp.maximum(first, second)


def _ball(origin, direction, axes):
    """Returns where a line enters and leaves radius 1 in `axes`; it never does if exit < entry."""
    a = sum(direction[i] * direction[i] for i in axes) + 1e-12
    b = sum(origin[i] * direction[i] for i in axes)
    c = sum(origin[i] * origin[i] for i in axes) - 1
    root = jnp.sqrt(jnp.maximum(b * b - a * c, 0))
    meets = b * b > a * c
    return jnp.where(meets, (-b - root) / a, _FAR), jnp.where(meets, (-b + root) / a, -_FAR)


def _box(origin, direction):
    entries, exits = zip(*(_slab(origin[i], direction[i]) for i in range(3)), strict=True)
    return functools.reduce(jnp.maximum, entries), functools.reduce(jnp.minimum, exits)


def _cylinder(origin, direction):
    entry, leave = _ball(origin, direction, (0, 2))
    low, high = _slab(origin[1], direction[1])
    return jnp.maximum(entry, low), jnp.minimum(leave, high)


def _turn(matrix, vector):
    """Returns `matrix[:, :3] @ vector` for coordinates `vector` of any shape."""
    return [sum(matrix[i, j] * vector[j] for j in range(3)) for i in range(3)]


def nearest(scene: Scene, origin, direction, bias: float = _RAY_BIAS):
    """Returns where each ray meets the scene first.

    `origin` and `direction` are three coordinates each, scalars or `[rays]`; a direction may have
    any length. Hits nearer than `bias` do not count.

    Returns:
      distance: float32 `[rays]`, in lengths of the ray's direction; 1e9 for no hit.
      index: int32 `[rays]`, kind times capacity plus number in the kind; 0 for no hit.
    """
    capacity = scene.transforms.shape[1]
    shape = jnp.broadcast_shapes(jnp.shape(origin[0]), jnp.shape(direction[0]))
    hit = jnp.full(shape, _FAR), jnp.zeros(shape, jnp.int32)
    for kind, interval in enumerate((_box, _cylinder, functools.partial(_ball, axes=(0, 1, 2)))):

        def closer(i, hit, kind=kind, interval=interval):
            distance, index = hit
            matrix = scene.transforms[kind, i]
            start = [x + matrix[j, 3] for j, x in enumerate(_turn(matrix, origin))]
            entry, leave = interval(start, _turn(matrix, direction))
            first = (leave > entry) & (entry > bias) & (entry < distance)
            return jnp.where(first, entry, distance), jnp.where(first, kind * capacity + i, index)

        hit = jax.lax.fori_loop(0, scene.counts[kind], closer, hit)
    return hit


def occluded(scene: Scene, origin, direction) -> jax.Array:
    """Returns bool `[rays]`: whether anything lies on the ray; arguments as for `nearest`."""
    return nearest(scene, origin, direction, _SHADOW_BIAS)[0] < _FAR


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def _unit(vector):
    length = jnp.sqrt(_dot(vector, vector)) + 1e-9
    return [x / length for x in vector]


def _surface(scene: Scene, index, point):
    """Returns unit normal, color and shine at hits: 3, `channels` and 1 arrays `[rays]`."""
    capacity = scene.transforms.shape[1]
    # [kind, capacity, ...] -> [index, ...]
    flat = jax.tree.map(lambda x: x.reshape(3 * capacity, *x.shape[2:]), scene._replace(counts=()))
    matrix = flat.transforms[index]  # [rays, 3, 4]
    x, y, z = (_dot([matrix[:, i, j] for j in range(3)], point) + matrix[:, i, 3] for i in range(3))
    # Normals of the unit shapes: the nearest face; a cap or the side; the point itself.
    largest = jnp.maximum(jnp.maximum(abs(x), abs(y)), abs(z))
    on_cap = abs(y) > jnp.sqrt(x * x + z * z)
    of_box = [jnp.where(abs(c) >= largest, jnp.sign(c), 0) for c in (x, y, z)]
    of_cylinder = [jnp.where(on_cap, a, b) for a, b in ((0, x), (jnp.sign(y), 0), (0, z))]
    kind = index // capacity
    local = [
        jnp.where(kind == 0, a, jnp.where(kind == 1, b, c))
        for a, b, c in zip(of_box, of_cylinder, (x, y, z), strict=True)
    ]
    # The transpose of the map to the unit shape takes its normals back to the world.
    normal = _unit([_dot([matrix[:, i, j] for i in range(3)], local) for j in range(3)])
    wave = flat.waves[index]
    along = _dot([wave[:, i] for i in range(3)], (x, y, z))
    # A wave in the phase makes stripes of unequal width, like grain.
    stripes = 1 + flat.contrast[index] * jnp.sin(along + 0.8 * jnp.sin(0.37 * along))
    colors = flat.colors[index]
    color = [colors[:, i] ** GAMMA * stripes for i in range(colors.shape[1])]
    return normal, color, flat.shine[index]


def _rays(view: View, size: int, offset):
    """Returns unit directions, three `[size * size]`, through the point `offset` of each pixel."""
    centers = (jnp.arange(size) + 0.5 + offset[0]) / size * 2 - 1
    x = jnp.tile(centers, size)
    y = -jnp.repeat((jnp.arange(size) + 0.5 + offset[1]) / size * 2 - 1, size)
    return _unit([view.forward[i] + x * view.right[i] + y * view.up[i] for i in range(3)])


def _lamp(view: View, offset):
    """Returns three scalars: the direction to the point `offset` of the lamp."""
    lamp = view.lamp
    side = _unit([lamp[2], 0.0, -lamp[0] + 1e-6])
    # The cross product of `lamp` and `side`.
    rise = [lamp[i - 2] * side[i - 1] - lamp[i - 1] * side[i - 2] for i in range(3)]
    spread = view.lamp_size
    return _unit([lamp[i] + spread * (offset[0] * side[i] + offset[1] * rise[i]) for i in range(3)])


def _sample(scene: Scene, view: View, backdrop, offset, lamp_offset, sky):
    """Returns linear light `[size * size, channels]` through one point of every pixel."""
    direction = _rays(view, backdrop.shape[0], offset)
    distance, index = nearest(scene, view.eye, direction)
    hit = distance < _FAR
    to_floor = (view.floor - view.eye[1]) / jnp.where(direction[1] < -1e-6, direction[1], -1e-6)
    on_floor = ~hit & (direction[1] < -1e-6)
    distance = jnp.where(hit, distance, jnp.minimum(to_floor, 1e3))
    point = [view.eye[i] + distance * direction[i] for i in range(3)]
    normal, color, shine = _surface(scene, index, point)
    normal = [jnp.where(hit, n, float(i == 1)) for i, n in enumerate(normal)]  # The floor's is y.
    start = [p + 1e-3 * n for p, n in zip(point, normal, strict=True)]
    lamp = _lamp(view, lamp_offset)
    lit = ~occluded(scene, start, lamp)
    seen = ~occluded(scene, start, list(sky))
    key = view.key * jnp.maximum(_dot(normal, lamp), 0) * lit
    diffuse = view.fill * (0.8 + 0.2 * normal[1]) + key
    diffuse += view.sky * jnp.maximum(_dot(normal, list(sky)), 0) * seen
    # Blinn's highlight: strongest where the normal halves the angle of lamp and eye.
    half = _unit([a - b for a, b in zip(lamp, direction, strict=True)])
    gloss = shine * jnp.maximum(_dot(normal, half), 0) ** 30 * lit * view.key
    # Light on the floor where nothing shades it.
    full = view.fill + view.sky * sky[1] + view.key * jnp.maximum(lamp[1], 0) + 1e-9
    shade = jnp.where(on_floor, diffuse / full, 1)
    channels = [
        jnp.where(hit, c * diffuse + gloss, backdrop[..., i].reshape(-1) * shade)
        for i, c in enumerate(color)
    ]
    return jnp.stack(channels, -1)


def render(scene: Scene, view: View, backdrop: jax.Array) -> jax.Array:
    """Returns one frame, uint8 `[size, size, channels]`, of four rays a pixel; may be vmapped.

    `backdrop` is float32 `[size, size, channels]`: linear light where no object is, darkened by the
    shadows on the floor. The scene has as many color channels.
    """
    offsets = (jnp.asarray(_OFFSETS), jnp.asarray(_LAMP_OFFSETS), jnp.asarray(_SKY))
    samples = jax.lax.map(lambda places: _sample(scene, view, backdrop, *places), offsets)
    frame = jnp.clip(samples.mean(0), 0, 1) ** (1 / GAMMA)
    return jnp.round(frame * 255).astype(jnp.uint8).reshape(backdrop.shape)


@jax.jit
def render_frames(scenes: Scene, views: View, backdrop: jax.Array) -> jax.Array:
    """Returns uint8 `[frames, size, size, channels]`; axis 0 of scenes and views is frames.

    Frames are drawn one after another, so a frame's bytes depend on no other frame.
    """
    return jax.lax.map(lambda frame: render(*frame, backdrop), (scenes, views))
