import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from drnet_jax.base import prng, sharding
from drnet_jax.training import batch_stats, losses, steps
from drnet_jax.training.optim import DrnetOptimizers
from drnet_jax.training.pose_clips import PoseClips
from tests.helpers.networks import tiny_networks, tiny_predictor, tiny_predictor_state, tiny_state

WEIGHTS = dict(similarity_weight=0.7, adversarial_weight=0.3)


@pytest.fixture(scope="module")
def networks():
    return tiny_networks()


@pytest.fixture
def batch():
    frames = np.random.default_rng(0).integers(0, 256, (6, 4, 8, 8, 3), np.uint8)
    return steps.DrnetBatch(frames, steps.sample_pairs(jax.random.key(1), 6))


def test_pairs_have_no_fixed_points_and_right_labels():
    for seed in range(20):
        pairs = steps.sample_pairs(jax.random.key(seed), 7)
        different = pairs.partners != np.arange(7)
        np.testing.assert_array_equal(pairs.targets, ~different)
        np.testing.assert_array_equal(different, np.arange(7) < 3)
    partners = {int(steps.sample_pairs(jax.random.key(seed), 7).partners[0]) for seed in range(60)}
    assert partners == set(range(1, 7))


def test_step_is_the_formula_of_the_paper(networks, batch):
    """One SGD step, recomputed from single passes and one gradient for each optimizer."""
    tx = optax.sgd(1.0)
    state = tiny_state(tx)
    step = jax.jit(steps.make_drnet_step(networks, DrnetOptimizers(tx, tx), **WEIGHTS))
    new, metrics = step(state, batch)

    x = [jnp.asarray(batch.frames[:, i] / np.float32(255)) for i in range(4)]

    @functools.partial(jax.jit, static_argnums=0)
    def encode(name, params, frames):
        variables = {"params": params[name], "batch_stats": state.autoencoder.batch_stats[name]}
        module = getattr(networks, name)
        return module.apply(variables, frames, train=True, mutable=["batch_stats"])[0]

    def logits(params, a, b):
        return networks.discriminator.apply({"params": params["discriminator"]}, a, b)

    autoencoder, discriminator = state.autoencoder.params, state.discriminator.params
    pose_a, pose_b = (encode("pose_encoder", autoencoder, frames) for frames in x[:2])

    def discriminator_loss(params):
        out = logits(params, pose_a, pose_b[batch.pairs.partners])
        return losses.same_clip(out, batch.pairs.targets)

    grads = jax.jit(jax.grad(discriminator_loss))(discriminator)
    moved = jax.tree.map(np.subtract, discriminator, grads)
    chex.assert_trees_all_close(new.discriminator.params, moved, atol=1e-6)
    target_content = encode("content_encoder", autoencoder, x[1]).vector
    constant_pose = encode("pose_encoder", autoencoder, x[3])

    @jax.jit
    @jax.value_and_grad
    def autoencoder_loss(params):
        content = encode("content_encoder", params, x[0])
        pose = encode("pose_encoder", params, x[2])
        variables = {
            "params": params["decoder"],
            "batch_stats": state.autoencoder.batch_stats["decoder"],
        }
        decoded, _ = networks.decoder.apply(
            variables, content, pose, train=True, mutable=["batch_stats"]
        )
        return (
            jnp.mean((decoded - x[2]) ** 2)
            + 0.7 * jnp.mean((content.vector - target_content) ** 2)
            + 0.3 * losses.pose_confusion(logits(moved, pose, constant_pose))
        )

    total, grads = autoencoder_loss(autoencoder)
    np.testing.assert_allclose(metrics["total"], total, rtol=1e-5)
    expected = jax.tree.map(np.subtract, autoencoder, grads)
    chex.assert_trees_all_close(new.autoencoder.params, expected, atol=2e-5)
    assert int(new.step) == 1


def test_running_statistics_see_every_pass_in_order(networks, batch):
    state = tiny_state(optax.sgd(0.0))
    tx = optax.sgd(0.0)
    step = jax.jit(steps.make_drnet_step(networks, DrnetOptimizers(tx, tx), **WEIGHTS))
    new, _ = step(state, batch)
    for name, frames in (("pose_encoder", (0, 1, 2, 3)), ("content_encoder", (0, 1))):
        variables = state.autoencoder.variables(name)
        run = functools.partial(getattr(networks, name).apply, train=True, mutable=["batch_stats"])
        run = jax.jit(run)
        for i in frames:
            _, updates = run(variables, batch.frames[:, i] / np.float32(255))
            variables = variables | updates
        chex.assert_trees_all_close(
            new.autoencoder.batch_stats[name], variables["batch_stats"], atol=1e-6
        )


def test_recomputed_statistics_forget_the_statistics_of_earlier_weights(networks, batch):
    state = tiny_state(optax.sgd(0.0))
    recompute = jax.jit(batch_stats.make_recompute_step(networks))
    recomputed = state
    for _ in range(150):
        recomputed = recompute(recomputed, batch.frames)
    before, after = (
        [each.autoencoder.params, each.autoencoder.opt_state, each.discriminator, each.step]
        for each in (state, recomputed)
    )
    chex.assert_trees_all_equal(before, after)
    # Frozen statistics are now those of the batch, except that the running variance is unbiased.
    frames = batch.frames[:, 0] / np.float32(255)
    encoder = networks.content_encoder
    variables = recomputed.autoencoder.variables("content_encoder")
    running = variables["batch_stats"]["trunk"]["stage0"]["norm"]
    kernel = variables["params"]["trunk"]["stage0"]["conv"]["kernel"]
    pads, axes = ((1, 1), (1, 1)), ("NHWC", "HWIO", "NHWC")
    maps = jax.lax.conv_general_dilated(frames, kernel, (2, 2), pads, dimension_numbers=axes)
    np.testing.assert_allclose(running["mean"], np.mean(maps, (0, 1, 2)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(running["var"], np.var(maps, (0, 1, 2), ddof=1), rtol=1e-3)
    own, _ = jax.jit(functools.partial(batch_stats.train_pass, encoder))(variables, frames)
    frozen = jax.jit(functools.partial(encoder.apply, train=False))(variables, frames)
    # The last norm has six values a channel: its variances differ by a fifth.
    assert np.corrcoef(own.vector.ravel(), frozen.vector.ravel())[0, 1] > 0.99


def test_without_adversarial_weight_the_discriminator_has_no_say(networks, batch):
    tx = optax.sgd(1.0)
    state = tiny_state(tx)
    weights = dict(similarity_weight=1.0, adversarial_weight=0.0)
    step = jax.jit(steps.make_drnet_step(networks, DrnetOptimizers(tx, tx), **weights))
    other = state.replace(
        discriminator=state.discriminator.replace(
            params=jax.tree.map(lambda x: x + 1, state.discriminator.params)
        )
    )
    chex.assert_trees_all_equal(
        step(state, batch)[0].autoencoder, step(other, batch)[0].autoencoder
    )


def test_step_compiles_once(networks, batch):
    tx = optax.adam(1e-3)
    state = tiny_state(tx)
    chex.clear_trace_counter()
    step = jax.jit(
        chex.assert_max_traces(
            steps.make_drnet_step(networks, DrnetOptimizers(tx, tx), **WEIGHTS), n=1
        )
    )
    for _ in range(3):
        state, _ = step(state, batch)
    assert int(state.step) == 3


def test_two_devices_agree_with_one(networks, batch):
    # SGD: Adam turns the rounding noise of a bias under BatchNorm into a full-sized move.
    tx = optax.sgd(0.1)
    state = tiny_state(tx)
    step = jax.jit(steps.make_drnet_step(networks, DrnetOptimizers(tx, tx), **WEIGHTS))
    expected, expected_metrics = step(state, batch)
    mesh = sharding.data_mesh()
    assert mesh.size == 2
    state = jax.device_put(state, sharding.replicated(mesh))
    batch = jax.device_put(batch, sharding.batch_split(mesh))
    actual, metrics = step(state, batch)
    chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-6)
    chex.assert_trees_all_close(metrics, expected_metrics, rtol=1e-5)


def test_statistics_per_device_are_those_of_runs_with_half_the_batch(networks):
    frames = np.random.default_rng(0).integers(0, 256, (8, 4, 8, 8, 3), np.uint8)
    # Each half has its own discriminator, so it must have no say in what the autoencoder learns.
    pairs = steps.PosePairs(np.arange(8).astype(np.int32), np.ones(8, np.float32))
    whole = steps.DrnetBatch(frames, pairs)
    tx = optax.sgd(0.1)
    state, txs = tiny_state(tx), DrnetOptimizers(tx, tx)
    weights = dict(similarity_weight=0.7, adversarial_weight=0.0)
    alone = jax.jit(steps.make_drnet_step(networks, txs, **weights))
    halves = [
        alone(state, steps.DrnetBatch(frames[rows], jax.tree.map(lambda x: x[:4], pairs)))
        for rows in (slice(4), slice(4, 8))
    ]
    expected, expected_metrics = jax.tree.map(lambda a, b: (a + b) / 2, *halves)
    mesh = sharding.data_mesh()
    step = jax.jit(steps.make_drnet_step(networks, txs, **weights, per_device=mesh))
    actual, metrics = step(state, jax.device_put(whole, sharding.batch_split(mesh)))
    chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-6)
    for name in ("total", "reconstruction", "similarity", "discriminator"):
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-5)
    # Statistics of all clips are others.
    other, _ = alone(state, whole)
    weights = [each.autoencoder.params["decoder"] for each in (actual, other)]
    with pytest.raises(AssertionError):
        chex.assert_trees_all_close(*weights, rtol=1e-4, atol=1e-6)


def test_partners_on_other_devices_are_found(networks):
    half = np.random.default_rng(1).integers(0, 256, (4, 4, 8, 8, 3), np.uint8)
    pairs = steps.sample_pairs(jax.random.key(3), 8)
    assert np.any(pairs.partners // 4 != np.arange(8) // 4)
    # Both devices have the same clips, in another order, so each has the statistics of all.
    batch = steps.DrnetBatch(np.concatenate([half, half[::-1]]), pairs)
    tx, mesh = optax.sgd(0.1), sharding.data_mesh()
    state, txs = tiny_state(tx), DrnetOptimizers(tx, tx)
    expected = jax.jit(steps.make_drnet_step(networks, txs, **WEIGHTS))(state, batch)
    step = jax.jit(steps.make_drnet_step(networks, txs, **WEIGHTS, per_device=mesh))
    (actual, metrics) = step(state, jax.device_put(batch, sharding.batch_split(mesh)))
    chex.assert_trees_all_close(metrics, expected[1], rtol=1e-4)
    chex.assert_trees_all_close(
        actual.discriminator.params, expected[0].discriminator.params, rtol=1e-4, atol=1e-6
    )
    chex.assert_trees_all_close(
        actual.autoencoder.params, expected[0].autoencoder.params, rtol=1e-4, atol=1e-5
    )


def random_clips(batch_size, num_frames, lengths=None):
    rng = np.random.default_rng(3)
    poses = rng.uniform(-1, 1, (batch_size, num_frames, 3)).astype(np.float32)
    return PoseClips(poses, rng.random((batch_size, 4), np.float32), lengths)


@pytest.mark.parametrize("share", [None, 1.0, 0.0, 0.5])
def test_predictor_is_given_observed_poses_and_a_share_of_the_others(share):
    tx, key = optax.sgd(1.0), jax.random.key(1)
    predictor, state = tiny_predictor(), tiny_predictor_state(tx)
    clips = random_clips(5, 6)
    schedule = None if share is None else lambda step: share
    step = steps.make_predictor_step(predictor, tx, num_observed=3, teacher_forcing=schedule)
    new, metrics = jax.jit(step)(state, clips, key)
    given = np.ones((5, 5), bool)
    if share is not None:
        chance = jax.random.bernoulli(prng.stream(key, "teacher forcing", 0), share, (5, 5))
        given[:, 3:] = chance[:, 3:]
        assert given.all() == (share == 1)

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        carry, terms, predicted = predictor.initial_carry(5), [], jnp.zeros((5, 3))
        for t in range(5):
            pose = jnp.where(given[:, t, None], clips.poses[:, t], predicted)
            inputs = jnp.concatenate([pose, clips.content], axis=1)
            carry, predicted = predictor.apply({"params": params}, carry, inputs)
            terms.append(jnp.mean((predicted - clips.poses[:, t + 1]) ** 2))
        return sum(terms)

    params = state.predictor.params["predictor"]
    value, grads = loss(params)
    np.testing.assert_allclose(metrics["prediction"], value / 5, rtol=1e-5)
    expected = jax.tree.map(np.subtract, params, grads)
    chex.assert_trees_all_close(new.predictor.params["predictor"], expected, atol=1e-6)


def test_predictor_does_not_learn_from_poses_that_pad_a_clip():
    tx = optax.sgd(1.0)
    predictor, state = tiny_predictor(), tiny_predictor_state(tx)
    step = jax.jit(steps.make_predictor_step(predictor, tx, num_observed=2))
    lengths = np.array([5, 3, 4, 2], np.int32)
    clips = random_clips(4, 5, lengths)
    expected, _ = step(state, clips)
    padding = np.arange(5) >= lengths[:, None]
    other, _ = step(state, clips.replace(poses=np.where(padding[..., None], 0.5, clips.poses)))
    chex.assert_trees_all_equal(other, expected)
    # The same clips at full length: all errors count, as without lengths.
    full, _ = step(state, clips.replace(lengths=np.full(4, 5, np.int32)))
    plain, _ = step(state, clips.replace(lengths=None))
    chex.assert_trees_all_close(full, plain, atol=1e-6)


def test_passes_without_gradients_are_the_same_in_one_call(networks):
    variables = tiny_state(optax.identity()).autoencoder.variables("pose_encoder")
    frames = np.random.default_rng(5).random((6, 3, 8, 8, 3), np.float32)
    encode = functools.partial(batch_stats.train_passes, networks.pose_encoder)
    one_by_one = jax.jit(encode)(variables, frames)
    with pytest.MonkeyPatch.context() as patch:
        # As on TPUs and GPUs.
        patch.setattr(
            jax.lax, "platform_dependent", lambda *operands, default, **_: default(*operands)
        )
        together = jax.jit(lambda *arguments: encode(*arguments))(variables, frames)
    chex.assert_trees_all_close(one_by_one, together, rtol=1e-4, atol=1e-5)
    # `train_passes` starts every pass from the same averages; in turn, each starts from those of
    # the pass before.
    run_pass = jax.jit(functools.partial(batch_stats.train_pass, networks.pose_encoder))
    in_turn = variables
    for i in range(3):
        in_turn = in_turn | {"batch_stats": run_pass(in_turn, frames[:, i])[1]}
    joined = jax.jit(batch_stats.apply_in_turn)(variables["batch_stats"], one_by_one[1])
    chex.assert_trees_all_close(joined, in_turn["batch_stats"], rtol=1e-5, atol=1e-6)
