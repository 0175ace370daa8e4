"""Names of array types, and the two forms of frames: uint8 to store, float to compute."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array | np.ndarray

Tree = Any
"""A pytree of arrays: parameters, gradients, running statistics, optimizer memory."""

Metrics = dict[str, jax.Array]
"""Scalars of one step by name, still on the device."""


def as_float(frames: Array) -> Array:
    """Returns frames in [0, 1]: uint8 divided by 255, floats unchanged."""
    if frames.dtype == jnp.uint8:
        return frames.astype(jnp.float32) / 255
    return jnp.asarray(frames)


def as_uint8(frames: Array) -> jax.Array:
    """Returns frames in [0, 1] as uint8, rounded to the nearest level."""
    return jnp.round(jnp.clip(frames, 0, 1) * 255).astype(jnp.uint8)
