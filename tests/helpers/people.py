"""Runs of people, whose motion has a name, with networks that learned nothing."""

import pytest

from drnet_jax.runs import run as run_lib
from experiments.shared import variations
from tests.helpers import finished


def people_config(data_dir):
    """Returns the settings of a run of people, whose clips end."""
    config = finished.tiny("kth", data_dir)
    config.data.stand_in.update(num_people=2, clip_length=30)
    return config


def untrained(config, workdir):
    """Returns an untrained run, and the states of both its stages."""
    config.evaluation.update(num_clips=30, rollout_steps=9)
    run = run_lib.create_run(config, workdir)
    return run, run.init_drnet(), run.init_predictor()


@pytest.fixture(scope="module")
def people(data_dir, tmp_path_factory):
    """DrNET."""
    return untrained(people_config(data_dir), tmp_path_factory.mktemp("kth"))


@pytest.fixture(scope="module")
def autoencoder(data_dir, tmp_path_factory):
    """The baseline with one encoder."""
    config = people_config(data_dir)
    variations.one_encoder(config)
    return untrained(config, tmp_path_factory.mktemp("kth_one_encoder"))


def finish_both(data_dir, folder, record, baseline):
    """Returns finished runs of DrNET and of the baseline in `folder`, with the given scores."""
    config = people_config(data_dir)
    own = finished.finish(config, folder / "kth", record)
    variations.one_encoder(config)
    return own, finished.finish(config, folder / "kth_one_encoder", baseline)
