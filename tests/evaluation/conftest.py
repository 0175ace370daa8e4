"""Runs that the tests of evaluation share; nothing changes them."""

import pytest

from drnet_jax.runs.run import create_run
from experiments.shared import variations
from tests.conftest import tiny_config
from tests.helpers.finished import people_config


@pytest.fixture(scope="session")
def tiny_run(trained, data_dir):
    """The finished tiny run of Moving MNIST, and the states of both its stages."""
    run = create_run(tiny_config(data_dir), trained)
    return run, *run.restore()


def untrained(config, workdir):
    """Returns an untrained run of people, whose actions have labels, and its states."""
    config.evaluation.update(num_clips=30, rollout_steps=9)
    run = create_run(config, workdir)
    return run, run.init_drnet(), run.init_predictor()


@pytest.fixture(scope="session")
def people(data_dir, tmp_path_factory):
    """DrNET."""
    return untrained(people_config(data_dir), tmp_path_factory.mktemp("kth"))


@pytest.fixture(scope="session")
def autoencoder(data_dir, tmp_path_factory):
    """The baseline with one encoder."""
    config = people_config(data_dir)
    variations.one_encoder(config)
    return untrained(config, tmp_path_factory.mktemp("kth_one_encoder"))
