"""The networks that divide the light of a frame among slots."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.models import slots
from drnet_jax.models.content import Content
from tests.helpers.networks import create_networks, draw_variables, encode_and_decode

SIDE = 32


def create(**changes):
    settings = dict.fromkeys(("content_encoder", "pose_encoder", "decoder"), "slots")
    settings |= dict(image_size=SIDE, channels=1, num_slots=2, pose_dim=4)
    return create_networks(**settings | changes)


def test_centers_equal_numpy():
    shares = np.random.default_rng(0).random((2, 5, 5, 3), np.float32)
    found = slots.centers(jnp.asarray(shares))
    for clip, slot in np.ndindex(2, 3):
        share = shares[clip, :, :, slot]
        for axis in (0, 1):
            expected = np.sum(share * (np.indices((5, 5))[axis] / 2 - 1)) / share.sum()
            np.testing.assert_allclose(found[clip, axis, slot], expected, atol=1e-5)
    np.testing.assert_allclose(slots.centers(jnp.zeros((1, 5, 5, 2))), 0, atol=1e-6)


def test_the_light_of_a_frame_is_divided_completely():
    frames = np.random.default_rng(1).random((2, SIDE, SIDE, 3), np.float32)
    module = slots.Shares(num_slots=3, width=4, dtype=jnp.float32)
    shares, _ = jax.jit(module.init_with_output)(jax.random.key(0), frames)
    np.testing.assert_allclose(shares.sum(axis=-1), frames.mean(axis=-1), rtol=1e-5)
    assert shares.shape == (2, SIDE, SIDE, 3)
    assert np.all(shares >= 0)


def test_both_encoders_begin_with_the_same_shares():
    networks, frames = create(), np.random.default_rng(2).random((2, SIDE, SIDE, 1), np.float32)
    init = functools.partial(networks.content_encoder.init, train=False)
    content = jax.jit(init)(jax.random.key(0), frames)["params"]["shares"]
    init = functools.partial(networks.pose_encoder.init, train=False)
    pose = jax.jit(init)(jax.random.key(1), frames)["params"]["shares"]
    jax.tree.map(np.testing.assert_array_equal, content, pose)
    # Layers are not copies of each other.
    assert not np.array_equal(pose["Conv_2"]["kernel"], pose["Conv_3"]["kernel"])


def test_places_are_those_of_objects_that_scores_tell_apart():
    frames = np.zeros((2, SIDE, SIDE, 1), np.float32)
    for frame, shift in zip(frames, (0, 4), strict=True):  # By a cell, as a whole.
        frame[4:12, 4 + shift : 12 + shift] = 0.4
        frame[16:28, 12 + shift : 24 + shift] = 1
    module = slots.Shares(num_slots=2, width=1, dtype=jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), frames)
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variables["params"])
    # Scores are the means of cells, with opposite signs for the two slots.
    for name in ("Conv_0", "Conv_1"):
        params[name]["kernel"][1:3, 1:3, :, 0] = 1 / 4
    params["Conv_5"]["kernel"][0, 0, 0] = [-1, 1]
    params["log_gain"] += 3
    places = slots.centers(jax.jit(module.apply)({"params": params}, frames))
    pixels = (np.asarray(places).swapaxes(1, 2) + 1) / 2 * (SIDE - 1)
    expected = [[[7.5, 7.5 + shift], [21.5, 17.5 + shift]] for shift in (0, 4)]
    np.testing.assert_allclose(pixels, expected, atol=0.05)


def test_shapes_ranges_and_dtypes():
    networks = create(channels=3, num_slots=3, pose_dim=6)

    run = jax.jit(functools.partial(encode_and_decode, networks))
    frames = jax.random.uniform(jax.random.key(1), (2, SIDE, SIDE, 3))
    content, pose, decoded = run(jax.random.key(0), frames)
    assert content.vector.shape == (2, 6)
    assert pose.shape == (2, 6)
    assert decoded.shape == frames.shape
    assert content.vector.dtype == pose.dtype == decoded.dtype == jnp.float32
    assert 0 <= decoded.min() < decoded.max() < 0.5  # Frames begin dark.


def test_drawings_add_up_to_white_at_most_and_slots_may_change_places():
    networks, rng = create(), np.random.default_rng(3)
    codes = rng.standard_normal((1, 6)).astype(np.float32)
    poses = np.float32([[-0.3, 0.3, -0.2, 0.2]])  # Two rows, and then two columns.
    variables = draw_variables(networks.decoder, Content(codes), poses, train=False)
    variables["params"]["log_sigma"] *= 0

    @jax.jit
    def decode(codes, poses):
        return networks.decoder.apply(variables, Content(codes), poses, train=False)

    both = np.asarray(decode(codes, poses))
    exchanged = decode(np.roll(codes, 3, axis=1), poses[:, [1, 0, 3, 2]])
    np.testing.assert_allclose(exchanged, both, atol=1e-5)
    far = np.float32([[-0.3, 9, -0.2, 9]]), np.float32([[9, 0.3, 9, 0.2]])
    alone = [np.asarray(decode(codes, p)) for p in far]  # The other slot is outside.
    np.testing.assert_allclose(both, np.minimum(sum(alone), 1), atol=1e-5)
    assert np.any(sum(alone) > 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            dict(pose_dim=5),
            r"pose_dim=5, normalize=False .*; allowed: 4, False: a row and a column",
        ),
        (dict(normalize=True), r"normalize=True with pose encoder 'slots'; allowed: 4, False"),
        (dict(decoder="attention"), r"pose_encoder='slots' with decoder='attention'; allowed"),
        (dict(content_dim=7), r"content_dim=7, num_slots=2; allowed: multiples of num_slots"),
    ],
)
def test_sizes_and_networks_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        create(**changes)
