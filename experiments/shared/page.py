"""One page with the figures that scripts left in a folder, in the style of a run's report."""

import importlib.resources
from collections.abc import Mapping
from typing import Any

from etils import epath
from PIL import Image

from drnet_jax.base import files, templates
from drnet_jax.report.inputs import read_json
from experiments.shared import figure


def write(out: epath.PathLike, titles: Mapping[str, str], environment: Mapping[str, Any]) -> Any:
    """Writes `index.html` into `out` and returns its path.

    Args:
      out: the folder with figures and, in `outcomes/`, a record of how each script ended.
      titles: of all scripts by name, in the order of the page; a script without outcome and figures
        is left out.
      environment: machine and versions.
    """
    out = epath.Path(out)
    records = [read_json(path) for path in sorted(out.glob("*.json"))]
    sections = []
    for name, title in titles.items():
        outcome = read_json(out / "outcomes" / f"{name}.json")
        figures = [_figure(out, record) for record in records if record.get("script") == name]
        if outcome or figures:  # Scripts started by hand leave figures without an outcome.
            sections.append(dict(name=name, title=title, outcome=outcome, figures=figures))
    style = importlib.resources.files("drnet_jax.report") / "style.css"
    template = templates.load("experiments.shared", "page.html", autoescape=True)
    text = template.render(
        style=style.read_text(encoding="utf-8"), sections=sections, environment=environment
    )
    return files.write_atomically(out / "index.html", text)


def _figure(out: epath.Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the record of a figure with the size of its picture, if any, and its files."""
    name = record["figure"]
    try:
        with Image.open(out / f"{name}.png") as picture:
            size = picture.size
    except OSError:
        size = None
    kinds = [kind for kind in figure.KINDS if (out / f"{name}.{kind}").exists()]
    # Runs with the same note need to be named only once.
    notes = {run["note"]: run["stand_in"] for run in record["runs"]}
    return dict(record) | {"size": size, "kinds": kinds, "notes": notes}
