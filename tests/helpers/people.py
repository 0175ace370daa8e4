"""Runs of people, whose motion has a name, with networks that learned nothing."""

import pytest

from drnet_jax.runs import run as run_lib
from experiments.shared import variations
from tests.experiments.test_experiments import people_config


def untrained(config, workdir):
    """Returns a run that nobody has trained, and the states of both its stages."""
    config.evaluation.update(num_clips=30, rollout_steps=9)
    run = run_lib.create_run(config, workdir)
    return run, run.init_drnet(), run.init_predictor()


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """DrNET."""
    return untrained(people_config(tmp_path_factory), tmp_path_factory.mktemp("kth"))


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    """The baseline with one encoder."""
    config = people_config(tmp_path_factory)
    variations.one_encoder(config)
    return untrained(config, tmp_path_factory.mktemp("kth_one_encoder"))


def finish_both(finish, tmp_path_factory, record, baseline):
    """Returns finished runs of both, by `finished.finish`, with scores that are given."""
    folder = tmp_path_factory.mktemp("scored_people")
    config = people_config(tmp_path_factory)
    own = finish(config, folder / "kth", record)
    variations.one_encoder(config)
    return own, finish(config, folder / "kth_one_encoder", baseline)
