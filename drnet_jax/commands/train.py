"""Training, from scratch or from where it stopped, then scores, rollouts and a report."""

import contextlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
import orbax.checkpoint as ocp
from absl import logging
from etils import epath

from drnet_jax import report
from drnet_jax.base import checked_json, processes, stopping, timings, wording
from drnet_jax.base.errors import input_errors
from drnet_jax.commands import evaluate, generate
from drnet_jax.data import source as source_lib
from drnet_jax.evaluation import score
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs import checks, environment, extension, lock, memory, rollbacks
from drnet_jax.runs.metrics_writer import MetricsWriter
from drnet_jax.runs.rollbacks import Rollback
from drnet_jax.runs.run import Run, create_run
from drnet_jax.runs.workdir import STAGES, is_finished, stored_settings
from drnet_jax.training import stages
from drnet_jax.training.due import Intervals
from drnet_jax.training.loop import Callbacks, SinceLog, fit
from drnet_jax.training.pose_clips import pose_feed
from drnet_jax.training.stages import Stage


def run(
    config: ml_collections.ConfigDict, workdir: epath.PathLike, *, extend: bool = False
) -> None:
    """Trains both stages, scores the result, generates rollouts and writes a report.

    Everything goes to `workdir`. A run that was interrupted goes on, a finished one is left alone,
    unless `extend` allows more steps and `config` has them.

    Raises:
      InputError: for settings, data or a workdir that cannot be used; nothing is written then.
      FloatingPointError: when a loss or a weight is not finite, and no rollback is left.
      StoppedError: after SIGTERM or Ctrl-C, when the state is saved.
    """
    with input_errors():
        checks.check_trainable(config.to_dict())
        if processes.is_first():
            lock.check_bucket(workdir)  # Before data are prepared, which may take long.
        stored = stored_settings(workdir)
        run = create_run(config, workdir, extend=extend)
        stopping.doing("starting")
        extended = stored if stored and extension.longer(stored, run.config) else None
        if is_finished(run.workdir) and not extended:
            processes.say(f"{run.workdir} is finished: open {run.workdir / 'report.html'}")
            return
        memory.check(run, memory.training_needs, memory.scoring_needs, memory.rollout_needs)
    with lock.hold(run.workdir) if processes.is_first() else contextlib.nullcontext():
        _train(run, extended)


def _train(run: Run, extended: Mapping[str, Any] | None) -> None:
    """Trains a run that is not finished, and writes everything.

    `extended` are the settings of the run with fewer steps that it continues.
    """
    with input_errors():
        if processes.is_first():
            if extended:
                print("\n".join(extension.plan(extended, run.config, run.workdir)), flush=True)
                extension.begin(extended, run.config, run.workdir)
            write_settings(run)
        processes.barrier()  # Until then there may be checkpoints that an extension takes away.
        made = rollbacks.read(run.workdir)
        drnet, predictor = (_restore_or_init(run, stage) for stage in STAGES)
    processes.say(f"Data: {run.source.note}")
    if processes.is_first():
        checked_json.write(run.workdir / "environment.json", environment.describe(run.source.note))
    # With several processes, a signal to one of them stops all after the same step.
    preempted = _asks_for_preemption() if processes.count() > 1 else None

    def write_grid(state: DrnetState, name: str) -> None:
        generate.write_sample(run, state, None, name)

    def write_rollout(state: PredictorState, name: str) -> None:
        generate.write_sample(run, drnet, state, name)

    drnet = _fit(run, drnet_stage, drnet, made, write_grid, preempted)
    # With several processes, all train the predictor with the device that would compute scores.
    first = score.begin(run, drnet) if processes.count() == 1 else None
    predictor = _fit(
        run, lambda run: predictor_stage(run, drnet), predictor, made, write_rollout, preempted
    )
    if processes.count() > 1:
        stopping.watch()  # JAX would note SIGTERM and wait for the next step.
    if processes.is_first():
        _write_results(run, drnet, predictor, first)


def _asks_for_preemption() -> Callable[[], bool]:
    """Returns a function that tells whether SIGTERM has come to any process.

    Every process calls it equally often. JAX answers at one number of calls, the same for all, so
    these are counted over both stages.
    """
    calls = itertools.count()
    return lambda: ocp.multihost.reached_preemption(next(calls))


def _write_results(
    run: Run, drnet: DrnetState, predictor: PredictorState, first: score.FirstStageScores | None
) -> None:
    """Scores a trained run, generates its rollouts and writes its report."""
    number, clips = run.config.evaluation.num_clips, run.source.all_clips("test")
    held_out = f"{wording.count(number, 'held-out clip')}."
    if clips is not None:
        known = wording.count(source_lib.num_clips(clips), "held-out clip")
        held_out = f"at most {wording.count(number, 'sample')} of {known}."
    print(f"Scoring {held_out}")
    evaluate.write(run, drnet, predictor, first)
    rollout = run.config.rollout
    print(f"Generating rollouts of {wording.count(rollout.num_steps, 'step')}.")
    generate.write(run, drnet, predictor)
    checked_json.write(run.workdir / "timings.json", timings.record())
    page = report.write(run.workdir)
    print(f"{timings.table()}\nOpen {page}")
    extension.end(run.workdir)


def drnet_stage(run: Run) -> Stage:
    """Returns the first stage of `run`: encoders and decoder against the scene discriminator."""
    config = run.config.drnet
    return stages.drnet_stage(
        run.networks,
        run.drnet_txs,
        run.source,
        run.mesh,
        run.key,
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        similarity_weight=config.similarity_weight,
        adversarial_weight=config.adversarial_weight,
        batch_stats=config.batch_stats,
        max_steps_per_call=run.config.steps_at_once,
    )


def predictor_stage(run: Run, drnet: DrnetState) -> Stage:
    """Returns the second stage of `run`: the pose LSTM, on the finished encoders."""
    config = run.config.predictor
    feed = pose_feed(
        run.source,
        run.networks,
        drnet.autoencoder,
        run.mesh,
        batch_size=config.batch_size,
        num_frames=config.num_observed + config.num_predicted,
        num_observed=config.num_observed,
        with_content=config.use_content,
        batches_per_set=min(config.batches_per_set, config.num_steps),
        passes_per_set=config.passes_per_set,
        max_bytes=run.config.data.get("in_memory_gb", 0) * 1e9,
    )
    return stages.predictor_stage(
        run.predictor,
        run.predictor_tx,
        feed,
        run.key,
        num_steps=config.num_steps,
        num_observed=config.num_observed,
        scheduled_sampling=config.scheduled_sampling,
        loss=config.loss,
        max_steps_per_call=run.config.steps_at_once,
    )


def write_settings(run: Run) -> None:
    """Writes the settings of `run` to its workdir, which thereby belongs to them."""
    with lock.writing(run.workdir):
        run.workdir.mkdir(parents=True, exist_ok=True)
        checked_json.write(run.workdir / "config.json", run.config.to_dict())


def _restore_or_init(run: Run, stage: str) -> Any:
    """Returns the newest saved state of `stage`, or its first; prints which is resumed."""
    restored = run.restore_stage(stage)
    if restored is None:
        return run.init_drnet() if stage == "drnet" else run.init_predictor()
    processes.say(f"Resuming {stage} after step {int(restored.step):,}.")
    return restored


def _fit(
    run: Run,
    make_stage: Callable[[Run], Stage],
    state: Any,
    made: list[Rollback],
    write_sample: Callable[[Any, str], None],
    preempted: Callable[[], bool] | None,
) -> Any:
    """Returns `state` after the last step of its stage; goes back where `config.on_nan` says so.

    `made` are all rollbacks so far, to which more are added. Every process comes to the same ones,
    as losses and states are equal in all of them.
    """
    name = "drnet" if isinstance(state, DrnetState) else "predictor"
    while True:
        made[:] = rollbacks.known_at(made, name, int(state.step))
        training = run.after([each for each in made if each.stage == name])
        try:
            with stopping.requests(preempted) as stop_requested:
                stage = make_stage(training)
                return fit_stage(training, stage, state, write_sample, stop_requested)
        except FloatingPointError as error:
            reason = str(error)
            if run.config.on_nan == "stop":
                raise
            if len(made) >= run.config.max_rollbacks:
                allowed = f"config.max_rollbacks={run.config.max_rollbacks}"
                raise FloatingPointError(f"{reason} There have been {allowed} before.") from error
        # Only here, so that the traceback no longer holds the state that is not finite.
        state = _restore_or_init(run, name)
        _roll_back(run, name, int(state.step), made, reason)


def _roll_back(run: Run, stage: str, step: int, made: list[Rollback], reason: str) -> None:
    """Adds a rollback of `stage` to `made`, and says and stores it."""
    factor = run.config.rollback_learning_rate
    rate = f" and {factor:g} times the learning rate" if factor != 1 else ""
    line = f"{reason} Training went back to step {step:,}, with other batches{rate}."
    logging.warning("%s Rollback %d of at most %d.", line, len(made) + 1, run.config.max_rollbacks)
    made.append(Rollback(stage, step, factor, line))
    if processes.is_first():
        rollbacks.write(run.workdir, made)


def fit_stage(
    run: Run,
    stage: Stage,
    state: Any,
    write_sample: Callable[[Any, str], None] = lambda state, name: None,
    stop_requested: Callable[[], int] = lambda: 0,
) -> Any:
    """Returns `state` after the last step of `stage`; logs and checkpoints go to the run's folder.

    `write_sample` takes a state and the name of the picture to write; only the first process calls
    it.
    """
    if state.step == stage.num_steps:
        return state
    stopping.doing(f"training {stage.name}", "its checkpoints are kept")
    config = run.config
    intervals = Intervals(
        log=config.log_every_steps,
        sample=config.sample_every_steps,
        checkpoint=config.checkpoint_every_steps,
    )

    def log(step: int, scalars: Mapping[str, float]) -> None:
        if writer is not None:
            writer.write(step, scalars)

    def draw(step: int, state: Any) -> None:
        if processes.is_first():
            with stopping.during("drawing samples"):
                write_sample(state, f"{stage.name}/step_{step:07d}.png")

    def save(step: int, state: Any, since_log: SinceLog) -> None:
        if writer is not None:
            writer.flush()  # Or lines from before the checkpoint could be lost after it.
        checkpoints.save(step, state, since_log)

    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(run.checkpoints(stage.name))
        writer = None
        if processes.is_first():
            writer = stack.enter_context(MetricsWriter(run.workdir, stage.name, int(state.step)))
        callbacks = Callbacks(log, draw, save, stop_requested)
        return fit(stage, state, intervals, callbacks, checkpoints.since_log(int(state.step)))
