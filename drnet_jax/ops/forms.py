"""The choice between forms of an operation that compute the same numbers on different platforms."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import jax
from jax import lax

_PORTABLE = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """In its block, functions are traced with the forms of operations that any platform can run.

    This is for programs that run elsewhere. They do not depend on the platform, and the size of
    their batch may be a symbol, which the conditions of other forms cannot compare with numbers.
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
    """Returns the result of one of several forms of a function of `operands`.

    The platform that runs the program decides which: `forms` are by platform, such as `cpu`, and
    `default` is for all others. All forms return arrays of one shape and dtype.
    """
    if is_portable():
        return default(*operands)
    return lax.platform_dependent(*operands, default=default, **forms)
