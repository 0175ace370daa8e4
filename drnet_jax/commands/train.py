"""Training, from nothing or from where it stopped, to evaluation, rollouts and report."""

import contextlib
import functools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from etils import epath
from tqdm import tqdm

from drnet_jax import report
from drnet_jax.base.arrays import Metrics
from drnet_jax.commands import evaluate, generate
from drnet_jax.data.source import HostSource
from drnet_jax.runs import checks as settings
from drnet_jax.runs import environment
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import run as run_lib
from drnet_jax.runs.run import Run
from drnet_jax.training.due import is_due
from drnet_jax.training.stages import Stage, drnet_stage, predictor_stage


class StoppedError(Exception):
    """A signal asked the run to stop; what it had done is saved."""


def prepare(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> Callable[[], None]:
    """Returns the training, all its settings checked, ready to be called.

    Raises:
      ValueError: for settings or a workdir that cannot be used; nothing is written then.
      OSError: for missing files, or a workdir that cannot be written.
    """
    settings.check_trainable(config.to_dict())
    run = run_lib.create(config, workdir)
    if _is_finished(run):
        return lambda: print(f"{run.workdir} is finished: open {run.workdir / 'report.html'}")
    try:
        run.workdir.mkdir(parents=True, exist_ok=True)
        writer.write_json(run.workdir / "config.json", run.config.to_dict())
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"Cannot write to --workdir={run.workdir}: {reason}.") from error
    states = _restore_or_init(run)
    return functools.partial(_train, run, *states)


def _is_finished(run: Run) -> bool:
    # The report is written last, and whole or not at all.
    return (run.workdir / "report.html").exists()


def _restore_or_init(run: Run) -> list:
    """Returns the newest saved state of each stage, or its first one; says which."""
    states = [run.init_drnet(), run.init_predictor()]
    for i, stage in enumerate(run_lib.STAGES):
        with run.checkpoints(stage) as checkpoints:
            restored = checkpoints.restore(states[i])
        if restored is not None:
            print(f"Resuming {stage} after step {int(restored.step):,}.")
            states[i] = restored
    return states


def _train(run: Run, drnet, predictor) -> None:
    config = run.config
    print(f"Data: {run.source.note}")
    writer.write_json(run.workdir / "environment.json", environment.describe(run.source.note))
    with _stop_requests() as stop:
        drnet = _fit(run, drnet_stage(run), drnet, stop)
        predictor = _fit(run, predictor_stage(run, drnet), predictor, stop)
    print(f"Scoring {config.evaluation.num_clips} held-out clips.")
    evaluate.write(run, drnet, predictor)
    print(f"Generating {config.rollout.num_steps} steps of {config.rollout.num_clips} clips.")
    generate.write(run, drnet, predictor)
    print(f"Open {report.write(run.workdir)}")


def _fit(run: Run, stage: Stage, state, stop: Callable[[], bool]):
    """Returns the state after the stage's last step; logs, draws and saves on the way.

    Raises:
      FloatingPointError: when a loss is not finite; names the step, and saves nothing after it.
      StoppedError: after a signal, when the state is saved.
    """
    config, first = run.config, int(state.step)
    if first == stage.num_steps:
        return state
    all_finite = jax.jit(_all_finite)
    # Where the devices make the batches, waiting for one is waiting for the steps before it.
    meter = _Meter(stage.name, first, measure_waiting=isinstance(run.source, HostSource))
    with (
        contextlib.closing(stage.batches(first)) as batches,
        run.checkpoints(stage.name) as checkpoints,
        writer.MetricsWriter(run.workdir, stage.name, first) as log,
        _progress_bar(stage, first) as bar,
    ):

        def write_log(step: int) -> None:
            means = meter.finite_means(step)
            log.write(step, meter.speeds(step) | means)
            losses = {name: f"{value:.4g}" for name, value in means.items()}
            bar.set_postfix(losses, refresh=False)
            meter.restart(step)

        step, log_is_due = first, False
        while step < stage.num_steps:
            state, metrics = stage.step(state, meter.next(batches))
            if log_is_due:
                # That of the steps before: a device that has the next ones already does not wait.
                write_log(step)
            made = meter.add(metrics)
            if step == first:
                bar.write(f"First steps of {stage.name} after {meter.seconds():.1f} s.")
            step += made
            bar.update(made)
            stopping = stop()
            due = functools.partial(is_due, step, num_steps=stage.num_steps)
            save = stopping or due(config.checkpoint_every_steps)
            sample, log_is_due = due(config.sample_every_steps), due(config.log_every_steps)
            if log_is_due and (save or sample):
                write_log(step)
                log_is_due = False
            elif save:
                meter.finite_means(step)
            if step == stage.num_steps:
                state = stage.finish(state)
            if save and not all_finite(state):
                raise FloatingPointError(
                    f"The state of {stage.name} is not finite at step {step:,}."
                )
            if sample:
                stage.write_sample(state, f"{stage.name}/step_{step:07d}.png")
            if save:
                checkpoints.save(step, state)
            if stopping:
                raise StoppedError(f"Stopped after step {step:,} of {stage.name}, which is saved.")
    return state


class _Meter:
    """What a stage did since the last log: its metrics, still on the device, and its speed."""

    def __init__(self, stage: str, first: int, *, measure_waiting: bool):
        self._stage, self._measure_waiting = stage, measure_waiting
        self.restart(first)

    def restart(self, step: int) -> None:
        """Forgets all before `step`."""
        self._begun, self._started = step, time.monotonic()
        self._waited, self._pending = 0.0, []

    def next(self, batches: Iterator[Any]) -> Any:
        """Returns the next batch, and counts how long it was waited for."""
        asked = time.monotonic()
        batch = next(batches)
        self._waited += time.monotonic() - asked
        return batch

    def add(self, metrics: Metrics) -> int:
        """Takes the metrics of some steps without waiting for them; returns how many steps."""
        self._pending.append(metrics)
        return next(iter(metrics.values())).size

    def seconds(self) -> float:
        """Returns how long it took until all that was added is there."""
        jax.block_until_ready(self._pending)
        return time.monotonic() - self._started

    def speeds(self, step: int) -> dict[str, float]:
        """Returns steps per second, and the share of the time that data were waited for."""
        passed = time.monotonic() - self._started
        speeds = {"steps_per_second": (step - self._begun) / passed}
        return speeds | ({"input_wait": self._waited / passed} if self._measure_waiting else {})

    def finite_means(self, step: int) -> dict[str, float]:
        """Returns the means of the metrics; this is where they leave the device."""
        pending = jax.device_get(self._pending)
        values = {name: np.hstack([found[name] for found in pending]) for name in pending[0]}
        bad = {name: ~np.isfinite(found) for name, found in values.items()}
        at_fault = np.any(list(bad.values()), axis=0)
        if at_fault.any():
            i = np.argmax(at_fault)
            names = ", ".join(name for name in bad if bad[name][i])
            at = step - len(at_fault) + 1 + i
            raise FloatingPointError(f"{names} of {self._stage} is not finite at step {at:,}.")
        return {name: float(np.mean(found)) for name, found in values.items()}


def _all_finite(state) -> jax.Array:
    """Returns whether every number is finite: the loss of a step is older than its update."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state)]))


def _progress_bar(stage: Stage, first: int) -> tqdm:
    # A log file gets a line every half minute, a terminal a bar that moves.
    return tqdm(
        total=stage.num_steps,
        initial=first,
        desc=stage.name,
        unit="step",
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 30,
    )


@contextlib.contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether SIGTERM or Ctrl-C has come; a second Ctrl-C kills."""
    received: list[int] = []

    def handle(number: int, _frame) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        logging.warning("%s: saving, then stopping.", signal.Signals(number).name)

    old = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
