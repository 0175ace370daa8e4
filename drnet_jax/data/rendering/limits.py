"""What settings of rendered data sets may be, said in one line when they are not."""

from collections.abc import Sequence
from typing import Any


def at_least(config: Any, **limits: int) -> None:
    """Raises ValueError unless the attributes of `config` that `limits` names reach them."""
    for name, limit in limits.items():
        if (value := getattr(config, name)) < limit:
            raise ValueError(f"config.data.stand_in.{name}={value}; allowed: {limit} or more.")


def elevations(values: Sequence[float]) -> None:
    """Raises ValueError unless `values` are different elevations of a camera in degrees."""
    # From below the floor nothing is seen, and from above no azimuth.
    if not values or len(set(values)) < len(values) or not all(0 <= v <= 80 for v in values):
        raise ValueError(
            f"config.data.stand_in.elevations={tuple(values)}; allowed: one or more different "
            "ones from 0 to 80 degrees."
        )


def elevations_in_name(values: Sequence[float]) -> str:
    """Returns `values` as part of the name of a folder."""
    return "_".join(f"{value:g}".replace(".", "p") for value in values)
