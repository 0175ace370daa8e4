"""The choice between forms of an operation that compute the same numbers on different platforms."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import jax
from jax import lax

_PORTABLE = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """While functions are traced within it, operations take the form that any platform can run.

    Programs for other runtimes are traced so: they do not depend on the platform, and their batch
    may be a symbol, which the conditions of other forms cannot compare with numbers.
    """
    token = _PORTABLE.set(True)
    try:
        yield
    finally:
        _PORTABLE.reset(token)


def is_portable() -> bool:
    """Returns whether this is within `portable`."""
    return _PORTABLE.get()


def by_platform(
    *operands: jax.Array, default: Callable[..., jax.Array], **forms: Callable[..., jax.Array]
) -> jax.Array:
    """Returns what the form for the platform that runs it makes of `operands`.

    `forms` are by platform, such as `cpu`; `default` is for all others.
    """
    if is_portable():
        return default(*operands)
    return lax.platform_dependent(*operands, default=default, **forms)
