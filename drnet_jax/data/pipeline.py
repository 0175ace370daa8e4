"""Batches from the host to the devices: made ahead by threads, one function call each."""

import collections
from collections.abc import Callable, Iterator

import grain
import jax
import numpy as np

from drnet_jax.base.arrays import Tree

NUM_THREADS = 2
NUM_AHEAD_ON_HOST = 4
NUM_AHEAD_ON_DEVICES = 2
"""Batches that wait: what a step costs to feed is hidden behind the steps before it."""

_END = 2**62  # grain wants one; training ends long before.


def batches(
    make: Callable[[int], Tree], first: int, sharding: jax.sharding.NamedSharding
) -> Iterator[Tree]:
    """Yields `make(first)`, `make(first + 1)`, ... on the devices.

    Args:
      make: number of a batch to the rows of it that belong to this process, NumPy arrays with a
        leading batch axis; a function of the number alone, and safe to call from any thread.
      first: where to begin: a run that was interrupted after n steps begins with batch n.
      sharding: of the leading axis over the devices of all processes.
    """
    options = grain.ReadOptions(num_threads=NUM_THREADS, prefetch_buffer_size=NUM_AHEAD_ON_HOST)
    dataset = grain.MapDataset.range(first, _END).map(make).to_iter_dataset(options)

    def put(rows: np.ndarray) -> jax.Array:
        return jax.make_array_from_process_local_data(sharding, rows)

    # Transfers run in the background: those of the next batches begin before they are asked for.
    arriving = collections.deque()
    for batch in dataset:
        arriving.append(jax.tree.map(put, batch))
        if len(arriving) > NUM_AHEAD_ON_DEVICES:
            yield arriving.popleft()


def own_rows(batch_size: int, process: int, num_processes: int) -> slice:
    """Returns which rows of a batch `process` makes.

    Raises:
      ValueError: when the processes cannot share the batch evenly.
    """
    if batch_size % num_processes:
        raise ValueError(
            f"A batch of {batch_size} cannot be split over {num_processes} processes; "
            f"allowed: multiples of {num_processes}."
        )
    size = batch_size // num_processes
    return slice(process * size, (process + 1) * size)
