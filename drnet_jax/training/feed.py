"""Training batches, as a compiled step takes them: made on the host, or by the step itself."""

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
    """Returns uint8 batches `[batch, num_frames, height, width, channels]` of random frames."""
    method = "draw_frames" if isinstance(source, DeviceSource) else "train_frames"
    return _make_feed(source, method, mesh, batch_size, num_frames)


def clips_feed(source: Source, mesh: jax.sharding.Mesh, batch_size: int, num_frames: int) -> Feed:
    """Returns batches of consecutive frames, as `ClipBatch`."""
    method = "draw_clips" if isinstance(source, DeviceSource) else "train_clips"
    return _make_feed(source, method, mesh, batch_size, num_frames)


def _make_feed(
    source: Source, method: str, mesh: jax.sharding.Mesh, batch_size: int, num_frames: int
) -> Feed:
    make = getattr(source, method)
    if not isinstance(source, DeviceSource):
        return Feed(
            inputs=lambda first: make(first, batch_size, num_frames),
            batch=lambda batch, step: batch,
            on_device=False,
        )
    split = sharding.batch_split(mesh)

    def arrays(first: int) -> Iterator[Any]:
        del first  # The program knows its step.
        yield from itertools.repeat(source.arrays)

    def draw(arrays: Any, step: jax.Array) -> Any:
        batch = make(arrays, step, batch_size, num_frames)
        batch = jax.lax.with_sharding_constraint(batch, split)
        # Without the barrier XLA draws the batch again for each of its readers.
        return jax.lax.optimization_barrier(batch)

    return Feed(arrays, draw, on_device=True)
