"""The two objects that are trained, as the training loop sees them: steps and their batches."""

import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections

from drnet_jax.base import prng, sharding
from drnet_jax.base.arrays import Metrics
from drnet_jax.commands import generate
from drnet_jax.data.source import ClipBatch, DeviceSource
from drnet_jax.models.state import DrnetState, NetworkState, PredictorState
from drnet_jax.runs.run import Run
from drnet_jax.training import steps

MOST_STEPS_AT_ONCE = 100
"""On a TPU or GPU: longer programs would save nothing, and a signal waits for up to two."""


SETTLING_BATCHES = 50
"""After which running averages hold half a percent of what they were."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One of the two objects that are trained.

    Attributes:
      name: one of `run.STAGES`.
      num_steps: where it ends.
      step: `step(state, batch) -> (state, metrics)`, compiled; it may make several steps in one
        program, and metrics are those of each.
      batches: yields what `step` takes from one step on, always the same: a batch, or where the
        program makes its own, of how many steps that is to be.
      write_sample: writes a picture of a state under a file name.
      finish: returns the state to keep, from the one after the last step, which it takes over.
    """

    name: str
    num_steps: int
    step: Callable[[Any, Any], tuple[Any, Metrics]]
    batches: Callable[[int], Iterator[Any]]
    write_sample: Callable[[Any, str], None]
    finish: Callable[[Any], Any] = lambda state: state


def drnet_stage(run: Run) -> Stage:
    """Returns the first stage: encoders and decoder against the scene discriminator."""
    config = run.config.drnet
    learn = steps.make_drnet_step(
        run.networks,
        run.main_tx,
        run.discriminator_tx,
        similarity_weight=config.similarity_weight,
        adversarial_weight=config.adversarial_weight,
    )

    def step(state: DrnetState, frames: jax.Array) -> tuple[DrnetState, Metrics]:
        key = prng.stream(run.key, "drnet pairs", state.step)
        pairs = steps.sample_pairs(key, config.batch_size)
        pairs = jax.lax.with_sharding_constraint(pairs, sharding.batch_split(run.mesh))
        return learn(state, steps.DrnetBatch(frames, pairs))

    return _make_stage(
        run,
        "drnet",
        step,
        num_frames=steps.NUM_FRAMES,
        write_sample=lambda state, name: generate.write_sample(run, state, None, name),
        finish=functools.partial(_settle, run),
    )


def _settle(run: Run, state: DrnetState) -> DrnetState:
    """Returns the state with the running statistics of its weights, from batches of their own."""
    source, config = run.source, run.config.drnet
    settle = jax.jit(steps.make_settling_step(run.networks), donate_argnums=0)
    numbers = range(config.num_steps, config.num_steps + SETTLING_BATCHES)
    sizes = config.batch_size, steps.NUM_FRAMES
    if isinstance(source, DeviceSource):
        draw = jax.jit(
            lambda arrays, number: source.draw_frames(arrays, number, *sizes),
            out_shardings=sharding.batch_split(run.mesh),
        )
        batches = (draw(source.arrays, number) for number in numbers)
    else:
        batches = source.train_frames(numbers[0], *sizes)
    with contextlib.closing(batches):
        for _, frames in zip(numbers, batches, strict=False):
            state = settle(state, frames)
    return state


def predictor_stage(run: Run, drnet: DrnetState) -> Stage:
    """Returns the second stage: the pose LSTM, on the finished encoders."""
    config = run.config.predictor
    learn = steps.make_predictor_step(
        run.networks, run.predictor, run.predictor_tx, num_observed=config.num_observed
    )

    def step(
        state: PredictorState, batch: ClipBatch, main: NetworkState
    ) -> tuple[PredictorState, Metrics]:
        return learn(state, batch.frames, main, batch.lengths)

    return _make_stage(
        run,
        "predictor",
        step,
        drnet.autoencoder,
        num_frames=config.num_observed + config.num_predicted,
        write_sample=lambda state, name: generate.write_sample(run, drnet, state, name),
    )


def _make_stage(
    run: Run,
    name: str,
    step: Callable[..., tuple[Any, Metrics]],
    *constants: Any,
    num_frames: int,
    **hooks: Callable,
) -> Stage:
    """Returns the stage of pure `step(state, batch, *constants)`, wherever batches come from."""
    source, size = run.source, run.config[name].batch_size
    make = functools.partial(Stage, name, run.config[name].num_steps, **hooks)
    if isinstance(source, DeviceSource):
        draw = {"drnet": source.draw_frames, "predictor": source.draw_clips}[name]
        split = sharding.batch_split(run.mesh)

        def step_on_own_batch(state, arrays, *constants):
            batch = draw(arrays, state.step, size, num_frames)
            batch = jax.lax.with_sharding_constraint(batch, split)
            # Made once: XLA would make it again for each of its readers.
            return step(state, jax.lax.optimization_barrier(batch), *constants)

        def lengths(first: int) -> Iterator[int]:
            yield from itertools.repeat(steps_at_once(run.config, name, first))

        program = jax.jit(_repeat(step_on_own_batch), static_argnums=0, donate_argnums=1)
        return make(
            lambda state, num_steps: program(num_steps, state, source.arrays, *constants), lengths
        )
    stream = {"drnet": source.train_frames, "predictor": source.train_clips}[name]
    program = jax.jit(step, donate_argnums=0)
    return make(
        lambda state, batch: program(state, batch, *constants),
        lambda first: stream(first, size, num_frames),
    )


def _repeat(step: Callable) -> Callable:
    """Returns `repeated(num_steps, state, *constants)`, with metrics of several steps stacked."""

    def repeated(num_steps: int, state: Any, *constants: Any) -> tuple[Any, Metrics]:
        if num_steps == 1:
            # Without a loop, in which XLA:CPU runs convolutions many times slower.
            return step(state, *constants)
        return jax.lax.scan(lambda state, _: step(state, *constants), state, length=num_steps)

    return repeated


def steps_at_once(config: ml_collections.ConfigDict, name: str, first: int) -> int:
    """Returns how many steps of stage `name` one program makes, from step `first` on.

    As many as `config.steps_at_once` allows and as fit between whatever else is due.
    """
    most = config.steps_at_once
    if not most:
        most = 1 if jax.default_backend() == "cpu" else MOST_STEPS_AT_ONCE
    between = math.gcd(
        first,
        config[name].num_steps,
        config.log_every_steps,
        config.sample_every_steps,
        config.checkpoint_every_steps,
    )
    return max(n for n in range(1, most + 1) if between % n == 0)
