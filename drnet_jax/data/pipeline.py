"""Batches on their way from the host to the devices, made ahead of time by threads."""

import collections
import functools
from collections.abc import Callable, Iterator

import grain
import jax

from drnet_jax.base import sharding
from drnet_jax.base.arrays import Tree

NUM_THREADS = 2
NUM_AHEAD_ON_HOST = 4
NUM_AHEAD_ON_DEVICES = 2
"""Batches that are made ahead, so that making one takes no time between two steps."""

_END = 2**62  # grain needs a length; training ends long before.


def batches(
    make: Callable[[int, slice], Tree], first: int, size: int, mesh: jax.sharding.Mesh
) -> Iterator[Tree]:
    """Yields batches number `first`, `first + 1`, ..., split over the devices of all processes.

    Args:
      make: maps the number of a batch and a slice of its rows to these rows, NumPy arrays with a
        leading batch axis; depends on nothing else, and is called from several threads.
      first: the number of the first batch; a run that resumes after n steps begins with batch n.
      size: the number of rows of a batch, of which each process makes only its own.
      mesh: all devices.
    """
    make = functools.partial(make, rows=sharding.own_rows(size))
    options = grain.ReadOptions(num_threads=NUM_THREADS, prefetch_buffer_size=NUM_AHEAD_ON_HOST)
    dataset = grain.MapDataset.range(first, _END).map(make).to_iter_dataset(options)

    put = functools.partial(sharding.put_rows, size=size, mesh=mesh)
    # Transfers run in the background: the next batches are on their way before they are needed.
    arriving = collections.deque()
    for batch in dataset:
        arriving.append(jax.tree.map(put, batch))
        if len(arriving) > NUM_AHEAD_ON_DEVICES:
            yield arriving.popleft()
