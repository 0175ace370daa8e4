"""The settings of a run that exists: `--config=configs/stored.py:runs/quick`.

The modes `evaluate` and `generate` take these when no `--config` is given.
"""

import json

import ml_collections
from etils import epath


def get_config(workdir: str) -> ml_collections.ConfigDict:
    """Returns the settings in `workdir`/config.json."""
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise FileNotFoundError(f"No config.json in {workdir}: nothing has been trained there.")
    return ml_collections.ConfigDict(json.loads(path.read_text()))
