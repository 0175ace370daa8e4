"""Moving MNIST against a plain NumPy generator that steps through clips frame by frame."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from drnet_jax.base import sharding
from drnet_jax.data.moving_mnist import tracks as tracks_lib
from drnet_jax.data.moving_mnist.digits import Digits
from drnet_jax.data.moving_mnist.generator import MovingMnist
from drnet_jax.data.moving_mnist.source import without_test_digits
from drnet_jax.runs import checks
from drnet_jax.runs import run as run_lib

PICTURES = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)
PICTURES[:, :6] = 0  # Background to look through.


def make(**changes):
    settings = dict(image_size=64, digit_size=32, num_digits=2, colored=True)
    settings |= dict(speeds=(-4, 3), zero_speeds=True, motion="clamp", blending="occlude")
    return MovingMnist(**settings | changes)


def numpy_clip(generator, pictures, tracks, clip, num_frames):
    """Returns frames and positions of clip number `clip`, pixel by pixel and step by step."""
    digits, front = pictures[np.asarray(tracks.digits[clip])], int(tracks.front[clip])
    size, side = generator.image_size, generator.digit_size
    reflect, add = generator.motion == "reflect", generator.blending == "add"
    last = size - side if reflect else size - side - 1
    position, velocity = np.array(tracks.positions[clip]), np.array(tracks.velocities[clip])
    frames, track = [], []
    for _ in range(num_frames):
        track.append(position.copy())
        layers = np.zeros((size, size, generator.num_digits), np.uint8)
        for n in range(generator.num_digits):
            y, x = position[n]
            layers[y : y + side, x : x + side, n] = digits[n]
        if not add:
            covered = layers[:, :, front] > 0
            layers[covered] *= np.arange(generator.num_digits) == front
        if generator.colored:
            frames.append(np.pad(layers, ((0, 0), (0, 0), (0, 3 - generator.num_digits))))
        elif add:
            frames.append(np.clip(layers.astype(int).sum(axis=2, keepdims=True), 0, 255))
        else:
            frames.append(layers.max(axis=2, keepdims=True))
        for n, axis in np.ndindex(generator.num_digits, 2):
            moved = position[n, axis] + velocity[n, axis]
            if moved < 0 or moved > last:
                border = 0 if moved < 0 else last
                moved = 2 * border - moved if reflect else border
                velocity[n, axis] *= -1
            position[n, axis] = moved
    return np.stack(frames), track


@functools.partial(jax.jit, static_argnums=(0, 2))
def clips(generator, digits, seed, times):
    """Returns random tracks, positions, and frames; times are `[batch, time]`."""
    tracks = generator.sample(jax.random.key(seed), len(times), len(digits))
    return tracks, generator.positions(tracks, times), generator.render(digits, tracks, times)


PDE_SEP = dict(motion="reflect", blending="add")
"""The laws of Dona et al. 2021."""

CASES = [
    dict(num_digits=n, colored=colored, image_size=size, digit_size=size // 2)
    for n, colored, size in itertools.product((1, 2, 3), (True, False), (64, 128))
] + [
    dict(num_digits=n, colored=colored, image_size=36, digit_size=28, speeds=(-4, 4), **options)
    for n, colored in [(2, True), (3, False)]
    for options in (dict(motion="reflect"), dict(blending="add"), PDE_SEP)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_frames_and_tracks_equal_numpy(case):
    generator = make(**case)
    digits = generator.resize(PICTURES)
    times = np.broadcast_to(np.arange(24), (3, 24))
    tracks, positions, frames = clips(generator, digits, 1, times)
    assert frames.dtype == np.uint8
    for i in range(3):
        expected, track = numpy_clip(generator, digits, tracks, i, 24)
        np.testing.assert_array_equal(frames[i], expected)
        np.testing.assert_array_equal(positions[i], track)
    tracks = jax.device_get(tracks)
    on_host = generator.positions(tracks, times), generator.render_on_host(digits, tracks, times)
    assert all(isinstance(array, np.ndarray) for array in on_host)
    np.testing.assert_array_equal(on_host[0], positions)
    np.testing.assert_array_equal(on_host[1], frames)
    assert on_host[1].dtype == np.uint8


@pytest.mark.parametrize("num_digits", [1, 2, 3])
def test_both_ways_to_place_digits_are_equal(num_digits):
    generator = make(image_size=32, digit_size=16, num_digits=num_digits)
    digits, times = generator.resize(PICTURES), np.broadcast_to(np.arange(30), (4, 30))
    tracks, corners, _ = clips(generator, digits, 3, times)
    by_products, by_look_up = (
        jax.jit(layers)(digits, tracks.digits, corners)
        for layers in (generator.layers_by_products, generator.layers_by_look_up)
    )
    assert by_products.dtype == by_look_up.dtype == np.uint8
    assert by_products.any()
    np.testing.assert_array_equal(by_look_up, by_products)


@pytest.mark.parametrize("options", [{}, PDE_SEP], ids=str)
def test_distant_times_equal_numpy(options):
    generator = make(image_size=32, digit_size=16, speeds=(-3, 3), **options)
    digits = generator.resize(PICTURES)
    times = np.array([[0, 1000], [517, 3]])
    tracks, _, frames = clips(generator, digits, 2, times)
    for i in range(2):
        expected, _ = numpy_clip(generator, digits, tracks, i, 1001)
        np.testing.assert_array_equal(frames[i], expected[times[i]])


def test_a_motion_repeats_at_the_largest_time():
    # Speed 1 over 5 positions: 0 1 2 3 4 4 3 2 1 0, then the same again.
    tracks = tracks_lib.Tracks(*map(jnp.asarray, ([[0]], [[[0, 2]]], [[[1, -1]]], [0])))
    last = tracks_lib.NUM_TIMES - 1
    near, far = (
        tracks_lib.clamped_positions(tracks, np.array([[t]]), 5, 1) for t in (last % 10, last)
    )
    np.testing.assert_array_equal(far, near)
    # From border to border in every step, which reaches both but stays at neither.
    fast = tracks.replace(velocities=jnp.full((1, 1, 2), -4))
    times = np.array([[0, 1, 2, last - 1, last]])
    bounced = tracks_lib.reflected_positions(
        fast.replace(positions=jnp.full((1, 1, 2), 4)), times, 5
    )
    np.testing.assert_array_equal(bounced[0, :, 0, 0], [4, 0, 4, 4, 0])


def test_digits_of_the_right_size_are_not_resized():
    np.testing.assert_array_equal(make(digit_size=28).resize(PICTURES), PICTURES)


def test_resize_equals_pillow():
    resized = make(digit_size=20).resize(PICTURES)
    expected = Image.fromarray(PICTURES[3]).resize((20, 20), Image.Resampling.BILINEAR)
    assert resized.shape == (7, 20, 20)
    np.testing.assert_array_equal(resized[3], expected)


@pytest.mark.parametrize("zero_speeds", [True, False])
def test_sampled_clips_fill_their_ranges(zero_speeds):
    generator = make(zero_speeds=zero_speeds, num_digits=3)
    tracks = jax.jit(generator.sample, static_argnums=(1, 2))(jax.random.key(0), 2000, 50)
    allowed = [v for v in range(-4, 4) if v or zero_speeds]
    assert set(np.unique(tracks.velocities)) == set(allowed)
    assert set(np.unique(tracks.positions)) == set(range(32))
    assert set(np.unique(tracks.digits)) == set(range(50))
    assert set(np.unique(tracks.front)) == {0, 1, 2}
    one_more = jax.jit(make(motion="reflect").sample, static_argnums=(1, 2))(
        jax.random.key(0), 2000, 9
    )
    assert set(np.unique(one_more.positions)) == set(range(33))


def test_clips_do_not_depend_on_how_the_batch_is_sharded():
    generator = make(image_size=16, digit_size=8, speeds=(-2, 2))
    digits, times = generator.resize(PICTURES), np.broadcast_to(np.arange(5), (4, 5))
    split = sharding.batch_split(sharding.data_mesh())
    sharded = jax.jit(
        lambda digits, times: clips(generator, digits, 5, times)[-1], out_shardings=split
    )(digits, times)
    assert len(sharded.sharding.device_set) == 2
    np.testing.assert_array_equal(sharded, clips(generator, digits, 5, times)[-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(num_digits=4), r"data.num_digits=4; allowed: 1, 2, 3"),
        (dict(digit_size=64), r"data.digit_size=64; allowed: 1 to 63"),
        (dict(speeds=(3, -3)), r"data.speeds=\(3, -3\); allowed: least <= greatest"),
        (dict(speeds=(-40, 40)), r"allowed: least <= greatest, both between -31 and 31"),
        (dict(speeds=(0, 0), zero_speeds=False), r"leaves no velocity"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize("motion", ["clamp", "reflect"])
def test_digits_are_found_where_they_are(motion):
    # The digit in front always, the other one in frames that show all of it.
    generator = make(image_size=32, digit_size=12, speeds=(-3, 3), motion=motion)
    digits = generator.resize(np.random.default_rng(1).integers(0, 256, (7, 28, 28), np.uint8))
    times = np.broadcast_to(np.arange(10), (8, 10))
    tracks, positions, frames = jax.device_get(clips(generator, digits, 3, times))
    found = np.asarray(jax.jit(generator.locate)(digits[tracks.digits], frames / np.float32(255)))
    for i, front in enumerate(tracks.front):
        np.testing.assert_array_equal(found[i, :, front], positions[i, :, front])
    apart = np.any(np.abs(positions[:, :, 0] - positions[:, :, 1]) >= 12, axis=-1)
    np.testing.assert_array_equal(found[apart], positions[apart])


def test_a_cut_out_digit_is_the_same_wherever_it_was():
    generator = make(image_size=32, digit_size=12, num_digits=1, colored=False)
    digits = generator.resize(PICTURES)
    frames = np.asarray(clips(generator, digits, 3, np.arange(6)[None])[-1]) / np.float32(255)
    cut = np.asarray(jax.jit(generator.cut_out)(frames))
    assert cut.shape == (1, 6, 1, 16, 16, 1)
    for picture in cut[0, 1:]:
        np.testing.assert_array_equal(picture, cut[0, 0])
    assert np.sum(cut[0, 0]) == pytest.approx(np.sum(frames[0, 0]), rel=1e-6)


def test_validation_digits_are_training_digits_held_out():
    numbers = np.arange(43)
    pictures = np.broadcast_to(numbers[:, None, None], (43, 28, 28)).astype(np.uint8)
    test = np.full((5, 28, 28), 99, np.uint8), np.full(5, 99)
    found = without_test_digits(Digits("full", pictures, numbers, *test, "note"))
    assert found.source == "full"
    assert found.note.startswith("note; VALIDATION: 4 of the training digits are held out")
    np.testing.assert_array_equal(found.test_labels, [9, 19, 29, 39])
    np.testing.assert_array_equal(found.train_labels, np.delete(numbers, [9, 19, 29, 39]))
    for split in ("train", "test"):
        images, labels = getattr(found, f"{split}_images"), getattr(found, f"{split}_labels")
        np.testing.assert_array_equal(images[:, 0, 0], labels)
    with pytest.raises(ValueError, match=r"validation=True with 9 training digits; allowed: 10"):
        without_test_digits(Digits("full", pictures[:9], numbers[:9], *test, "note"))


def test_fewer_clips_and_times_are_the_first_of_more(config, tmp_path):
    source, key = run_lib.create_run(config, tmp_path).source, jax.random.key(0)
    few, many = (source.sample("test", key, number) for number in (3, 1200))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:3]), few, many)
    few, many = (source.random_times("test", clips, key, 2) for clips in (few, many))
    assert len(many) == 1200
    np.testing.assert_array_equal(few, many[:3])


def test_a_validation_run_does_not_see_the_test_digits(config, tmp_path):
    plain = run_lib.create_run(config, tmp_path).source
    config.data.validation = True
    source = run_lib.create_run(config, tmp_path).source
    assert plain.num_digits == {"train": 4500, "test": 500}
    assert source.num_digits == {"train": 4050, "test": 450}
    assert "VALIDATION: 450 of the training digits" in source.note
    tracks = source.sample("test", jax.random.key(0), 20)
    # The 10th, 20th, ... training digits are held out.
    among_all = tracks.replace(digits=tracks.digits * 10 + 9)
    np.testing.assert_array_equal(
        source.frames("test", tracks, np.arange(3)), plain.frames("train", among_all, np.arange(3))
    )
    asked = config.to_dict()  # The setting is yes or no.
    asked["data"]["validation"] = 0.1
    with pytest.raises(ValueError, match=r"data.validation=0.1; allowed: True, False"):
        checks.check(asked)
