"""A checkpoint of the authors' PyTorch code, turned into the workdir of a finished run."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import ml_collections
from etils import epath

from drnet_jax.base import checked_json, processes
from drnet_jax.base.errors import input_errors
from drnet_jax.interop import import_torch, torch_file
from drnet_jax.interop.import_torch import Imported
from drnet_jax.models.state import NetworkState
from drnet_jax.runs import environment
from drnet_jax.runs.run import Run, create_run


def run(
    config: ml_collections.ConfigDict,
    workdir: epath.PathLike,
    torch_checkpoint: epath.PathLike,
    torch_lstm: epath.PathLike | None,
) -> None:
    """Writes a workdir that looks like a finished run, from the authors' files.

    Args:
      config: the settings that a checkpoint does not hold: data, evaluation, rollouts.
      workdir: a folder that holds no run yet.
      torch_checkpoint: what the authors' `train_drnet.py` wrote.
      torch_lstm: what their `train_lstm.py` wrote, for a model that can roll out; or None.

    Raises:
      InputError: for a missing, damaged, hostile or unknown file, or a workdir in use; nothing is
        written then.
    """
    workdir = epath.Path(workdir)
    with input_errors():
        if processes.count() > 1:
            raise ValueError(f"--mode=import_torch in {processes.count()} processes; allowed: 1.")
        if (workdir / "config.json").exists():
            raise ValueError(f"--workdir={workdir} holds a run already; allowed: a new folder.")
        imported = _read(torch_checkpoint, torch_lstm)
        run = create_run(_settings(config, imported), workdir)
    _write(run, imported, torch_checkpoint)


def _read(torch_checkpoint: epath.PathLike, torch_lstm: epath.PathLike | None) -> Imported:
    content = torch_file.load(torch_checkpoint)
    if torch_lstm:
        content = _with_lstm(content, torch_file.load(torch_lstm), torch_lstm)
    try:
        return import_torch.convert(content)
    except ValueError as error:
        raise ValueError(f"{torch_checkpoint}: {error}") from None


def _with_lstm(content: Any, lstm: Any, path: epath.PathLike) -> dict[str, Any]:
    if not isinstance(lstm, Mapping) or "lstm" not in lstm:
        raise ValueError(f"{path} holds no 'lstm'; is it what train_lstm.py wrote?")
    return {**content, "lstm": lstm["lstm"]}


def _settings(config: ml_collections.ConfigDict, imported: Imported) -> ml_collections.ConfigDict:
    """Returns `config` with the architecture, sizes and options of the imported model."""
    config = ml_collections.ConfigDict(config.to_dict())
    model = dict(imported.model)
    image_size, channels = model.pop("image_size"), model.pop("channels")
    config.data.update(image_size=image_size, colored=channels == 3)
    if "digit_size" in config.data:
        config.data.digit_size = image_size // 2
    config.model.update(model)
    predictor = imported.predictor or {"hidden_dim": 0}
    config.predictor.update({k: v for k, v in predictor.items() if k in config.predictor})
    return config


def _write(run: Run, imported: Imported, source: epath.PathLike) -> None:
    """Writes settings, environment and checkpoints; config.json last, since it makes it a run."""
    drnet = run.init_drnet()
    config = run.config
    # The steps say that training is over, whatever their number was in the authors' code.
    drnet = drnet.replace(
        step=jnp.full_like(drnet.step, config.drnet.num_steps),
        autoencoder=_with_variables(drnet.autoencoder, imported),
        discriminator=_with_variables(drnet.discriminator, imported),
    )
    with run.checkpoints("drnet") as checkpoints:
        checkpoints.save(config.drnet.num_steps, drnet)
    if run.predictor is not None:
        state = run.init_predictor()
        state = state.replace(
            step=jnp.full_like(state.step, config.predictor.num_steps),
            predictor=_with_variables(state.predictor, imported),
        )
        with run.checkpoints("predictor") as checkpoints:
            checkpoints.save(config.predictor.num_steps, state)
    note = f"imported from {epath.Path(source).name}; {run.source.note}"
    checked_json.write(run.workdir / "environment.json", environment.describe(note))
    checked_json.write(run.workdir / "config.json", config.to_dict())
    names = ", ".join(sorted(imported.variables))
    print(f"Imported {names} into {run.workdir}.")


def _with_variables(state: NetworkState, imported: Imported) -> NetworkState:
    """Returns `state` with the imported arrays of its networks."""
    variables = {name: imported.variables[name] for name in state.params}
    return state.replace(
        params={name: v["params"] for name, v in variables.items()},
        batch_stats={name: v.get("batch_stats", {}) for name, v in variables.items()},
    )
