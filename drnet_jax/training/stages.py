"""The two stages of training, as the training loop sees them: compiled steps and their inputs."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import optax

from drnet_jax.base import prng, sharding
from drnet_jax.base.arrays import Metrics
from drnet_jax.data.source import Source
from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import DrnetState
from drnet_jax.training import steps
from drnet_jax.training.batch_stats import recompute_batch_stats
from drnet_jax.training.feed import Feed, frames_feed
from drnet_jax.training.optim import DrnetOptimizers

MAX_STEPS_PER_CALL = 100
"""On TPUs and GPUs. Longer programs save no time, and a request to stop waits for up to two."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
      name: `drnet` or `predictor`.
      num_steps: length of the stage.
      max_steps_per_call: the most steps that one call of `step` may run.
      step: compiled `step(num_steps, state, inputs) -> (state, metrics)`. It donates `state`;
        metrics are `[num_steps]` each, and `num_steps` is static.
      inputs: `inputs(first, steps_per_call)` yields what the calls of `step` take from step `first`
        on.
      steps_per_input: as in `Feed`; a call of `step` does not run across a change of inputs.
      finish: maps the state after the last step, which it may donate, to the one to keep.
    """

    name: str
    num_steps: int
    max_steps_per_call: int
    step: Callable[[int, Any, Any], tuple[Any, Metrics]]
    inputs: Callable[[int, int], Iterator[Any]]
    steps_per_input: int
    finish: Callable[[Any], Any] = lambda state: state


def drnet_stage(
    networks: Networks,
    txs: DrnetOptimizers,
    source: Source,
    mesh: jax.sharding.Mesh,
    key: jax.Array,
    *,
    num_steps: int,
    batch_size: int,
    similarity_weight: float,
    adversarial_weight: float,
    batch_stats: str,
    max_steps_per_call: int = 0,
) -> Stage:
    """Returns the first stage: encoders and decoder against the scene discriminator.

    `key` is the root key of the run. BatchNorm normalizes with the statistics of the whole batch
    where `batch_stats` is `global`, and with those of each device's own clips where it is
    `per_device`. A `max_steps_per_call` of 0 means 1 on CPUs and
    `MAX_STEPS_PER_CALL` elsewhere.
    """
    learn = steps.make_drnet_step(
        networks,
        txs,
        similarity_weight=similarity_weight,
        adversarial_weight=adversarial_weight,
        per_device={"global": None, "per_device": mesh}[batch_stats],
    )

    def step(state: DrnetState, frames: jax.Array, key: jax.Array) -> tuple[DrnetState, Metrics]:
        pairs = steps.sample_pairs(prng.stream(key, "drnet pairs", state.step), batch_size)
        pairs = jax.lax.with_sharding_constraint(pairs, sharding.batch_split(mesh))
        return learn(state, steps.DrnetBatch(frames, pairs))

    feed = frames_feed(source, mesh, batch_size, steps.NUM_FRAMES)
    finish = functools.partial(recompute_batch_stats, networks, feed, first=num_steps)
    stage = _make_stage("drnet", num_steps, max_steps_per_call, feed, step, key)
    return dataclasses.replace(stage, finish=finish)


def predictor_stage(
    predictor: PoseLSTM,
    tx: optax.GradientTransformation,
    feed: Feed,
    key: jax.Array,
    *,
    num_steps: int,
    num_observed: int,
    scheduled_sampling: float,
    loss: str,
    max_steps_per_call: int = 0,
) -> Stage:
    """Returns the second stage: the pose LSTM, on the clips of a `pose_feed`.

    `key` is the root key of the run. Over a fraction `scheduled_sampling` of the steps, the
    probability that an input of the LSTM is a true pose falls from 1 to 0; with 0 it stays 1.
    `loss` is `squared` or `absolute`.
    """
    teacher_forcing = None
    if scheduled_sampling:
        num_sampled = max(1, round(scheduled_sampling * num_steps))
        teacher_forcing = optax.linear_schedule(1.0, 0.0, num_sampled)
    step = steps.make_predictor_step(
        predictor, tx, num_observed=num_observed, teacher_forcing=teacher_forcing, loss=loss
    )
    return _make_stage("predictor", num_steps, max_steps_per_call, feed, step, key)


def _make_stage(
    name: str,
    num_steps: int,
    max_steps_per_call: int,
    feed: Feed,
    step: Callable[[Any, Any, jax.Array], tuple[Any, Metrics]],
    key: jax.Array,
) -> Stage:
    """Returns the stage of pure `step(state, batch, key) -> (state, metrics)`."""
    if not max_steps_per_call:
        max_steps_per_call = 1 if jax.default_backend() == "cpu" else MAX_STEPS_PER_CALL

    def run(num_steps: int, state: Any, inputs: Any, key: jax.Array) -> tuple[Any, Metrics]:
        def run_one(state: Any, _) -> tuple[Any, Metrics]:
            return step(state, feed.batch(inputs, state.step), key)

        if num_steps > 1:
            return jax.lax.scan(run_one, state, length=num_steps)
        # Without a loop, in which XLA:CPU runs convolutions many times slower.
        state, metrics = run_one(state, None)
        return state, jax.tree.map(lambda x: x[None], metrics)

    # The key is an argument, as XLA would compile a captured array into the program.
    program = jax.jit(run, static_argnums=0, donate_argnums=1)
    return Stage(
        name=name,
        num_steps=num_steps,
        max_steps_per_call=max_steps_per_call,
        step=lambda num_steps, state, inputs: program(num_steps, state, inputs, key),
        inputs=feed.inputs,
        steps_per_input=feed.steps_per_input,
    )
