"""The report of a run: one self-contained HTML file, made from the files in the run's folder."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from drnet_jax.base import files, stopping, wording
from drnet_jax.report import markup
from drnet_jax.report.inputs import Inputs


def refresh(workdir: epath.PathLike) -> None:
    """Writes the report again if there is one, that is, if the run is finished."""
    if (epath.Path(workdir) / "report.html").exists():
        write(workdir)


def write(workdir: epath.PathLike) -> epath.Path:
    """Writes `report.html` into `workdir` and returns its path.

    This works at any time: the report names what the run has not written yet.

    Args:
      workdir: folder of a run, local or `gs://`, with `config.json`, `environment.json`,
        `metrics.jsonl`, `evaluation.json` and the pictures in `samples/`.

    Raises:
      ValueError: when the folder does not exist.
    """
    stopping.doing("writing the report", "the trained model is saved")
    # Imports matplotlib, which would delay the start of training by a second.
    from drnet_jax.report import charts, interactive

    workdir = epath.Path(workdir)
    if not workdir.is_dir():
        raise ValueError(f"No report without a run: {str(workdir)!r} is not a folder.")
    inputs = Inputs.read(workdir)
    command = inputs.environment.get("command")
    revision = inputs.environment.get("git_revision")
    script, script_name = markup.script()
    page = markup.render(
        "page.html",
        title=workdir.name or str(workdir),
        data=_data(inputs),
        inputs=inputs,
        charts=charts,
        interactive=interactive,
        script=script,
        script_name=script_name,
        answers=wording.ANSWERS,
        best_trivial=_best_trivial(inputs),
        curves=charts.curves(inputs),
        environment={k: v for k, v in inputs.environment.items() if k != "command"},
        command=" ".join(map(str, command)) if isinstance(command, list) else command,
        revision=None if revision == "unknown" else revision,
    )
    return files.write_atomically(workdir / "report.html", page)


def _data(inputs: Inputs) -> dict[str, Any]:
    """Returns name, note and split of the data, and whether they stand in for others."""
    scored = inputs.evaluation.get("data") or inputs.environment.get("data") or {}
    scored = scored if isinstance(scored, Mapping) else {"note": scored}
    configured = inputs.config.get("data")
    configured = configured if isinstance(configured, Mapping) else {}
    return {
        "name": scored.get("name") or configured.get("name"),
        "note": scored.get("note") or inputs.environment.get("data"),
        "split": scored.get("split"),
        "stand_in": scored.get("stand_in"),
    }


def _best_trivial(inputs: Inputs) -> tuple[str, float] | None:
    """Returns name and PSNR in dB of the trivial answer that is best at swaps."""
    answers = ("copy_content_frame", "copy_pose_frame", "mean_frame")
    scores = {key: inputs.number("swap", key, "psnr", "mean") for key in answers}
    scores = {wording.ANSWERS[key]: psnr for key, psnr in scores.items() if psnr is not None}
    return max(scores.items(), key=lambda item: item[1]) if scores else None
