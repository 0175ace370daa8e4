"""Values of settings on a command line, in the forms in which people write them."""

import ast
import decimal
from collections.abc import Mapping
from typing import Any

_MOST_DIGITS = 30  # More than any setting needs, and few enough to write out.
_SWITCHES = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def plain(name: str, text: str, present: Any) -> str:
    """Returns `text` as absl reads it for a setting whose value is `present` so far.

    Whole numbers may be written as in `1000`, `1_000`, `1e3` and `1000.0`.

    Args:
      name: the setting's dotted name, for error messages.
      text: what the user wrote.
      present: the value that `text` is to replace, which says what it has to be.

    Raises:
      ValueError: `text` is of another kind than `present`.
    """
    try:
        match present:
            case bool():
                return str(_SWITCHES[text.strip().lower()])
            case int():
                return str(_whole(text))
            case float():
                return str(float(text))
            case tuple() | list():
                return str(_tuple(text, present))
    except (ValueError, KeyError, SyntaxError):
        raise ValueError(f"{name}={text!r}; allowed: {_allowed(present)}.") from None
    if isinstance(present, Mapping):
        known = ", ".join(sorted(present))
        raise ValueError(f"{name} is a section; allowed: --{name}.<name>=..., of {known}.")
    return text


def _whole(text: str) -> int:
    try:
        number = decimal.Decimal(text.strip())  # Reads 1_000 and 1e3, and is exact.
    except decimal.InvalidOperation:
        raise ValueError(text) from None
    # The exponent first: 1e999999999 would fill the memory.
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS or number % 1:
        raise ValueError(text)
    return int(number)


def _tuple(text: str, present: tuple | list) -> tuple:
    values = ast.literal_eval(text.strip())
    values = tuple(values) if isinstance(values, tuple | list) else (values,)
    kinds = {type(value) for value in present}
    if any(type(value) not in (int, float) for value in values):
        raise ValueError(text)
    return tuple(_whole(str(value)) if kinds == {int} else value for value in values)


def _allowed(present: Any) -> str:
    match present:
        case bool():
            return "True, False"
        case int():
            return "whole numbers, such as 1000, 1_000 or 1e3"
        case float():
            return "numbers, such as 0.002 or 2e-3"
    kind = "whole numbers" if all(type(value) is int for value in present) else "numbers"
    return f"{kind} in parentheses, such as {tuple(present)}"
