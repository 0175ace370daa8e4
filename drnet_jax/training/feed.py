"""Training batches for a compiled step: made on the host, by the step, or in sets beforehand."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax

from drnet_jax.base import sharding
from drnet_jax.data.source import DeviceSource, Source


@dataclasses.dataclass(frozen=True)
class Feed:
    """The stream of batches of one stage. Batch n depends on nothing but the seed and n.

    Attributes:
      inputs: `inputs(first, steps_per_call)` yields what the programs of steps `first`,
        `first + steps_per_call`, ... take.
      batch: pure `batch(inputs, step)`, traced into that program; returns the batch of `step`.
      steps_per_input: this many consecutive steps take the same input, and one program runs no
        more of them: 1 if batches are made on the host, 0 if the input never changes.
    """

    inputs: Callable[[int, int], Iterator[Any]]
    batch: Callable[[Any, jax.Array], Any]
    steps_per_input: int


def frames_feed(source: Source, mesh: jax.sharding.Mesh, batch_size: int, num_frames: int) -> Feed:
    """Returns the feed of random frames, uint8 `[batch, num_frames, height, width, channels]`."""
    if not isinstance(source, DeviceSource):
        return Feed(
            inputs=lambda first, _: source.train_frames(first, batch_size, num_frames),
            batch=lambda batch, step: batch,
            steps_per_input=1,
        )
    split = sharding.batch_split(mesh)

    def arrays(*_) -> Iterator[Any]:
        # A generator, because the loop closes its inputs.
        yield from itertools.repeat(source.arrays)

    def draw(arrays: Any, step: jax.Array) -> jax.Array:
        batch = source.draw_frames(arrays, step, batch_size, num_frames)
        batch = jax.lax.with_sharding_constraint(batch, split)
        # Without the barrier XLA draws the batch again for each of its readers.
        return jax.lax.optimization_barrier(batch)

    return Feed(arrays, draw, steps_per_input=0)
