"""Shapes, dtypes, names and errors of the networks; the golden files hold their numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.models.content import Content
from drnet_jax.models.pose_lstm import PoseLSTM
from tests.helpers.networks import create_networks, draw_variables

FAMILIES = [
    ("dcgan", "dcgan", "dcgan"),
    ("dcgan_unet", "resnet", "dcgan_unet"),
    ("vgg_unet", "resnet", "vgg_unet"),
    ("resnet", "dcgan", "dcgan"),
]


def create_predictor(**changes):
    sizes = {"pose_dim": 2, "hidden_dim": 3, "num_layers": 2, "normalize": False}
    return PoseLSTM(**(sizes | {"dtype": jnp.float32} | changes))


def shapes_of(networks, batch, side):
    """Returns abstract outputs of a whole pass, without computing it."""

    def run(key, frames):
        content, _ = networks.content_encoder.init_with_output(key, frames, train=True)
        pose, _ = networks.pose_encoder.init_with_output(key, frames, train=True)
        decoded, _ = networks.decoder.init_with_output(key, content, pose, train=True)
        logits, _ = networks.discriminator.init_with_output(key, pose, pose)
        return content, pose, decoded, logits

    return jax.eval_shape(run, jax.random.key(0), jnp.zeros((batch, side, side, 2)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("side", [16, 32, 64, 128])
@pytest.mark.parametrize("names", FAMILIES, ids=lambda names: names[0])
def test_shapes_and_dtypes(names, side, dtype):
    kinds = dict(zip(("content_encoder", "pose_encoder", "decoder"), names, strict=True))
    networks = create_networks(**kinds, image_size=side, dtype=dtype)
    content, pose, decoded, logits = shapes_of(networks, 3, side)
    outputs = (content.vector, pose, decoded, logits)
    assert [x.shape for x in outputs] == [(3, 6), (3, 3), (3, side, side, 2), (3,)]
    # Whatever is computed in between, what leaves a network is wide.
    assert all(x.dtype == jnp.float32 for x in outputs)
    assert len(content.skips) == (side.bit_length() - 3 if "unet" in names[0] else 0)
    assert all(skip.dtype == dtype for skip in content.skips)


def test_widths_follow_the_paper():
    networks = create_networks(image_size=128, width=64)
    key, frames = jax.random.key(0), jnp.zeros((1, 128, 128, 2))
    init = functools.partial(networks.content_encoder.init, train=False)
    params = jax.eval_shape(init, key, frames)["params"]["trunk"]
    kernels = [params[f"stage{stage}"]["conv"]["kernel"].shape for stage in range(5)]
    assert [shape[3] for shape in kernels] == [64, 128, 256, 512, 512]
    assert all(shape[:2] == (4, 4) for shape in kernels)


def test_no_bias_in_front_of_a_norm():
    networks = create_networks(
        content_encoder="vgg_unet", decoder="vgg_unet", pose_encoder="resnet"
    )
    frames = jnp.zeros((1, 16, 16, 2))
    for module in (networks.content_encoder, networks.pose_encoder):
        init = functools.partial(module.init, train=False)
        variables = jax.eval_shape(init, jax.random.key(0), frames)
        paths = jax.tree_util.tree_leaves_with_path(variables["params"])
        names = [jax.tree_util.keystr(path) for path, _ in paths]
        assert not [name for name in names if name.endswith("['conv']['bias']")]


def test_frozen_statistics_make_clips_independent():
    networks = create_networks()
    frames = jax.random.uniform(jax.random.key(1), (4, 16, 16, 2))
    variables = draw_variables(networks.pose_encoder, frames, train=False)
    apply = jax.jit(functools.partial(networks.pose_encoder.apply, variables, train=False))
    together, alone = apply(frames), apply(frames[:1])
    np.testing.assert_allclose(together[:1], alone, atol=1e-6)


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_normalized_poses_have_unit_length(name):
    networks = create_networks(pose_encoder=name, normalize=True)
    frames = jax.random.uniform(jax.random.key(1), (4, 16, 16, 2))
    variables = draw_variables(networks.pose_encoder, frames, train=False)
    poses = jax.jit(functools.partial(networks.pose_encoder.apply, train=False))(variables, frames)
    np.testing.assert_allclose(np.linalg.norm(poses, axis=-1), 1, rtol=1e-5)


def test_discriminator_is_not_symmetric():
    networks = create_networks()
    poses = jax.random.normal(jax.random.key(1), (2, 4, 3))
    variables = draw_variables(networks.discriminator, *poses)
    apply = jax.jit(networks.discriminator.apply)
    forth, back = apply(variables, poses[0], poses[1]), apply(variables, poses[1], poses[0])
    assert np.all(forth != back)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("use_content", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_lstm_steps_like_numpy(use_content, residual):
    module = create_predictor(use_content=use_content, residual=residual)
    inputs = jnp.tanh(jax.random.normal(jax.random.key(1), (4, 7)))
    carry = module.initial_carry(4)
    variables = draw_variables(module, carry, inputs)
    params = jax.tree.map(np.asarray, variables["params"])
    poses, states = np.asarray(inputs[:, :2]), []
    x = np.asarray(inputs) if use_content else poses
    x = x @ params["embed"]["kernel"] + params["embed"]["bias"]
    for layer in range(2):
        cell = params[f"cell{layer}"]
        gates = x @ cell["kernel_input"] + cell["bias_input"] + cell["bias_hidden"]
        enter, _, candidate, leave = np.split(gates, 4, axis=-1)
        memory = sigmoid(enter) * np.tanh(candidate)
        x = sigmoid(leave) * np.tanh(memory)
        states.append((x, memory))
    x = x @ params["output"]["kernel"] + params["output"]["bias"]
    expected = np.tanh(x + np.arctanh(poses) if residual else x)
    found_states, found = jax.jit(module.apply)(variables, carry, inputs)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found_states, tuple(states)
    )


def test_poses_at_their_bound_may_change():
    module = create_predictor(use_content=False, residual=True)
    carry, inputs = module.initial_carry(1), jnp.array([[1.0, -1.0]])
    variables = draw_variables(module, carry, inputs)
    _, pose = jax.jit(module.apply)(variables, carry, inputs)
    assert np.all(np.abs(pose) < 1) and np.all(np.sign(pose) == np.sign(inputs))


def test_lstm_over_time_equals_its_steps():
    module = create_predictor(normalize=True)
    inputs = jax.random.normal(jax.random.key(1), (4, 20, 7))
    carry = module.initial_carry(4)
    variables = draw_variables(module, carry, inputs[:, 0])
    last, found = jax.jit(module.apply)(variables, carry, inputs)
    step, expected = jax.jit(module.apply), []
    for t in range(20):
        carry, pose = step(variables, carry, inputs[:, t])
        expected.append(pose)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), last, carry)


def test_lstm_memory_stays_wide():
    module = create_predictor(num_layers=1, normalize=True, dtype=jnp.bfloat16)
    carry, inputs = module.initial_carry(4), jnp.ones((4, 7))
    carry, pose = jax.jit(module.apply)(draw_variables(module, carry, inputs), carry, inputs)
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} == {jnp.dtype(jnp.float32)}
    assert pose.dtype == jnp.float32
    np.testing.assert_allclose(np.linalg.norm(pose, axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"content_encoder": "vgg"}, "Unknown content encoder 'vgg'; known: attention, dcgan, "),
        (
            {"pose_encoder": "vgg_unet"},
            "Unknown pose encoder 'vgg_unet'; known: attention, dcgan, resnet, slots.",
        ),
        ({"decoder": "resnet"}, "Unknown decoder 'resnet'; known: attention, dcgan, dcgan_unet, "),
        ({"decoder": "dcgan_unet"}, "content encoder 'dcgan'; allowed: attention, dcgan, slots."),
        ({"content_encoder": "vgg_unet"}, "content encoder 'vgg_unet'; allowed: vgg_unet."),
        ({"content_dim": 0}, "content_dim=0 with content encoder 'dcgan'; allowed: above 0."),
        ({"content_encoder": "none"}, "content_dim=6 with content encoder 'none'; allowed: 0."),
        (
            {"content_encoder": "none", "content_dim": 0, "decoder": "attention"},
            "Decoder 'attention' without content; allowed: dcgan.",
        ),
        ({"image_size": 48}, "Impossible image_size 48; allowed: 4 times a power of two"),
        ({"image_size": 4}, "Impossible image_size 4; allowed: 4 times a power of two"),
        ({"image_size": 0}, "Impossible image_size 0; allowed: 4 times a power of two"),
        ({"image_size": 8, "pose_encoder": "resnet"}, "Impossible image_size 8 for a resnet; "),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError) as error:
        create_networks(**settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_frames_are_named():
    networks = create_networks()
    with pytest.raises(ValueError, match=r"Expected frames \[batch, 16, 16, channels\], got"):
        networks.pose_encoder.init(jax.random.key(0), jnp.zeros((1, 32, 32, 2)), train=False)


def test_missing_skips_are_named():
    networks = create_networks(content_encoder="dcgan_unet", decoder="dcgan_unet")
    content = Content(jnp.zeros((1, 6)))
    with pytest.raises(ValueError, match=r"Expected content with 2 skips, got 0\."):
        networks.decoder.init(jax.random.key(0), content, jnp.zeros((1, 3)), train=False)
