"""The networks that look and paint at places."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.models import attention
from drnet_jax.models.content import Content
from tests.helpers.networks import create_networks, draw_variables, encode_and_decode

SIDE, WINDOW = 16, 9


def create(**changes):
    kinds = dict.fromkeys(("content_encoder", "pose_encoder", "decoder"), "attention")
    return create_networks(**kinds, **({"channels": 3, "num_slots": 2, "pose_dim": 5} | changes))


def test_filter_bank_equals_numpy():
    bank = np.asarray(attention.filter_bank(jnp.array([[-1.0, 0.3]]), 0.7, SIDE))
    assert bank.shape == (1, 2, SIDE, WINDOW)
    for slot, center in enumerate((-1.0, 0.3)):
        pixel, (y, i) = (center + 1) / 2 * (SIDE - 1), np.indices((SIDE, WINDOW))
        distance = (y - (pixel + i - (WINDOW - 1) / 2)) / 0.7
        expected = np.exp(-(distance**2) / 2) / (0.7 * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(bank[0, slot], expected, rtol=1e-4, atol=1e-6)


def test_a_narrow_window_is_a_crop():
    # At this width the peak of the Gaussian is 1 and its neighbors are nearly 0.
    sigma, center = 1 / np.sqrt(2 * np.pi), 7
    place = jnp.array([2 * center / (SIDE - 1) - 1])
    rows = attention.filter_bank(place, sigma, SIDE)[0]
    line = np.zeros(SIDE, np.float32)
    line[5] = 1.0
    crop = np.asarray(line @ rows)
    assert crop.argmax() == 5 - (center - (WINDOW - 1) // 2)
    assert crop.max() == pytest.approx(1)


def test_places_follow_what_moves():
    """A blob that moves by a cell moves its place by a cell, away from the frame's border."""
    places = attention.Places(num_slots=2, width=8, dtype=jnp.float32)
    frames = np.zeros((2, 64, 64, 3), np.float32)
    frames[0, 24:32, 24:32] = 1
    frames[1, 28:36, 24:32] = 1
    variables = jax.jit(places.init)(jax.random.key(0), frames)
    # Sharp attention: without it the empty rest of the frame pulls to the middle.
    kernel = variables["params"]["Conv_3"]["kernel"]
    variables["params"]["Conv_3"]["kernel"] = 1000 * jnp.abs(kernel)
    moved = np.diff(jax.jit(places.apply)(variables, frames), axis=0)[0]
    np.testing.assert_allclose(moved[0], 2 / 15, atol=1e-4)
    np.testing.assert_allclose(moved[1], 0, atol=1e-4)


def test_shapes_ranges_and_dtypes():
    networks = create()

    run = jax.jit(functools.partial(encode_and_decode, networks))
    frames = jax.random.uniform(jax.random.key(1), (3, SIDE, SIDE, 3))
    content, pose, decoded = run(jax.random.key(0), frames)
    assert content.vector.shape == (3, 6)
    assert pose.shape == (3, 5)
    assert decoded.shape == frames.shape
    assert content.vector.dtype == pose.dtype == decoded.dtype == jnp.float32
    assert 0 < decoded.min() < decoded.max() < 0.5  # Frames begin dark.


def test_the_painted_place_depends_on_the_pose_and_the_glyph_on_content():
    networks = create()
    content = Content(jax.random.normal(jax.random.key(1), (1, 6)))
    other = Content(jax.random.normal(jax.random.key(2), (1, 6)))
    pose = jax.random.normal(jax.random.key(3), (1, 5))
    variables = draw_variables(networks.decoder, content, pose, train=False)
    decode = jax.jit(functools.partial(networks.decoder.apply, variables, train=False))
    frames = decode(content, pose)
    assert np.abs(frames - decode(other, pose)).max() > 1e-3
    assert np.abs(frames - decode(content, -pose)).max() > 1e-3


def test_content_must_divide_by_the_slots():
    with pytest.raises(ValueError, match=r"content_dim=7, num_slots=2; allowed: multiples of"):
        create(content_dim=7)
