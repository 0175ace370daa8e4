"""One page with the figures that the scripts left in a folder, in the look of a run's report."""

import ast
import dataclasses
import importlib.resources
import pathlib
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from PIL import Image

from drnet_jax.base import files
from drnet_jax.report import markup
from drnet_jax.report.inputs import read_json

_LOGGED = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d")
"""How lines of absl's and XLA's logs begin."""

_PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>DrNET: figures and tables</title>
<style>
$style
.pixels { image-rendering: auto; }
.wide > pre { width: max-content; min-width: 100%; white-space: pre; overflow-wrap: normal; }
section > .wide { margin-bottom: 24px; }
a { color: var(--first); }
.contents { padding-left: 1.4em; }
.files { white-space: nowrap; }
figure + .data { margin-top: -18px; }
</style>
</head>
<body>
<main>
<header>
<p class="kind">DrNET in JAX</p>
<h1>Figures and tables</h1>
<p class="lead">What the scripts in <code>experiments/</code> made of finished runs, in the paper's
order. Each figure comes with the arrays and numbers behind it.</p>
<ol class="contents">
$contents
</ol>
</header>
$sections
<section>
<h2>Machine and versions</h2>
$environment
</section>
</main>
</body>
</html>
""")


@dataclasses.dataclass(frozen=True)
class Printed:
    """What a script printed, taken apart.

    Attributes:
      figures: names of the figures that it wrote.
      tables: its text without the training before it, and without the names of files.
      warnings: lines that say that a run was used with settings of its own.
    """

    figures: Sequence[str]
    tables: str
    warnings: Sequence[str]


def write(out: epath.PathLike, names: Sequence[str], environment: Mapping[str, Any]) -> epath.Path:
    """Writes `index.html` into `out` and returns its path.

    Args:
      out: the folder, with the logs, figures and outcomes of those scripts that have been run.
      names: of scripts, in the order of the page.
      environment: machine and versions.
    """
    out = epath.Path(out)
    there = [name for name in names if (out / f"{name}.log").exists()]
    style = importlib.resources.files("drnet_jax.report") / "style.css"
    text = _PAGE.substitute(
        style=style.read_text(encoding="utf-8"),
        contents="\n".join(
            f'<li><a href="#{name}">{markup.escape(_title(name))}</a></li>' for name in there
        ),
        sections="\n".join(_section(out, name) for name in there),
        environment=markup.settings_table({k: v for k, v in environment.items() if v != ""}),
    )
    return files.write_atomically(out / "index.html", text)


def last_line(log: epath.PathLike) -> str:
    """Returns the last line of a log that says anything."""
    return next((line for line in reversed(_lines(epath.Path(log))) if line.strip()), "no output")


def read_log(log: epath.PathLike) -> Printed:
    """Returns what a script printed; see `figure.write` for the lines on files and data."""
    lines = _lines(epath.Path(log))
    warnings = [line for line in lines if " has settings of its own: " in line]
    # Training ends with where its report is.
    start = max((i + 1 for i, line in enumerate(lines) if line.startswith("Open ")), default=0)
    figures, tables = [], []
    for line in lines[start:]:
        path = pathlib.PurePath(line)
        if path.suffix in (".png", ".npz", ".json") and path.parent.name == log.parent.name:
            figures += [path.stem] if path.suffix == ".json" else []
        elif not (line.startswith("Data: ") or line in warnings or _LOGGED.match(line)):
            tables.append(line.rstrip())
    return Printed(figures, "\n".join(tables).strip("\n"), warnings)


def _lines(log: epath.Path) -> list[str]:
    """Returns the lines of a log as a terminal shows them, a progress bar in its last state."""
    text = log.read_bytes().decode(errors="replace").replace("\r\n", "\n")
    return [line.rsplit("\r", 1)[-1] for line in text.split("\n")]


def _section(out: epath.Path, name: str) -> str:
    printed, outcome = read_log(out / f"{name}.log"), read_json(out / "outcomes" / f"{name}.json")
    took = f"{outcome['seconds']:,.0f} s, " if "seconds" in outcome else ""
    parts = [
        f'<section id="{name}">',
        f"<h2>{markup.escape(_title(name))}</h2>",
        f'<p class="note">{took}<code>experiments.{name}</code>, '
        f'<a href="{name}.log">everything it printed</a></p>',
    ]
    if outcome.get("code"):
        words = markup.escape(last_line(out / f"{name}.log"))
        parts.append(markup.missing(f"Failed, what is here may be older: {words}"))
    parts += [markup.missing(markup.escape(line)) for line in printed.warnings]
    if printed.tables and not outcome.get("code"):
        parts.append(markup.wide(f"<pre>{markup.escape(printed.tables)}</pre>", "Printed table"))
    parts += [_figure(out, figure) for figure in printed.figures]
    return "\n".join([*parts, "</section>"])


def _figure(out: epath.Path, name: str) -> str:
    """Returns a figure with its caption, its data and links to its files."""
    record = read_json(out / f"{name}.json")
    caption, runs = record.get("caption", ""), record.get("runs", [])
    try:
        with Image.open(out / f"{name}.png") as picture:
            width, height = picture.size
    except OSError:
        return markup.missing(f"<code>{markup.escape(name)}.png</code> cannot be opened.")
    image = (
        f'<img class="pixels" src="{name}.png" width="{width}" height="{height}" loading="lazy" '
        f'alt="{markup.escape(caption or name)}">'
    )
    links = ", ".join(
        f'<a href="{name}.{kind}">{kind.upper()}</a>'
        for kind in ("png", "npz", "json")
        if (out / f"{name}.{kind}").exists()
    )
    words = f'{markup.escape(caption)} <span class="files">{links}</span>'
    return markup.figure(markup.wide(image, name), words) + _data(runs)


def _data(runs: Sequence[Mapping[str, Any]]) -> str:
    """Returns a line for each data set; those that stand in for the paper's stand out."""
    notes = {(f"{run.get('data', '')}.{_steps(run)}", bool(run.get("stand_in"))) for run in runs}
    tags = {
        True: '<span class="tag warning">Stand-in data</span>',
        False: '<span class="tag">Data</span>',
    }
    return "".join(
        f'<p class="data">{tags[stand_in]} <span class="note">{markup.escape(note)}</span></p>'
        for note, stand_in in sorted(notes)
    )


def _steps(run: Mapping[str, Any]) -> str:
    stages = [run.get("settings", {}).get(name, {}) for name in ("drnet", "predictor")]
    steps = [f"{stage['num_steps']:,}" for stage in stages if "num_steps" in stage]
    return f" {' + '.join(steps)} training steps." if steps else ""


def _title(name: str) -> str:
    """Returns the first line of a script's docstring."""
    path = pathlib.Path(__file__).parent.parent / f"{name}.py"
    try:
        words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except OSError:
        words = None
    return words.splitlines()[0].rstrip(".") if words else name
