"""Pages from jinja2 templates, and the way numbers are written on them."""

import base64
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from drnet_jax.base import templates, wording

_MINUS = "\N{MINUS SIGN}"


def render(template: str, **values: Any) -> str:
    """Returns the page that a template of this package makes of `values`, which are escaped."""
    filters = {
        "base64": lambda data: base64.b64encode(data).decode(),
        "count": count,
        "fixed": lambda value, digits: f"{value:.{digits}f}",
        "number": number,
        "percent": lambda share, digits=0: f"{share:.{digits}%}",
        "plain": plain,
        "ends": wording.ends,
        "settings_groups": settings_groups,
        "signed": lambda value: f"{value:+.2f}".replace("-", _MINUS),
    }
    page = templates.load("drnet_jax.report", template, filters, autoescape=True)
    return page.render(values)


def script() -> tuple[Markup, str]:
    """Returns the script of a page, and the name by which a page allows it and no other."""
    text = (pathlib.Path(__file__).parent / "report.js").read_text()
    # A page is well-formed XML too, in which `&` and `<` would need other spellings.
    text = f"/*<![CDATA[*/\n{text}/*]]>*/"
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


def number(value: float, digits: int = 3) -> str:
    """Returns `value` with `digits` significant digits, and a minus sign where it is negative."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 5:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(power)}"
    else:
        text = f"{value:.{max(0, digits - 1 - exponent)}f}"
    return text.replace("-", _MINUS)


def count(amount: Any, noun: str) -> str:
    """Returns `amount` and `noun`, in the plural unless it is 1; the noun alone for None."""
    words = noun if amount == 1 else f"{noun}s"
    if amount is None:
        return words
    return f"{amount:,} {words}" if isinstance(amount, int) else f"{amount} {words}"


def plain(value: Any) -> str:
    """Returns a setting as text: lists without brackets, strings without quotation marks."""
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return value if isinstance(value, str) else json.dumps(value)


def settings_groups(record: Mapping[str, Any], group: str = "") -> dict[str, dict[str, Any]]:
    """Returns nested settings as one flat group for each level, by its dotted name."""
    groups: dict[str, dict[str, Any]] = {group: {}}
    for key, value in record.items():
        if isinstance(value, Mapping):
            groups |= settings_groups(value, f"{group}.{key}" if group else str(key))
        else:
            groups[group][str(key)] = value
    return {name: settings for name, settings in groups.items() if settings}
