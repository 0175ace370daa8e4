"""How the process's allocator treats memory that a CPU program has used."""

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed() -> bool:
    """Lets the process keep the memory that it frees; returns whether the allocator can do so.

    On CPU a compiled step takes one block for all its temporary arrays at each call and frees it
    after. glibc by default gives a block of this size back to the system, and the next call waits
    until the system has cleared every page of it anew. Kept, it is there already. The process
    then stays as large as its largest step. For processes that call large programs many times; it
    changes nothing on other platforms, and nothing about numbers.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # No glibc.
        return False
    # One arena, as the others cannot hold blocks of this size; from the heap, which is never cut.
    options = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1))
    accepted = [set_option(option, value) for option, value in options]
    return all(accepted)
