"""BatchNorm's running statistics: updated by several passes of a step, recomputed at the end."""

import contextlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.base.arrays import Array, Tree, as_float
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import DrnetState
from drnet_jax.ops.norm import MOMENTUM
from drnet_jax.training.feed import Feed

NUM_BATCHES = 50
"""Batches of a recomputation: 0.9 ** 50 leaves half a percent of the old averages."""


def train_pass(module: nn.Module, variables: dict[str, Tree], *inputs, **passes: int) -> tuple:
    """Returns (output, new running statistics) of one pass with the statistics of its batch.

    With `num_passes=n` the batch is n passes in one call, as `ops.norm.BatchNorm` describes.
    """
    output, updates = module.apply(
        variables, *inputs, train=True, mutable=["batch_stats"], **passes
    )
    return output, updates.get("batch_stats", {})


def train_passes(
    module: nn.Module, variables: dict[str, Tree], frames: jax.Array
) -> tuple[jax.Array, list[Tree]]:
    """Runs several passes without gradients, each with the statistics of its own frames.

    Args:
      module: an encoder.
      variables: its parameters and running statistics.
      frames: `[batch, passes, height, width, channels]`.

    Returns:
      Outputs `[passes, batch, ...]`, and the running statistics after each pass, every one of them
      updated from `variables`; `apply_in_turn` chains them.
    """
    num = frames.shape[1]

    def together(variables, frames):
        # [batch * passes, height, width, channels]: the passes of a clip stay neighbors.
        frames = frames.reshape(-1, *frames.shape[2:])
        output, stats = train_pass(module, variables, frames, num_passes=num)
        output = output.reshape(-1, num, *output.shape[1:]).swapaxes(0, 1)
        return output, [jax.tree.map(lambda x, i=i: x[i], stats) for i in range(num)]

    def one_by_one(variables, frames):
        passes = [train_pass(module, variables, frames[:, i]) for i in range(num)]
        return jnp.stack([output for output, _ in passes]), [stats for _, stats in passes]

    # One call launches fewer kernels; on CPUs it was 5 % slower, so there we loop.
    return jax.lax.platform_dependent(variables, frames, cpu=one_by_one, default=together)


def apply_in_turn(start: Tree, updated: list[Tree]) -> Tree:
    """Returns the running statistics after several passes, one after the other.

    With momentum m, a pass turns `old` into `m old + (1 - m) new`. Run from `stats` instead of
    `start`, it therefore ends `m (stats - start)` away from where it ended.

    Args:
      start: the running statistics before the first pass.
      updated: those after each pass, if each is run from `start`.
    """
    stats = updated[0]
    for alone in updated[1:]:
        stats = jax.tree.map(
            lambda now, end, old: end + MOMENTUM * (now - old), stats, alone, start
        )
    return stats


def make_recompute_step(networks: Networks) -> Callable[[DrnetState, Array], DrnetState]:
    """Returns pure `step(state, frames) -> state`: updates the running statistics, not the weights.

    `frames` are four of each clip, as in `steps.DrnetBatch`.
    """

    def step(state: DrnetState, frames: Array) -> DrnetState:
        frames, batch_stats = as_float(frames), {}

        def run(name: str, *inputs):
            variables = state.autoencoder.variables(name)
            output, batch_stats[name] = train_pass(getattr(networks, name), variables, *inputs)
            return output

        # The frames that a training step encodes with gradients: content of 0, pose of 2.
        run("decoder", run("content_encoder", frames[:, 0]), run("pose_encoder", frames[:, 2]))
        return state.replace(autoencoder=state.autoencoder.replace(batch_stats=batch_stats))

    return step


def recompute_batch_stats(
    networks: Networks, feed: Feed, state: DrnetState, first: int
) -> DrnetState:
    """Returns `state` with running statistics of its final weights ("precise BatchNorm").

    Training leaves averages over its last steps, whose weights were different. Most units of a
    trained pose are nearly saturated, so even a small lag shows in every frame
    (docs/departures.md).

    Args:
      networks: the networks of `state`.
      feed: frames as in training.
      state: after the last training step; its buffers are donated.
      first: number of the first of the `NUM_BATCHES` batches; training has used those before.

    Source: Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3, which averages evenly
    over the batches; here the running average simply continues.
    """
    recompute = make_recompute_step(networks)

    def step(state: DrnetState, inputs: Any, number: jax.Array | int) -> DrnetState:
        return recompute(state, feed.batch(inputs, number))

    step = jax.jit(step, donate_argnums=0)
    with contextlib.closing(feed.inputs(first, 1)) as all_inputs:
        for number, inputs in zip(range(first, first + NUM_BATCHES), all_inputs, strict=False):
            state = step(state, inputs, number)
    return state
