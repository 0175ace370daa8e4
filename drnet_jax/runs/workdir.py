"""A run's folder: the settings stored in it, and how far it has come."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from drnet_jax.base import checked_json
from drnet_jax.data import registry
from drnet_jax.runs import defaults, renamed

STAGES = ("drnet", "predictor")


def stored_settings(workdir: epath.PathLike) -> dict[str, Any] | None:
    """Returns the settings that `workdir` was made with, or None for a new folder.

    Settings that are newer than the run are filled in; none of them changes what was learned.

    Raises:
      ValueError: for a damaged `config.json`.
    """
    path = epath.Path(workdir) / "config.json"
    try:
        stored = renamed.present_settings(checked_json.read(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    today = defaults.settings().to_dict()
    sections = ("drnet", "predictor", "evaluation", "rollout")
    added = {name: today[name] | stored.get(name, {}) for name in sections}
    for name in ("steps_at_once", "on_nan", "max_rollbacks", "rollback_learning_rate"):
        added[name] = stored.get(name, today[name])
    return stored | added | {"data": complete_data(stored["data"])}


def complete_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `config.data` of any version with what was done before there were such settings."""
    added = {"consecutive": False}
    if data["name"] == registry.MOVING_MNIST:
        added |= {"validation": False, "motion": "clamp", "blending": "occlude"}
    if data["name"] == "video_folder":
        added |= {"background": "white", "bits": 16}
    return added | dict(data)


def trained_settings(workdir: epath.PathLike) -> dict[str, Any]:
    """Returns the settings of a run that has checkpoints of all its stages.

    Raises:
      FileNotFoundError: when `workdir` holds no such run.
      ValueError: for a damaged `config.json`.
    """
    workdir = epath.Path(workdir)
    stored = stored_settings(workdir)
    if stored is None:
        raise FileNotFoundError(f"No config.json in {workdir}: nothing has been trained there.")
    for stage in STAGES:
        absent = stage == "predictor" and not stored["predictor"]["hidden_dim"]
        if not absent and not checkpoint_folder(workdir, stage).exists():
            raise FileNotFoundError(
                f"No checkpoint of stage {stage!r} in {workdir}; train it with --mode=train first."
            )
    return stored


def checkpoint_folder(workdir: epath.PathLike, stage: str) -> epath.Path:
    """Returns the folder of the checkpoints of `stage`, one of `STAGES`."""
    return epath.Path(workdir) / "checkpoints" / stage


def saved_steps(workdir: epath.PathLike, stage: str) -> list[int]:
    """Returns the steps of all complete checkpoints of `stage`, ascending."""
    folder = checkpoint_folder(workdir, stage)
    if not folder.exists():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def is_finished(workdir: epath.PathLike) -> bool:
    """Returns whether training, scores, rollouts and report are all there."""
    # The report is written last, and atomically.
    return (epath.Path(workdir) / "report.html").exists()
