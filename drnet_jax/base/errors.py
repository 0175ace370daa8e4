"""Mistakes in what a user handed over, as opposed to bugs."""

import contextlib
from collections.abc import Iterator


class InputError(ValueError):
    """Settings, files or folders that cannot be used; the message says in one line why."""


@contextlib.contextmanager
def input_errors() -> Iterator[None]:
    """Raises what goes wrong while inputs are checked and opened as `InputError`."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise InputError(str(error).strip() or type(error).__name__) from error
