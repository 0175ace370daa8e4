"""One mesh axis, `data`: batches are split over devices, everything else is copied to each.

Training uses all devices of all processes. Scores and pictures are the work of the first process on
one device, so they hold nothing that other processes would have to take part in.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def data_mesh() -> Mesh:
    """Returns the mesh of all devices of all processes."""
    # By process, as the rows of a batch that a process makes follow one another. The identifiers of
    # a TPU's devices are not in this order.
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of states: a full copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_split(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of batches: the leading axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def check_batch_size(name: str, batch_size: int, mesh: Mesh) -> None:
    """Raises ValueError unless `batch_size` splits evenly over the devices of `mesh`."""
    if batch_size % mesh.size:
        raise ValueError(
            f"{name}={batch_size} cannot be split over {mesh.size} devices; "
            f"allowed: multiples of {mesh.size}."
        )


def check_share(name: str, batch_size: int, mesh: Mesh) -> None:
    """Raises ValueError unless each device of `mesh` gets clips enough to have statistics."""
    if batch_size < 2 * mesh.size:
        raise ValueError(
            f"{name}={batch_size} is one clip for each of {mesh.size} devices, which has no "
            f"statistics per device; allowed: {2 * mesh.size} or more."
        )


def own_rows(size: int) -> slice:
    """Returns which of `size` rows, a multiple of the number of processes, this process makes."""
    own = size // jax.process_count()
    return slice(jax.process_index() * own, (jax.process_index() + 1) * own)


def put_rows(rows: np.ndarray, size: int, mesh: Mesh) -> jax.Array:
    """Returns `size` rows, split over the devices, of which each process passes its `own_rows`."""
    # Without the shape, two processes with unequal rows would believe in different arrays.
    shape = (size, *rows.shape[1:])
    return jax.make_array_from_process_local_data(batch_split(mesh), rows, shape)


def on_first_device(tree: Any) -> Any:
    """Returns arrays that are copied to every device as arrays on the first one of this process."""
    return jax.tree.map(
        lambda x: x.addressable_data(0) if isinstance(x, jax.Array) else x,
        tree,
    )
