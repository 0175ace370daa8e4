"""One run: its settings, its folder, and the networks, data and states built from them."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import ml_collections
import optax
from absl import logging
from etils import epath

from drnet_jax.base import prng, sharding
from drnet_jax.data import registry
from drnet_jax.data.source import Source
from drnet_jax.evaluation import metrics
from drnet_jax.models import registry as build
from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.state import DrnetState, NetworkState, PredictorState, first_step
from drnet_jax.runs import checks as settings
from drnet_jax.runs import defaults, renamed
from drnet_jax.runs.checkpoint import Checkpoints
from drnet_jax.training import optim

State = TypeVar("State")

STAGES = ("drnet", "predictor")


@dataclasses.dataclass(frozen=True, eq=False)  # By identity, so that programs are kept per run.
class Run:
    """Everything that a mode works with.

    Attributes:
      config: the settings; of the data, those left open are as they turned out.
      workdir: the run's folder; may not exist yet.
      mesh: all devices.
      key: root of all random streams.
      networks: encoders, decoder, discriminator.
      predictor: the pose LSTM; None in a model that was imported without one.
      source: the data; None where only a model is wanted.
    """

    config: ml_collections.ConfigDict
    workdir: epath.Path
    mesh: jax.sharding.Mesh
    key: jax.Array
    networks: build.Networks
    predictor: PoseLSTM | None
    source: Source | None

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a frame."""
        return _frame_shape(self.config.data)

    @functools.cached_property
    def main_tx(self) -> optax.GradientTransformation:
        """Optimizer of encoders and decoder."""
        return _make_adam(self.config.drnet)

    @functools.cached_property
    def discriminator_tx(self) -> optax.GradientTransformation:
        """Optimizer of the scene discriminator."""
        return _make_adam(self.config.drnet)

    @functools.cached_property
    def predictor_tx(self) -> optax.GradientTransformation:
        """Optimizer of the pose LSTM."""
        return _make_adam(self.config.predictor)

    def init_drnet(self) -> DrnetState:
        """Returns the first stage's state at step 0, a copy on every device."""

        def init(key: jax.Array) -> DrnetState:
            keys = {
                name: prng.stream(key, f"init {name}")
                for name in ("content_encoder", "pose_encoder", "decoder", "discriminator")
            }
            frames = jnp.zeros((2, *self.frame_shape))
            nets, autoencoder = self.networks, {}
            content, autoencoder["content_encoder"] = nets.content_encoder.init_with_output(
                keys["content_encoder"], frames, train=False
            )
            pose, autoencoder["pose_encoder"] = nets.pose_encoder.init_with_output(
                keys["pose_encoder"], frames, train=False
            )
            autoencoder["decoder"] = nets.decoder.init(keys["decoder"], content, pose, train=False)
            critic = {}
            if nets.discriminator is not None:
                critic["discriminator"] = nets.discriminator.init(keys["discriminator"], pose, pose)
            return DrnetState(
                step=first_step(),
                autoencoder=NetworkState.create(autoencoder, self.main_tx),
                discriminator=NetworkState.create(critic, self.discriminator_tx),
            )

        return self._run_once(init)

    def init_predictor(self) -> PredictorState:
        """Returns the second stage's state at step 0, a copy on every device."""
        model = self.config.model

        def init(key: jax.Array) -> PredictorState:
            inputs = jnp.zeros((1, model.pose_dim + model.content_dim))
            variables = self.predictor.init(
                prng.stream(key, "init predictor"), self.predictor.initial_carry(1), inputs
            )
            player = NetworkState.create({"predictor": variables}, self.predictor_tx)
            return PredictorState(step=first_step(), predictor=player)

        return self._run_once(init)

    def _run_once(self, init: Callable[[jax.Array], State]) -> State:
        """Returns `init(key)` on every device, by a program that is not worth optimizing."""
        # On a CPU this saves nine tenths of the time to compile the random draws.
        options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
        on_all = sharding.replicated(self.mesh)
        return jax.jit(init, out_shardings=on_all, compiler_options=options)(self.key)

    def checkpoints(self, stage: str, *, read_only: bool = False) -> Checkpoints:
        """Returns the checkpoints of `stage`, one of `STAGES`; makes their folder to write."""
        folder = self.workdir / "checkpoints" / stage
        return Checkpoints(folder, self.config.keep_checkpoints, read_only=read_only)

    def restore(self) -> tuple[DrnetState, PredictorState | None]:
        """Returns the newest states of both stages, None for the second in runs without predictor.

        Raises:
          FileNotFoundError: when a stage has no checkpoint.
          ValueError: when a checkpoint is of another architecture.
        """
        states = []
        likes = [self.init_drnet(), *([self.init_predictor()] if self.predictor else [])]
        for stage, like in zip(STAGES, likes, strict=False):
            with self.checkpoints(stage, read_only=True) as checkpoints:
                state = checkpoints.restore(like)
            if state is None:
                raise FileNotFoundError(
                    f"No checkpoint in {checkpoints.directory}; train with --mode=train first."
                )
            if state.step < self.config[stage].num_steps:
                logging.warning("%s is of step %d, not finished.", stage, state.step)
            states.append(state)
        return states[0], states[1] if self.predictor else None


def create(
    config: ml_collections.ConfigDict, workdir: epath.PathLike, *, with_data: bool = True
) -> Run:
    """Builds a run after checking all that can be checked; writes nothing to `workdir`.

    Raises:
      ValueError: for impossible settings, or a workdir of another run.
      OSError: for missing or unreadable data, or a workdir that cannot be used.
    """
    config = ml_collections.ConfigDict(renamed.present_settings(config.to_dict()))
    registry.check_name(config.data.name)
    settings.check(config.to_dict())
    workdir = epath.Path(workdir)
    stored = stored_config(workdir)
    if stored is not None:
        difference = settings.difference(stored, config.to_dict())
        if difference:
            raise ValueError(f"{workdir} is the workdir of another run: {difference}.")
        known = settings.flatten(stored)
        config.update_from_flattened_dict(
            {name: known[name] for name in settings.OPEN.keys() & known}
        )
    if config.data.image_size < metrics.SSIM_WINDOW:
        raise ValueError(
            f"config.data.image_size={config.data.image_size}; allowed: "
            f"{metrics.SSIM_WINDOW} and above, the window of the SSIM score."
        )
    config.dtype = computation_dtype(config.dtype)
    mesh = sharding.data_mesh()
    for name in ("drnet.batch_size", "predictor.batch_size"):
        section, key = name.split(".")
        sharding.check_batch_size(f"config.{name}", config[section][key], mesh)
    networks = build.create_networks(
        **config.model,
        image_size=config.data.image_size,
        channels=_frame_shape(config.data)[-1],
        dtype=jnp.dtype(config.dtype),
    )
    predictor = None
    if config.predictor.hidden_dim:
        predictor = build.create_predictor(
            pose_dim=config.model.pose_dim,
            hidden_dim=config.predictor.hidden_dim,
            num_layers=config.predictor.num_layers,
            normalize=config.model.normalize,
            dtype=jnp.dtype(config.dtype),
        )
    source = None
    if with_data:
        source = registry.open_source(config.data, config.seed, mesh)
        _check_lengths(config, source)
        for name, value in source.resolved.items():
            if stored is not None and stored["data"][name] != value:
                raise ValueError(
                    f"The data have changed since {workdir} was trained: config.data.{name} was "
                    f"{stored['data'][name]!r} and is {value!r} now."
                )
        config.data.update(source.resolved)
    return Run(
        config=ml_collections.FrozenConfigDict(config),
        workdir=workdir,
        mesh=mesh,
        key=prng.root(config.seed),
        networks=networks,
        predictor=predictor,
        source=source,
    )


def require_trained(workdir: epath.PathLike) -> None:
    """Raises FileNotFoundError unless `workdir` holds a run with checkpoints."""
    workdir = epath.Path(workdir)
    stored = stored_config(workdir)
    if stored is None:
        raise FileNotFoundError(f"No config.json in {workdir}: nothing has been trained there.")
    for stage in STAGES:
        absent = stage == "predictor" and not stored["predictor"]["hidden_dim"]
        if not absent and not (workdir / "checkpoints" / stage).exists():
            raise FileNotFoundError(
                f"No checkpoint of stage {stage!r} in {workdir}; train it with --mode=train first."
            )


def open_trained(
    config: ml_collections.ConfigDict, workdir: epath.PathLike
) -> tuple[Run, DrnetState, PredictorState | None]:
    """Returns a run that has been trained and its newest states; raises as its parts do."""
    require_trained(workdir)
    run = create(config, workdir)
    return run, *run.restore()


def stored_config(workdir: epath.Path) -> dict | None:
    """Returns the settings that a workdir was made with, or None for a new one."""
    path = workdir / "config.json"
    if not path.exists():
        return None
    try:
        stored = renamed.present_settings(json.loads(path.read_text()))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None
    # What is newer than the run and does not change what it learned can be had of it all the same.
    known = defaults.settings().to_dict()
    later = {name: known[name] | stored.get(name, {}) for name in ("evaluation", "rollout")}
    later["steps_at_once"] = stored.get("steps_at_once", known["steps_at_once"])
    later["data"] = _as_before(stored["data"]["name"]) | stored["data"]
    return stored | later


def _as_before(data_name: str) -> dict[str, bool]:
    """Returns what runs of some data did before there were settings for it."""
    known = {"consecutive": False}
    return known | {"validation": False} if data_name == registry.MOVING_MNIST else known


def computation_dtype(dtype: str) -> str:
    """Returns what `config.dtype` stands for: `auto` is bfloat16 on TPUs and GPUs.

    Their matrix units are made for it, but for NVIDIA's before Ampere: set float32 there.
    """
    if dtype != "auto":
        return dtype
    return "float32" if jax.default_backend() == "cpu" else "bfloat16"


def _check_lengths(config: ml_collections.ConfigDict, source: Source) -> None:
    """Raises ValueError where more frames of a clip are asked for than there are."""
    observed = config.predictor.num_observed
    lengths = {"evaluation.horizon": config.evaluation.horizon}
    if not source.clips_end:
        # Where clips end, what is missing of one is left out.
        lengths["predictor.num_predicted"] = config.predictor.num_predicted
        lengths["rollout.num_steps"] = config.rollout.num_steps
        lengths["data.max_frame_gap"] = config.data.max_frame_gap
    for name, more in lengths.items():
        if observed + more > source.max_frames:
            raise ValueError(
                f"config.predictor.num_observed={observed} and config.{name}={more} are longer "
                f"together than a clip; allowed: {source.max_frames:,} frames."
            )


def _frame_shape(data: ml_collections.ConfigDict) -> tuple[int, int, int]:
    return data.image_size, data.image_size, 3 if data.colored else 1


def _make_adam(stage: ml_collections.ConfigDict) -> optax.GradientTransformation:
    return optim.make_adam(
        stage.learning_rate, stage.beta1, stage.schedule, stage.warmup_steps, stage.num_steps
    )
