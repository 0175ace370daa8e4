"""Runs of people, whose actions have labels."""

from experiments.shared import variations
from tests.helpers import finished


def people_config(data_dir):
    """Returns the settings of a run of people, whose clips end."""
    config = finished.tiny("kth", data_dir)
    config.data.stand_in.update(num_people=2, clip_length=30)
    return config


def finish_both(data_dir, folder, record, baseline):
    """Returns finished runs of DrNET and of the baseline in `folder`, with the given scores."""
    config = people_config(data_dir)
    own = finished.finish(config, folder / "kth", record)
    variations.one_encoder(config)
    return own, finished.finish(config, folder / "kth_one_encoder", baseline)
