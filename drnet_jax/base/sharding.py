"""One mesh axis, `data`: batches are split over devices, everything else is copied to each."""

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def data_mesh() -> Mesh:
    """Returns the mesh of all devices of all processes."""
    axis_types = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=axis_types)


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
