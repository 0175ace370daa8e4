"""Training batches for a compiled step: made on the host, or by the step itself."""

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
      inputs: `inputs(first)` yields what the program of step `first`, `first + 1`, ... takes.
      batch: pure `batch(inputs, step)`, traced into that program; returns the batch of `step`.
      on_device: whether the program makes its own batches. One program may then run many steps.
    """

    inputs: Callable[[int], Iterator[Any]]
    batch: Callable[[Any, jax.Array], Any]
    on_device: bool


def frames_feed(source: Source, mesh: jax.sharding.Mesh, batch_size: int, num_frames: int) -> Feed:
    """Returns the feed of random frames, uint8 `[batch, num_frames, height, width, channels]`."""
    make = source.draw_frames if isinstance(source, DeviceSource) else source.train_frames
    return _make_feed(source, make, mesh, batch_size, num_frames)


def clips_feed(source: Source, mesh: jax.sharding.Mesh, batch_size: int, num_frames: int) -> Feed:
    """Returns the feed of consecutive frames, each batch a `ClipBatch`."""
    make = source.draw_clips if isinstance(source, DeviceSource) else source.train_clips
    return _make_feed(source, make, mesh, batch_size, num_frames)


def _make_feed(
    source: Source,
    make: Callable[..., Any],
    mesh: jax.sharding.Mesh,
    batch_size: int,
    num_frames: int,
) -> Feed:
    """Returns the feed of `make`, a method of `source` that makes training batches."""
    if not isinstance(source, DeviceSource):
        return Feed(
            inputs=lambda first: make(first, batch_size, num_frames),
            batch=lambda batch, step: batch,
            on_device=False,
        )
    split = sharding.batch_split(mesh)

    def arrays(first: int) -> Iterator[Any]:
        del first  # The program knows its step.
        # A generator, because the loop closes its inputs.
        yield from itertools.repeat(source.arrays)

    def draw(arrays: Any, step: jax.Array) -> Any:
        batch = make(arrays, step, batch_size, num_frames)
        batch = jax.lax.with_sharding_constraint(batch, split)
        # Without the barrier XLA draws the batch again for each of its readers.
        return jax.lax.optimization_barrier(batch)

    return Feed(arrays, draw, on_device=True)
