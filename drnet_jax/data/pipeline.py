"""Batches on their way from the host to the devices, made ahead of time by threads."""

import collections
from collections.abc import Callable, Iterator

import grain
import jax
import numpy as np

from drnet_jax.base.arrays import Tree

NUM_THREADS = 2
NUM_AHEAD_ON_HOST = 4
NUM_AHEAD_ON_DEVICES = 2
"""Batches that are made ahead, so that making one takes no time between two steps."""

_END = 2**62  # grain needs a length; training ends long before.


def batches(
    make: Callable[[int], Tree], first: int, sharding: jax.sharding.NamedSharding
) -> Iterator[Tree]:
    """Yields `make(first)`, `make(first + 1)`, ... on the devices.

    Args:
      make: maps the number of a batch to the rows that belong to this process, NumPy arrays with
        a leading batch axis; depends only on the number, and is called from several threads.
      first: the number of the first batch; a run that resumes after n steps begins with batch n.
      sharding: how the batch axis is split over the devices of all processes.
    """
    options = grain.ReadOptions(num_threads=NUM_THREADS, prefetch_buffer_size=NUM_AHEAD_ON_HOST)
    dataset = grain.MapDataset.range(first, _END).map(make).to_iter_dataset(options)

    def put(rows: np.ndarray) -> jax.Array:
        return jax.make_array_from_process_local_data(sharding, rows)

    # Transfers run in the background: the next batches are on their way before they are needed.
    arriving = collections.deque()
    for batch in dataset:
        arriving.append(jax.tree.map(put, batch))
        if len(arriving) > NUM_AHEAD_ON_DEVICES:
            yield arriving.popleft()


def own_rows(batch_size: int, process: int, num_processes: int) -> slice:
    """Returns the rows of a batch that `process` makes.

    Raises:
      ValueError: the processes cannot share the batch evenly.
    """
    if batch_size % num_processes:
        raise ValueError(
            f"A batch of {batch_size} cannot be split over {num_processes} processes; "
            f"allowed: multiples of {num_processes}."
        )
    size = batch_size // num_processes
    return slice(process * size, (process + 1) * size)
