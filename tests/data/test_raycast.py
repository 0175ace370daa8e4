"""Ray casting against closed forms in NumPy: hits, normals and shadows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.data.rendering import raycast
from drnet_jax.data.rendering.scene import Camera, Light, Material, Model, draw, rotation

GRAY = Material((0.5,))
SIZE = 32


def scene_of(kind, *arguments, **keywords):
    model = Model()
    getattr(model, kind)(*arguments, GRAY, **keywords)
    return model.scene()


@jax.jit
def cast(scene, origin, direction):
    origin, direction = list(origin.T), list(direction.T)
    distance, index = raycast.nearest(scene, origin, direction)
    point = [o + distance * d for o, d in zip(origin, direction, strict=True)]
    normal, _, _ = raycast._surface(scene, index, point)
    return distance, index, jnp.stack(normal, -1)


def first_hits(scene, origins, directions):
    """Returns distance and index of the first hit of rays `[n, 3]`, and the normals there."""
    # Always 200 rays, so that one compiled program serves all tests.
    rays = [np.resize(np.float32(x), (200, 3)) for x in (origins, directions)]
    return [np.asarray(x)[: len(origins)] for x in cast(scene, *rays)]


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def rays_at(center):
    rng = np.random.default_rng(0)
    origins = center + 5 * unit(rng.normal(size=(200, 3)))
    return origins, unit(center + 0.6 * rng.normal(size=(200, 3)) - origins)


@pytest.mark.parametrize(
    ("half", "turn"),
    [([0.8] * 3, np.eye(3)), ([0.9, 0.3, 0.5], rotation("y", 0.7) @ rotation("x", 0.4))],
    ids=("sphere", "ellipsoid"),
)
def test_rays_hit_an_ellipsoid_where_algebra_says(half, turn):
    center = np.array([0.3, -0.2, 0.5])
    origins, directions = rays_at(center)
    scene = scene_of("ellipsoid", center, half, turn=turn)
    distance, _, normal = first_hits(scene, origins, directions)
    # Where the ellipsoid is the unit ball, |start + distance * step| = 1.
    start, step = (origins - center) @ turn / half, directions @ turn / half
    a, b = np.sum(step**2, 1), np.sum(start * step, 1)
    under = b**2 - a * (np.sum(start**2, 1) - 1)
    meets = under > 0
    assert 20 < meets.sum() < 200
    np.testing.assert_array_equal(distance < 1e8, meets)
    expected = ((-b - np.sqrt(np.maximum(under, 0))) / a)[meets]
    np.testing.assert_allclose(distance[meets], expected, rtol=1e-4)
    outward = (start[meets] + expected[:, None] * step[meets]) / half
    np.testing.assert_allclose(normal[meets] @ turn, unit(outward), atol=2e-3)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("side", (-1, 1))
def test_turned_box_shows_its_faces(axis, side):
    turn, half, center = rotation("z", 0.5) @ rotation("y", -0.3), np.array([0.4, 0.2, 0.7]), 0.1
    outward = side * turn[:, axis]
    origin = center + 4 * outward
    scene = scene_of("box", [center] * 3, half, turn=turn)
    distance, _, normal = first_hits(scene, [origin], [-outward])
    np.testing.assert_allclose(distance, 4 - half[axis], rtol=1e-5)
    np.testing.assert_allclose(normal[0], outward, atol=1e-5)


def test_cylinder_has_a_side_and_caps():
    scene = scene_of("cylinder", [0, 0, 0], [0, 2, 0], 0.5)
    origins = [[0.25, 1, 3], [0.3, 5, 0.1], [0.7, 5, 0], [0, -1, 0.4]]
    directions = [[0, 0, -1], [0, -1, 0], [0, -1, 0], [0, 1, 0]]
    distance, _, normal = first_hits(scene, origins, directions)
    depth = np.sqrt(0.5**2 - 0.25**2)
    np.testing.assert_allclose(distance, [3 - depth, 3, 1e9, 1], rtol=1e-5)
    np.testing.assert_allclose(normal[0], [0.5, 0, depth / 0.5], atol=1e-4)
    np.testing.assert_allclose(normal[[1, 3]], [[0, 1, 0], [0, -1, 0]], atol=1e-6)


def test_slanted_cylinder_lies_between_its_ends():
    start, end, radius = np.array([-0.5, 0.1, 0.3]), np.array([0.6, 0.9, -0.2]), 0.1
    axis = unit(end - start)
    across = unit(np.cross(axis, [0, 1, 0]))
    origins = [(start + end) / 2 + 2 * across, start - axis]
    scene = scene_of("cylinder", start, end, radius)
    distance, _, _ = first_hits(scene, origins, [-across, axis])
    np.testing.assert_allclose(distance, [2 - radius, 1], rtol=1e-4)


def test_the_nearest_of_several_kinds_is_found():
    model = Model()
    model.box([0, 0, 0], [0.5] * 3, GRAY)
    model.box([0, 0, 2], [0.1] * 3, GRAY)
    model.cylinder([0, -1, 3], [0, 1, 3], 0.2, GRAY)
    model.ellipsoid([3, 0, 0], [0.5] * 3, GRAY)
    scene = model.scene()
    capacity = scene.transforms.shape[1]
    origins, directions = [[0, 0, 9], [0.4, 0, 9], [9, 0, 0]], [[0, 0, -1]] * 2 + [[-1, 0, 0]]
    distance, index, _ = first_hits(scene, origins, directions)
    np.testing.assert_allclose(distance, [5.8, 8.5, 5.5], rtol=1e-5)
    np.testing.assert_array_equal(index, [capacity, 0, 2 * capacity])


def test_shadow_rays_stop_at_objects_in_front_only():
    scene = jax.tree.map(jnp.asarray, scene_of("ellipsoid", [0, 2, 0], [0.5] * 3))
    origin = list(np.float32([[0, 0, 0], [0.49, 0, 0], [0.51, 0, 0], [0, 3, 0]]).T)
    dark = jax.jit(raycast.occluded)(scene, origin, [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(dark, [True, True, False, False])


def picture(scene, light, elevation, floor=-50.0):
    """Returns one frame in [0, 1] in front of a white backdrop, almost without perspective."""
    view = Camera((0.0, 0.0, 0.0), 0, elevation, 40.0, 1.0, 1.0).view(light, floor)
    return draw([scene], [view], np.ones((SIZE, SIZE, 1), np.float32))[0, ..., 0] / 255


def test_silhouette_of_a_sphere_has_the_area_of_its_disc():
    light = Light(0, 90, key=0.0, sky=0.0, fill=1e-6)  # A black sphere in front of white.
    scene = scene_of("ellipsoid", [0, 0, 0], [0.6] * 3)
    frame = picture(scene, light, elevation=0)
    dark = 1 - frame**raycast.GAMMA
    np.testing.assert_allclose(dark.mean() * 4, np.pi * 0.6**2, rtol=0.01)
    # Pixels that are neither black nor white: the edge is smooth.
    assert np.count_nonzero((dark > 0.1) & (dark < 0.9)) > 20


def test_shadow_lies_where_the_light_points():
    # Seen from above, a ball at height 0.5 by light from the right at 45 degrees.
    light = Light(90, 45, size=0.0, key=1.0, sky=0.0, fill=0.0)
    scene = scene_of("ellipsoid", [0.5, 0.5, 0], [0.15] * 3)
    frame = picture(scene, light, elevation=90, floor=0.0)
    dark = frame < 0.02
    columns = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    rows, places = np.nonzero(dark & (columns < 0.3))
    np.testing.assert_allclose(columns[places].mean(), 0, atol=0.03)
    np.testing.assert_allclose(columns[rows].mean(), 0, atol=0.03)
    # A disc that the slanted light stretches by 1 / sin 45.
    np.testing.assert_allclose(np.ptp(columns[places]), 0.3 * np.sqrt(2), atol=2 * 2 / SIZE)


def test_brightness_follows_the_cosine():
    frames = []
    for elevation in (90, 30):
        light = Light(0, elevation, size=0.0, key=0.8, sky=0.0, fill=0.0)
        scene = scene_of("box", [0, 0, 0], [0.9, 0.1, 0.9])
        frames.append(picture(scene, light, elevation=90))
    middle = [frame[SIZE // 2, SIZE // 2] ** raycast.GAMMA for frame in frames]
    # The tolerance of the first leaves room for a highlight.
    np.testing.assert_allclose(middle[0], 0.8 * 0.5**raycast.GAMMA, rtol=0.15)
    np.testing.assert_allclose(middle[1], 0.8 * 0.5**raycast.GAMMA * 0.5, rtol=0.05)


def test_frames_do_not_depend_on_their_batch():
    light = Light(30, 50)
    scenes = [scene_of("box", [0, 0.3, 0], [0.3, 0.3, x]) for x in np.linspace(0.1, 0.5, 7)]
    views = [Camera((0, 0.3, 0), 20 * i, 20, 5.0, 0.8, 0.8).view(light, 0.0) for i in range(7)]
    backdrop = np.full((SIZE, SIZE, 1), 0.6, np.float32)
    together = draw(scenes, views, backdrop)
    apart = [draw(scenes[i : i + 1], views[i : i + 1], backdrop)[0] for i in range(7)]
    np.testing.assert_array_equal(together, apart)
    assert len(np.unique(together.reshape(7, -1), axis=0)) == 7


def test_rendering_may_be_mapped_over_scenes():
    model = Model()
    model.box([0, 0.2, 0], [0.2, 0.2, 0.2], GRAY)
    model.cylinder([0, 0.5, 0], [0, 0.9, 0], 0.1, GRAY)
    scenes = [scene_of("ellipsoid", [0, 0.3, 0], [0.3] * 3), model.scene()]
    several = jax.tree.map(lambda *x: np.stack(x), *scenes)
    origins, directions = rays_at(np.array([0, 0.3, 0]))
    rays = jnp.float32(origins), jnp.float32(directions)
    together = jax.jit(jax.vmap(cast, in_axes=(0, None, None)))(several, *rays)
    for number, scene in enumerate(scenes):
        alone = first_hits(scene, *rays)
        np.testing.assert_allclose(together[0][number], alone[0], rtol=1e-5)
        np.testing.assert_array_equal(together[1][number], alone[1])
        np.testing.assert_allclose(together[2][number], alone[2], atol=1e-5)
    view = Camera((0, 0.3, 0), 0, 20, 5.0, 0.8, 0.8).view(Light(30, 50), 0.0)
    backdrop = np.full((SIZE, SIZE, 1), 0.6, np.float32)
    frames = jax.eval_shape(jax.vmap(raycast.render, (0, None, None)), several, view, backdrop)
    assert frames.shape == (2, SIZE, SIZE, 1)


def test_too_many_primitives_are_refused():
    model = Model()
    for _ in range(33):
        model.box([0, 0, 0], [1, 1, 1], GRAY)
    with pytest.raises(ValueError, match="33 primitives of kind box; allowed: at most 32"):
        model.scene()
