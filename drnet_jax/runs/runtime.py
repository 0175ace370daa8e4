"""Settings of the process: how it keeps freed memory and compiled programs, and what it prints."""

import ctypes
import os
import sys
import warnings

import jax

from drnet_jax.base import files, local_copy

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Makes the process keep the memory that it frees; returns whether the allocator can do so.

    On CPUs a compiled step allocates one block for all its temporary arrays at each call. By
    default glibc returns a block of this size to the system, and the next call waits until the
    system has cleared every page of it again. The process then stays as large as its largest step.
    This changes nothing on other platforms, and no numbers.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # The C library is not glibc.
        return False
    # No mmap, and a heap that is never trimmed. Only the main arena can hold blocks of this size;
    # the others are for threads that compile, which would wait for each other in a single one.
    arenas = 1 + (os.cpu_count() or 1)
    options = ((_M_ARENA_MAX, arenas), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1))
    accepted = [set_option(option, value) for option, value in options]
    return all(accepted)


def keep_compiled_programs() -> None:
    """Makes JAX keep compiled programs in the user's cache, unless another folder is set."""
    if not files.is_local(jax.config.jax_compilation_cache_dir or ""):
        # XLA itself would take the address of a bucket for a folder on the disk.
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    if jax.config.jax_compilation_cache_dir is None:
        folder = local_copy.cache_folder() / "programs"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # By default JAX keeps what takes a second, and a run has dozens of smaller programs.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def silence_failed_checkpoints() -> None:
    """Hides what Orbax leaves behind when a checkpoint cannot be written: hundreds of lines.

    These are coroutines that nobody awaits, and calls of TensorStore to an event loop that is
    closed. Orbax itself raises the error, which the run reports.
    """
    warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
    hook = sys.unraisablehook

    def report(unraisable) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    sys.unraisablehook = report
