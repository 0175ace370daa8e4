"""Runs of people with networks that learned nothing, for figures that need no scores of theirs."""

import pytest
from test_experiments import people_config

from drnet_jax import api
from drnet_jax import run as run_lib
from experiments import runs, variations


def untrained(config, workdir):
    """Returns a run that nobody has trained."""
    run = run_lib.create(config, workdir)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_lib.Run, "restore", lambda run: (run.init_drnet(), run.init_predictor()))
        return runs.Trained(run, api.Model(run))


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
