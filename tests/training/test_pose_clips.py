"""Clips that are encoded once must be the batches that training would get from frames."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from drnet_jax.base import sharding
from drnet_jax.data.moving_mnist.digits import Digits
from drnet_jax.data.moving_mnist.generator import MovingMnist
from drnet_jax.data.moving_mnist.source import MovingMnistSource
from drnet_jax.data.recorded import RecordedSource
from drnet_jax.models.state import NetworkState
from drnet_jax.training import steps
from drnet_jax.training.due import Intervals
from drnet_jax.training.loop import Callbacks, fit
from drnet_jax.training.pose_clips import encode_clips, pose_feed
from drnet_jax.training.stages import predictor_stage
from tests.helpers import toy_clips
from tests.helpers.networks import (
    create_networks,
    draw_variables,
    tiny_networks,
    tiny_predictor,
    tiny_predictor_state,
    tiny_state,
)

SIZES = dict(batch_size=4, num_frames=5, num_observed=2)
TX = optax.sgd(0.1)


@pytest.fixture(scope="module")
def endless():
    """Moving MNIST with noise for digits, of 3 x 3 pixels in frames of 8 x 8."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(1, 256, (6, 28, 28), np.uint8), np.arange(6) % 3
    generator = MovingMnist(
        image_size=8,
        digit_size=3,
        num_digits=2,
        colored=True,
        speeds=(-1, 2),
        zero_speeds=True,
        motion="clamp",
        blending="occlude",
    )
    digits = Digits("embedded", images, labels, images, labels, note="noise")
    mesh = sharding.data_mesh()
    return MovingMnistSource(generator, digits, max_frame_gap=5, key=jax.random.key(3), mesh=mesh)


@pytest.fixture(scope="module", params=[toy_clips.Toy, toy_clips.ToyTurn])
def recorded(request, tmp_path_factory):
    builder = toy_clips.create(tmp_path_factory.mktemp("toy"), request.param)
    mesh = sharding.data_mesh()
    return RecordedSource(builder, max_frame_gap=2, max_bytes=1e9, seed=3, mesh=mesh)


@pytest.fixture(scope="module")
def networks():
    return tiny_networks()


@pytest.fixture(scope="module")
def autoencoder():
    return tiny_state(TX).autoencoder


@pytest.fixture(scope="module")
def gray():
    """Networks for the gray frames of `recorded`, and their state."""
    networks = create_networks(image_size=8, channels=1, width=2, content_dim=4)
    frames = np.zeros((1, 8, 8, 1), np.float32)
    variables = {
        name: draw_variables(getattr(networks, name), frames, train=False)
        for name in ("content_encoder", "pose_encoder")
    }
    return networks, NetworkState.create(variables, TX)


def make_feed(
    source, networks, autoencoder, *, batches_per_set=3, passes=1, max_bytes=1e9, with_content=True
):
    return pose_feed(
        source,
        networks,
        autoencoder,
        sharding.data_mesh(),
        **SIZES,
        with_content=with_content,
        batches_per_set=batches_per_set,
        passes_per_set=passes,
        max_bytes=max_bytes,
    )


def take(feed, num, first=0):
    """Returns the first batches of a feed, on the host."""
    batch = jax.jit(feed.batch)
    inputs = feed.inputs(first, 1)
    return [jax.device_get(batch(next(inputs), first + i)) for i in range(num)]


def encode(networks, autoencoder, frames):
    encoder = jax.jit(functools.partial(encode_clips, networks, num_observed=2, with_content=True))
    return jax.device_get(encoder(autoencoder, frames))


@pytest.mark.parametrize(("passes", "numbers"), [(1, range(7)), (2, [0, 1, 2, 0, 1, 2, 3, 4])])
def test_sets_of_endless_clips_are_the_batches_of_the_source(
    endless, networks, autoencoder, passes, numbers
):
    feed = make_feed(endless, networks, autoencoder, passes=passes)
    assert feed.steps_per_input == 3 * passes
    batches = take(feed, len(numbers))
    for number, batch in zip(numbers, batches, strict=True):
        frames = endless.draw_clips(endless.arrays, number, 4, 5)
        expected = encode(networks, autoencoder, frames)
        chex.assert_trees_all_close(batch, expected, atol=1e-6)
        assert batch.lengths is None
    # Resuming in the middle of a set.
    chex.assert_trees_all_equal(take(feed, 2, first=4), batches[4:6])


@pytest.mark.parametrize("max_bytes", [1e9, 0])
def test_recorded_clips_are_looked_up_in_memory_or_in_a_file(recorded, gray, max_bytes):
    networks, autoencoder = gray
    batches = take(make_feed(recorded, networks, autoencoder, max_bytes=max_bytes), 6)
    look_up = recorded.stores["train"].gather
    from_frames = recorded.train_clips(0, 4, 5, look_up)
    for batch, (frames, lengths) in zip(batches, from_frames, strict=False):
        expected = encode(networks, autoencoder, np.asarray(frames))
        chex.assert_trees_all_close(batch, expected.replace(lengths=lengths), atol=1e-5)
    assert len(np.unique(np.concatenate([batch.poses[:, 0] for batch in batches]))) > 10
    resumed = take(make_feed(recorded, networks, autoencoder, max_bytes=max_bytes), 2, first=3)
    chex.assert_trees_all_equal(resumed, batches[3:5])


def test_training_on_encoded_clips_equals_training_on_frames(endless, networks, autoencoder):
    key, feed = jax.random.key(0), make_feed(endless, networks, autoencoder)
    sizes = dict(num_steps=5, num_observed=2, scheduled_sampling=0.8, loss="squared")
    stage = predictor_stage(tiny_predictor(), TX, feed, key, **sizes)
    callbacks = Callbacks(*[lambda *_: None] * 3, stop_requested=lambda: False)
    start = jax.tree.map(jnp.copy, tiny_predictor_state(TX))  # Training donates it.
    trained = fit(stage, start, Intervals(5, 0, 0), callbacks)
    learn = steps.make_predictor_step(
        tiny_predictor(), TX, num_observed=2, teacher_forcing=lambda step: 1 - step / 4
    )
    learn = jax.jit(learn)
    expected = tiny_predictor_state(TX)
    for number in range(5):
        frames = endless.draw_clips(endless.arrays, number, 4, 5)
        expected, _ = learn(expected, encode(networks, autoencoder, frames), key)
    chex.assert_trees_all_close(trained, expected, rtol=1e-4, atol=1e-6)


def test_content_that_the_predictor_does_not_see_is_not_encoded(recorded, gray):
    networks, autoencoder = gray
    [expected] = take(make_feed(recorded, networks, autoencoder), 1)
    without = autoencoder.replace(params={"pose_encoder": autoencoder.params["pose_encoder"]})
    [batch] = take(make_feed(recorded, networks, without, with_content=False), 1)
    assert batch.content.shape == (4, 0)
    np.testing.assert_allclose(batch.poses, expected.poses, atol=1e-6)
