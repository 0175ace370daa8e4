"""Two fake devices for every test, a tiny configuration, and one run trained with it."""

import importlib.util
import pathlib

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Programs that several tests build anew are compiled once."""
    if not jax.config.jax_compilation_cache_dir:  # The environment may name a folder that lasts.
        jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("programs")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


ROOT = pathlib.Path(__file__).parent.parent


def load_config(variant: str):
    """Returns the settings of `configs/mnist.py`, as the command line loads them."""
    spec = importlib.util.spec_from_file_location("mnist", ROOT / "configs" / "mnist.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(variant)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder for prepared digits, shared by all tests."""
    return tmp_path_factory.mktemp("data")


def tiny_config(data_dir):
    """Returns settings of a run of a few seconds: 16 x 16 frames, six steps a stage."""
    config = load_config("smoke")
    config.data.update(data_dir=str(data_dir), image_size=16, digit_size=8, speeds=(-2, 2))
    config.model.update(width=2, content_dim=4, pose_dim=3, discriminator_width=8)
    config.drnet.update(batch_size=4, num_steps=6)
    config.predictor.update(batch_size=4, num_steps=6, hidden_dim=8)
    config.evaluation.update(num_clips=10, batch_size=8)
    config.rollout.update(num_clips=2, num_steps=12, frames_at_once=10)
    config.update(log_every_steps=2, sample_every_steps=3, checkpoint_every_steps=2)
    return config


@pytest.fixture
def config(data_dir):
    """Settings that a test may change."""
    return tiny_config(data_dir)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, data_dir):
    """A workdir with a finished tiny run; tests only read it, or copy it first."""
    from drnet_jax.commands import train

    workdir = tmp_path_factory.mktemp("trained")
    train.run(tiny_config(data_dir), workdir)
    return workdir
