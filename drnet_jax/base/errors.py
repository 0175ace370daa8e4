"""Errors in what the user supplied, as opposed to bugs."""

import contextlib
from collections.abc import Iterator


class InputError(ValueError):
    """Settings, files or folders that cannot be used; the message says in one line why."""


def first_line(error: BaseException) -> str:
    """Returns the first line of the message of `error`, or its type if there is no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def input_errors() -> Iterator[None]:
    """Turns errors raised in its block, where inputs are checked and opened, into `InputError`."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise InputError(str(error).strip() or type(error).__name__) from error
