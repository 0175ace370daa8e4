"""Named random streams: everything random is a function of (seed, name, step).

No state carries a key, so a resumed run draws what an uninterrupted one would have drawn.
"""

import zlib

import jax
import numpy as np


def root(seed: int) -> jax.Array:
    """Returns the key of a run; `seed`, from `config.seed`, is in [0, 2**32)."""
    return jax.random.key(seed)


def stream(key: jax.Array, name: str, step: int | jax.Array = 0) -> jax.Array:
    """Returns the key of stream `name` at `step`, which may be a traced value."""
    # A checksum, because hash() changes from one process to the next.
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), step)


def host_stream(seed: int, name: str, step: int = 0) -> np.random.Generator:
    """Returns a NumPy generator for stream `name` at `step`, without waiting for devices."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), step])


def host_generator(key: jax.Array) -> np.random.Generator:
    """Returns a NumPy generator seeded by `key`."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
