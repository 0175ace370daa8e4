"""The settings of a run that exists: `--config=configs/stored.py:runs/quick`.

The modes `evaluate` and `generate` take these when no `--config` is given.
"""

import ml_collections
from etils import epath

from drnet_jax.runs import run


def get_config(workdir: str) -> ml_collections.ConfigDict:
    """Returns the settings in `workdir`/config.json."""
    stored = run.stored_config(epath.Path(workdir))
    if stored is None:
        raise FileNotFoundError(f"No config.json in {workdir}: nothing has been trained there.")
    return ml_collections.ConfigDict(stored)
