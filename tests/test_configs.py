"""The settings that ship choose networks that fit each other and their frames."""

import functools
import importlib.util
import itertools

import jax
import jax.numpy as jnp
import pytest

from drnet_jax.models import registry
from drnet_jax.runs import checks
from tests.conftest import ROOT
from tests.helpers.networks import encode_and_decode


def load(name, *variant):
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*variant)


# What the paper uses, as recalled: encoders, decoder, frame side, content and pose dimension, beta.
PAPER = {
    "mnist": ("dcgan", "dcgan", "dcgan", 64, 128, 5, 0.1),
    "norb": ("resnet", "resnet", "dcgan", 64, 128, 10, 0.1),
    "suncg": ("resnet", "resnet", "dcgan", 64, 128, 10, 0.1),
    "kth": ("vgg_unet", "resnet", "vgg_unet", 128, 128, 24, 1e-4),
}


@pytest.mark.parametrize("name", PAPER)
def test_networks_are_the_papers_and_fit_together(name):
    config = load(name)
    model, side = config.model, config.data.image_size
    assert PAPER[name] == (
        *(model.content_encoder, model.pose_encoder, model.decoder, side),
        *(model.content_dim, model.pose_dim, config.drnet.adversarial_weight),
    )
    channels = 3 if config.data.colored else 1
    networks = registry.create_networks(
        **model, image_size=side, channels=channels, dtype=jnp.float32
    )

    frames = jax.ShapeDtypeStruct((2, side, side, channels), jnp.float32)
    run = functools.partial(encode_and_decode, networks)
    content, pose, decoded = jax.eval_shape(run, jax.random.key(0), frames)
    assert content.vector.shape == (2, 128)
    assert pose.shape == (2, model.pose_dim)
    assert decoded.shape == frames.shape


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        *itertools.product([*PAPER, "video_folder"], ["full", "quick", "smoke"]),
        ("mnist", "pde_sep"),
        ("mnist", "pde_sep_quick"),
    ],
)
def test_every_variant_is_possible(name, variant):
    config = load(name, variant)
    checks.check(config.to_dict())
    channels = 3 if config.data.colored else 1
    side = config.data.image_size
    registry.create_networks(**config.model, image_size=side, channels=channels, dtype=jnp.float32)


@pytest.mark.parametrize("name", [*PAPER, "video_folder"])
def test_unknown_variants_are_refused(name):
    with pytest.raises(ValueError, match=rf"Unknown variant 'huge' of configs/{name}.py; known: "):
        load(name, "huge")


def test_long_is_full_with_another_predictor():
    long, full = load("mnist", "long"), load("mnist")
    checks.check(long.to_dict())
    assert long.predictor.num_steps != full.predictor.num_steps
    long.predictor = full.predictor
    assert long == full
