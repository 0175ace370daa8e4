"""The scores of a run as text for a terminal."""

from typing import Any

from drnet_jax.base import templates, wording


def text(record: dict[str, Any]) -> str:
    """Returns the scores of `evaluation.json` as small tables; parts that are None are left out."""
    content = {
        (probe["factor"], probe["probe"]): probe["held_out_clips"]
        for probe in record["leakage"]["probes"] or []
        if probe["code"] == "content"
    }
    filters = {
        "interval": wording.interval,
        "number": lambda value, digits: f"{value:.{digits}f}",
        "table": _table,
    }
    template = templates.load("drnet_jax.evaluation", "summary.txt.jinja", filters)
    page = template.render(record, answers=wording.ANSWERS, content=content)
    return "\n".join(line for line in page.splitlines() if line.strip())


def _table(block: str) -> str:
    """Returns aligned lines: the first column to the left, all others to the right."""
    lines = [line.split("|") for line in block.splitlines() if line.strip()]
    if len(lines) < 2:
        return ""
    rows = [[first.rstrip(), *(cell.strip() for cell in others)] for first, *others in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "".join("  ".join(cells) + "\n" for cells in aligned)
