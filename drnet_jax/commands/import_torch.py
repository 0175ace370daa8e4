"""A checkpoint of the authors' PyTorch code, turned into the workdir of a finished run."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import ml_collections
from etils import epath

from drnet_jax.interop import import_torch, torch_file
from drnet_jax.interop.import_torch import Imported
from drnet_jax.models.state import NetworkState
from drnet_jax.runs import environment
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import run as run_lib
from drnet_jax.runs.run import Run


def prepare(
    config: ml_collections.ConfigDict,
    workdir: epath.PathLike,
    torch_checkpoint: epath.PathLike,
    torch_lstm: epath.PathLike | None,
) -> Callable[[], None]:
    """Returns the import, the files read and all their tensors checked, ready to be called.

    Args:
      config: settings that no checkpoint holds: data, evaluation, rollouts.
      workdir: a folder that holds no run yet.
      torch_checkpoint: what the authors' `train_drnet.py` wrote.
      torch_lstm: what their `train_lstm.py` wrote, for models that are to roll out; or None.

    Raises:
      ValueError: for a damaged, hostile or unknown file, or a workdir in use; nothing is written.
      OSError: for a file that is not there.
    """
    workdir = epath.Path(workdir)
    if (workdir / "config.json").exists():
        raise ValueError(f"--workdir={workdir} holds a run already; allowed: a new folder.")
    content = torch_file.load(torch_checkpoint)
    if torch_lstm:
        content = _with_lstm(content, torch_file.load(torch_lstm), torch_lstm)
    try:
        imported = import_torch.convert(content)
    except ValueError as error:
        raise ValueError(f"{torch_checkpoint}: {error}") from None
    run = run_lib.create(_settings(config, imported), workdir)
    return functools.partial(_write, run, imported, torch_checkpoint)


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
    # Its training is over: the steps say so, whatever they were.
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
    writer.write_json(run.workdir / "environment.json", environment.describe(note))
    writer.write_json(run.workdir / "config.json", config.to_dict())
    names = ", ".join(sorted(imported.variables))
    print(f"Imported {names} into {run.workdir}.")


def _with_variables(player: NetworkState, imported: Imported) -> NetworkState:
    """Returns `player` with the imported arrays of its networks."""
    variables = {name: imported.variables[name] for name in player.params}
    return player.replace(
        params={name: v["params"] for name, v in variables.items()},
        batch_stats={name: v.get("batch_stats", {}) for name, v in variables.items()},
    )
