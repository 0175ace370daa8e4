"""One run: its settings and folder, and the networks, optimizers and data built from them."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from absl import logging
from etils import epath

from drnet_jax.base import prng, processes, sharding, stopping
from drnet_jax.base.arrays import Tree
from drnet_jax.data import registry
from drnet_jax.data.source import Source
from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.registry import Networks, create_networks
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs import checks, environment, extension, renamed
from drnet_jax.runs.checkpoint import Checkpoints
from drnet_jax.runs.rollbacks import Rollback
from drnet_jax.runs.workdir import (
    STAGES,
    checkpoint_folder,
    complete_data,
    stored_settings,
    trained_settings,
)
from drnet_jax.training.init import (
    abstract_on_all_devices,
    init_drnet,
    init_predictor,
    on_all_devices,
)
from drnet_jax.training.optim import DrnetOptimizers, make_adam


@dataclasses.dataclass(frozen=True, eq=False)  # Hashed by identity, for caches.
class Run:
    """Everything that a command works with.

    Attributes:
      config: the settings; what was left open, as `auto`, has been decided.
      workdir: the run's folder; it may not exist yet.
      mesh: all devices.
      key: root of all random streams.
      networks: encoders, decoder, discriminator.
      predictor: the pose LSTM; None in a model that was imported without one.
      source: the data; None where only the model is needed.
    """

    config: ml_collections.FrozenConfigDict
    workdir: epath.Path
    mesh: jax.sharding.Mesh
    key: jax.Array
    networks: Networks
    predictor: PoseLSTM | None
    source: Source | None

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a frame."""
        data = self.config.data
        return data.image_size, data.image_size, _num_channels(data)

    @functools.cached_property
    def drnet_txs(self) -> DrnetOptimizers:
        """Optimizers of the first stage: the same for both sides, with a state each."""
        tx = _make_adam(self.config.drnet)
        return DrnetOptimizers(autoencoder=tx, discriminator=tx)

    @functools.cached_property
    def predictor_tx(self) -> optax.GradientTransformation:
        """Optimizer of the pose LSTM."""
        config = self.config.predictor
        return _make_adam(config, beta2=config.beta2, max_grad_norm=config.max_grad_norm)

    def init_drnet(self) -> DrnetState:
        """Returns the first stage's state at step 0, a copy on every device."""
        return on_all_devices(self._init_drnet, self.key, self.mesh)

    def init_predictor(self) -> PredictorState:
        """Returns the second stage's state at step 0, a copy on every device."""
        return on_all_devices(self._init_predictor, self.key, self.mesh)

    def _init_drnet(self, key: jax.Array) -> DrnetState:
        return init_drnet(self.networks, self.drnet_txs, key, self.frame_shape)

    def _init_predictor(self, key: jax.Array) -> PredictorState:
        model = self.config.model
        input_dim = model.pose_dim + model.content_dim
        return init_predictor(self.predictor, self.predictor_tx, key, input_dim)

    def variables(self, drnet: DrnetState, predictor: PredictorState | None) -> dict[str, Tree]:
        """Returns `params` and `batch_stats` of each network, by its name."""
        states = [drnet.autoencoder, drnet.discriminator]
        states += [predictor.predictor] if predictor else []
        return {name: state.variables(name) for state in states for name in state.params}

    def abstract_variables(self) -> dict[str, Tree]:
        """Returns `variables` with `jax.ShapeDtypeStruct` in place of arrays."""
        drnet = jax.eval_shape(self._init_drnet, self.key)
        predictor = jax.eval_shape(self._init_predictor, self.key) if self.predictor else None
        return self.variables(drnet, predictor)

    def after(self, rollbacks: Sequence[Rollback]) -> "Run":
        """Returns what a stage is trained with after all its `rollbacks`."""
        if not rollbacks:
            return self
        number, config = len(rollbacks), self.config.to_dict()
        config[rollbacks[0].stage]["learning_rate"] *= math.prod(r.factor for r in rollbacks)
        return dataclasses.replace(
            self,
            config=ml_collections.FrozenConfigDict(config),
            key=prng.stream(self.key, "reordered", number),
            source=self.source.reordered(number),
        )

    def checkpoints(self, stage: str, *, read_only: bool = False) -> Checkpoints:
        """Returns the checkpoints of `stage`, one of `STAGES`; makes their folder to write."""
        folder = checkpoint_folder(self.workdir, stage)
        return Checkpoints(folder, self.config.keep_checkpoints, read_only=read_only)

    def restore_stage(
        self, stage: str, *, read_only: bool = False
    ) -> DrnetState | PredictorState | None:
        """Returns the newest state of `stage`, a copy on every device; None without checkpoints.

        Raises:
          ValueError: when a checkpoint is of another architecture.
        """
        init = {"drnet": self._init_drnet, "predictor": self._init_predictor}[stage]
        # Shapes are enough to restore, and nothing has to be compiled for them.
        like = abstract_on_all_devices(init, self.key, self.mesh)
        with self.checkpoints(stage, read_only=read_only) as checkpoints:
            return checkpoints.restore(like)

    def restore(self) -> tuple[DrnetState, PredictorState | None]:
        """Returns the newest states of both stages, on one device, to compute with.

        The second is None without a predictor.

        Raises:
          FileNotFoundError: when a stage has no checkpoint.
          ValueError: when a checkpoint is of another architecture.
        """
        states = [None, None]
        for i, stage in enumerate(STAGES if self.predictor else STAGES[:1]):
            states[i] = self.restore_stage(stage, read_only=True)
            if states[i] is None:
                folder = checkpoint_folder(self.workdir, stage)
                raise FileNotFoundError(
                    f"No checkpoint in {folder}; train with --mode=train first."
                )
            if states[i].step < self.config[stage].num_steps:
                logging.warning("Stage %s is only at step %d, not finished.", stage, states[i].step)
        return sharding.on_first_device(tuple(states))


def create_run(
    config: ml_collections.ConfigDict,
    workdir: epath.PathLike,
    *,
    with_data: bool = True,
    extend: bool = False,
) -> Run:
    """Builds a run after checking everything that can be checked; writes nothing to `workdir`.

    With `extend`, its stages may have more steps than the run in `workdir`, if that can go on.

    Raises:
      ValueError: for impossible settings, or a workdir of another run; also if processes have
        different settings, versions, data or workdirs.
      OSError: for missing or unreadable data, or a workdir that cannot be used.
    """
    settings = renamed.present_settings(config.to_dict())
    settings["data"] = complete_data(settings["data"])
    config = ml_collections.ConfigDict(settings)
    checks.check(config.to_dict())
    workdir = epath.Path(workdir)
    _check_processes(config, workdir)
    stored = stored_settings(workdir)
    if stored is not None:
        _continue_run(config, stored, workdir, extend)
    elif extend:
        raise ValueError(f"--extend needs a run to extend, and there is none in {workdir}.")
    config.dtype = computation_dtype(config.dtype)
    mesh = sharding.data_mesh()
    for stage in STAGES:
        batch_size = config[stage].batch_size
        sharding.check_batch_size(f"config.{stage}.batch_size", batch_size, mesh)
    if config.drnet.batch_stats == "per_device":
        sharding.check_share("config.drnet.batch_size", config.drnet.batch_size, mesh)
    networks, predictor = build_networks(config, config.dtype)
    source = None
    if with_data:
        source = processes.in_turn(
            epath.Path(config.data.data_dir).expanduser(),
            lambda: _open_source(config, mesh, stored, workdir),
        )
        processes.agree({f"config.data.{n}": value for n, value in source.resolved.items()})
    return Run(
        config=ml_collections.FrozenConfigDict(config),
        workdir=workdir,
        mesh=mesh,
        key=prng.root(config.seed),
        networks=networks,
        predictor=predictor,
        source=source,
    )


def open_trained(
    config: ml_collections.ConfigDict, workdir: epath.PathLike, *, with_data: bool = True
) -> tuple[Run, DrnetState, PredictorState | None]:
    """Returns a trained run and its newest states; the second is None without a predictor.

    Raises:
      FileNotFoundError: when `workdir` holds no run, or no checkpoint of a stage.
      ValueError, OSError: as `create_run` and `Run.restore` do.
    """
    trained_settings(workdir)  # Raises before the data are opened, which may take minutes.
    run = create_run(config, workdir, with_data=with_data)
    return run, *run.restore()


def computation_dtype(dtype: str) -> str:
    """Returns what `config.dtype` stands for: `auto` is bfloat16 on TPUs and GPUs, else float32.

    NVIDIA cards before Ampere have no matrix units for bfloat16; set float32 there.
    """
    if dtype != "auto":
        return dtype
    return "float32" if jax.default_backend() == "cpu" else "bfloat16"


def build_networks(
    config: ml_collections.ConfigDict | ml_collections.FrozenConfigDict, dtype: str
) -> tuple[Networks, PoseLSTM | None]:
    """Returns the networks and the predictor, None without one, that `config` describes.

    `dtype` is what they compute in, in place of `config.dtype`.
    """
    networks = create_networks(
        **config.model,
        image_size=config.data.image_size,
        channels=_num_channels(config.data),
        dtype=jnp.dtype(dtype),
    )
    if not config.predictor.hidden_dim:
        return networks, None
    return networks, PoseLSTM(
        pose_dim=config.model.pose_dim,
        hidden_dim=config.predictor.hidden_dim,
        num_layers=config.predictor.num_layers,
        normalize=config.model.normalize,
        dtype=jnp.dtype(dtype),
        use_content=config.predictor.use_content,
        residual=config.predictor.residual,
    )


def _check_processes(config: ml_collections.ConfigDict, workdir: epath.Path) -> None:
    """Raises ValueError unless all processes have the same settings, versions and workdir."""
    settings = {f"config.{name}": value for name, value in checks.flatten(config.to_dict()).items()}
    processes.agree(settings | {"--workdir": str(workdir)} | environment.versions())
    if not processes.sees_folder_of_first(workdir):
        raise ValueError(
            f"--workdir={workdir} is another folder here than in process 0; with several processes "
            "it must be on a shared disk or in a bucket (gs://...)."
        )


def _continue_run(
    config: ml_collections.ConfigDict, stored: dict[str, Any], workdir: epath.Path, extend: bool
) -> None:
    """Checks that `config` is of the run in `workdir`, which decides the settings left open."""
    given = config.to_dict()
    lengthened = extension.lengthened(stored, given)
    difference = checks.difference(lengthened if extend else stored, given)
    if difference:
        only_longer = checks.difference(lengthened, given) is None
        hint = "; --extend trains it on to more steps" if only_longer else ""
        raise ValueError(f"{workdir} is the workdir of another run: {difference}{hint}.")
    if extend:
        extension.check(stored, given, workdir)
    known = checks.flatten(stored)
    config.update_from_flattened_dict({name: known[name] for name in checks.OPEN.keys() & known})


def _open_source(
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh,
    stored: dict[str, Any] | None,
    workdir: epath.Path,
) -> Source:
    """Opens the data and writes what they turned out to be into `config.data`."""
    stopping.doing("opening the data")
    source = registry.open_source(config.data, config.seed, mesh)
    checks.check_lengths(config, source)
    for name, value in source.resolved.items():
        if stored is not None and stored["data"][name] != value:
            raise ValueError(
                f"The data have changed since {workdir} was trained: config.data.{name} was "
                f"{stored['data'][name]!r} and is {value!r} now."
            )
    config.data.update(source.resolved)
    return source


def _num_channels(data: ml_collections.ConfigDict) -> int:
    return 3 if data.colored else 1


def _make_adam(stage: ml_collections.ConfigDict, **options: float) -> optax.GradientTransformation:
    return make_adam(
        stage.learning_rate,
        beta1=stage.beta1,
        schedule=stage.schedule,
        warmup_steps=stage.warmup_steps,
        num_steps=stage.num_steps,
        **options,
    )
