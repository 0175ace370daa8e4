"""The report of a run: one HTML file that needs nothing beside it, made from the run's folder."""

import importlib.resources
import string

from etils import epath

from drnet_jax.base import files
from drnet_jax.report import evaluated, motion, sections
from drnet_jax.report.inputs import Inputs


def refresh(workdir: epath.PathLike) -> None:
    """Writes the report anew where there is one: it means that the run is finished."""
    if (epath.Path(workdir) / "report.html").exists():
        write(workdir)


def write(workdir: epath.PathLike) -> epath.Path:
    """Writes `report.html` into `workdir` and returns its path.

    It can be made at any time: what the run has not written yet is named as missing.

    Args:
      workdir: folder of a run, local or `gs://`. Read are `config.json`, `environment.json`,
        `metrics.jsonl`, `evaluation.json` and the pictures in `samples/`.

    Raises:
      ValueError: when there is no such folder.
    """
    workdir = epath.Path(workdir)
    if not workdir.is_dir():
        raise ValueError(f"No report without a run: {str(workdir)!r} is not a folder.")
    inputs = Inputs.read(workdir)
    folder = importlib.resources.files(__name__)
    page = string.Template(folder.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        style=folder.joinpath("style.css").read_text(encoding="utf-8"),
        title=sections.title(inputs),
        head=sections.head(inputs),
        headline=sections.headline(inputs),
        swap=sections.swap(inputs),
        rollout=sections.rollout(inputs),
        scores=sections.scores(inputs),
        horizons=evaluated.horizons(inputs),
        judged=evaluated.judged(inputs),
        leakage=evaluated.leakage(inputs),
        actions=motion.actions(inputs),
        neighbors=motion.neighbors(inputs),
        curves=sections.curves(inputs),
        progress=sections.progress(inputs),
        settings=sections.settings(inputs),
        environment=sections.environment(inputs),
        reproduce=sections.reproduce(inputs),
    )
    return files.write_atomically(workdir / "report.html", page)
