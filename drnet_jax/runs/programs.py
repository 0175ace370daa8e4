"""Where JAX keeps what it compiles, so that a second run of the same networks starts at once."""

import os
import pathlib

import jax


def keep_compiled() -> None:
    """Has JAX keep compiled programs in the user's cache, unless it is already told where."""
    if jax.config.jax_compilation_cache_dir is None:
        folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        jax.config.update("jax_compilation_cache_dir", str(folder / "drnet_jax" / "programs"))
