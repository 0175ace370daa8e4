"""Small pieces of HTML; every value from outside is escaped here."""

import base64
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def escape(value: Any) -> str:
    """Returns `value` as text that is safe between tags and in quoted attributes."""
    return html.escape(str(value), quote=True)


def number(value: float, digits: int = 3) -> str:
    """Returns `value` with so many significant digits; a minus sign, not a hyphen."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 5:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(power)}"
    else:
        text = f"{value:.{max(0, digits - 1 - exponent)}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def signed(value: float) -> str:
    """Returns `value` with its sign and two decimals."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def missing(words: str) -> str:
    """Returns the line that stands where something is not there; `words` are ours, not escaped."""
    return f'<p class="missing">{words}</p>'


def image(data: bytes, alt: str, kind: str, css: str = "") -> str:
    """Returns an `<img>` that carries its own `data`; `kind` is "png" or "gif"."""
    encoded = base64.b64encode(data).decode()
    return (
        f'<img class="pixels {css}" alt="{escape(alt)}" src="data:image/{kind};base64,{encoded}">'
    )


def wide(content: str, label: str) -> str:
    """Returns `content` in a box that scrolls by itself where the page is narrow."""
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(label)}">{content}</div>'
    )


def figure(content: str, caption: str, css: str = "") -> str:
    """Returns `content` over `caption`, both of them HTML."""
    return f'<figure class="{css}">{content}<figcaption>{caption}</figcaption></figure>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], css: str = "") -> str:
    """Returns a table whose first column names the rows; cells are HTML."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    head = f"<thead><tr>{head}</tr></thead>" if header else ""
    return f'<table class="{css}">{head}<tbody>{body}</tbody></table>'


def settings_table(record: Mapping[str, Any]) -> str:
    """Returns nested settings as one table per group, groups within groups by dotted name."""
    groups: dict[str, list[tuple[str, str]]] = {"": []}

    def collect(record: Mapping[str, Any], group: str) -> None:
        for key, value in record.items():
            if isinstance(value, Mapping):
                name = f"{group}.{key}" if group else str(key)
                groups.setdefault(name, [])
                collect(value, name)
            else:
                groups[group].append((escape(key), f"<code>{escape(_plain(value))}</code>"))

    collect(record, "")
    parts = [
        f'<div class="group">{f"<h3>{escape(name)}</h3>" if name else ""}{table((), rows)}</div>'
        for name, rows in groups.items()
        if rows
    ]
    return f'<div class="groups">{"".join(parts)}</div>'


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)
