"""The training loop: runs the steps of a stage, and logs, draws and saves in between."""

import contextlib
import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from tqdm import tqdm

from drnet_jax.base.progress import progress_bar
from drnet_jax.base.stopping import StoppedError
from drnet_jax.training.due import Intervals, steps_per_call
from drnet_jax.training.meter import Meter
from drnet_jax.training.pace import Pace
from drnet_jax.training.stages import Stage

SinceLog = Mapping[str, Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """What the caller has the loop do between steps.

    Attributes:
      log: takes a step, and means of metrics and speeds since the last log.
      write_sample: takes a step and its state.
      save: takes a step, its state, which is donated right after the call, and the metrics of the
        steps since the last log, by name.
      stop_requested: asked after every program; if it returns the number of a signal and not 0,
        training saves and stops. With several processes, all get the same answer.
    """

    log: Callable[[int, Mapping[str, float]], None]
    write_sample: Callable[[int, Any], None]
    save: Callable[[int, Any, SinceLog], None]
    stop_requested: Callable[[], int]


def fit(
    stage: Stage,
    state: Any,
    intervals: Intervals,
    callbacks: Callbacks,
    since_log: SinceLog = types.MappingProxyType({}),
) -> Any:
    """Trains `stage` from `state`, which is donated, and returns the state after its last step.

    `since_log` is what was saved with the state, so that the next log is the same mean as without
    a stop.

    Raises:
      FloatingPointError: when a loss or the state is not finite; names the step. Nothing that is
        not finite is saved.
      StoppedError: when a stop was requested, after the state was saved.
    """
    first = step = int(state.step)
    if first == stage.num_steps:
        return state
    most, steps_per_input = stage.max_steps_per_call, stage.steps_per_input
    num_per_call = steps_per_call(first, stage.num_steps, intervals, most, steps_per_input)
    meter = Meter(stage.name, first, since_log, measure_waiting=steps_per_input == 1)
    pace = Pace(stage.name, stage.num_steps)
    with (
        contextlib.closing(stage.inputs(first, num_per_call)) as inputs,
        progress_bar(stage.name, stage.num_steps, "step", initial=first) as bar,
    ):
        log_is_due = False
        while step < stage.num_steps:
            state, metrics = stage.step(num_per_call, state, meter.next(inputs))
            if log_is_due:
                # Metrics are read only once the next program runs, so that the device never idles.
                _write_log(step, meter, callbacks, bar)
            meter.add(metrics)
            if step == first:
                _say_how_long(stage.name, meter, bar)
            step += num_per_call
            bar.update(num_per_call)
            pace.add(step, metrics)
            signal = callbacks.stop_requested()
            log_is_due, sample_is_due, save_is_due = intervals.due(step, stage.num_steps)
            save_is_due |= bool(signal)
            if log_is_due and (save_is_due or sample_is_due):
                _write_log(step, meter, callbacks, bar)
                log_is_due = False
            elif save_is_due:
                meter.finite_means(step)  # Raises, so that nothing is saved after a NaN.
            if step == stage.num_steps:
                state = stage.finish(state)
            if save_is_due:
                _check_finite(stage.name, step, state)
            if sample_is_due:
                callbacks.write_sample(step, state)
            if save_is_due:
                callbacks.save(step, state, meter.since_log())
            if signal:
                line = f"Stopped after step {step:,} of {stage.name}, which is saved."
                raise StoppedError(line, signal)
    return state


def _write_log(step: int, meter: Meter, callbacks: Callbacks, bar: tqdm) -> None:
    """Logs what was done since the last log, and shows the losses on the bar."""
    means = meter.finite_means(step)
    callbacks.log(step, meter.speeds(step) | means)
    losses = {name: f"{value:.4g}" for name, value in means.items()}
    bar.set_postfix(losses, refresh=False)
    meter.restart(step)


def _say_how_long(stage: str, meter: Meter, bar: tqdm) -> None:
    seconds = meter.seconds()
    if not bar.disable:
        bar.write(f"The first steps of {stage} took {seconds:.1f} s with compilation.")


def _check_finite(stage: str, step: int, state: Any) -> None:
    # Losses are computed before the update of their step, so they cannot tell.
    if not _all_finite(state):
        raise FloatingPointError(f"The state of {stage} is not finite at step {step:,}.")


@jax.jit
def _all_finite(state: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state)]))
