"""Training a run on to a later end than it was begun with.

It ends as a run that had more steps from its beginning, bit for bit. The first stage therefore goes
on from the checkpoint before its last one, whose statistics of BatchNorm were recomputed, and the
predictor of other encoders begins anew. What was finished is kept in `before_extension/` until the
extended run is, too; the old settings count until everything has been moved there.
"""

import copy
from collections.abc import Mapping
from typing import Any

from etils import epath

from drnet_jax.base import files
from drnet_jax.runs import rollbacks
from drnet_jax.runs.workdir import STAGES, checkpoint_folder, is_finished, saved_steps

KEPT = "before_extension"

Settings = Mapping[str, Any]


def longer(stored: Settings, given: Settings) -> list[str]:
    """Returns the stages that have more steps in `given` than in `stored`, nested settings."""
    return [name for name in STAGES if given[name]["num_steps"] > stored[name]["num_steps"]]


def lengthened(stored: Settings, given: Settings) -> dict[str, Any]:
    """Returns the settings `stored` with the larger numbers of steps of both."""
    settings = copy.deepcopy(dict(stored))
    for name in longer(stored, given):
        settings[name]["num_steps"] = given[name]["num_steps"]
    return settings


def check(stored: Settings, given: Settings, workdir: epath.PathLike) -> None:
    """Raises ValueError if the run in `workdir` cannot go on to the steps in `given`."""
    stages = longer(stored, given)
    if stages == ["predictor"] and saved_steps(workdir, "predictor"):
        _check_length_is_free("predictor", stored["predictor"], given["predictor"]["num_steps"])
    steps = saved_steps(workdir, "drnet")
    if "drnet" not in stages or not steps:
        return
    _check_length_is_free("drnet", stored["drnet"], given["drnet"]["num_steps"])
    if steps == [stored["drnet"]["num_steps"]]:
        raise ValueError(
            f"{workdir} cannot be extended: drnet would go on from the checkpoint before its last "
            "one, whose statistics of BatchNorm were recomputed, and there is no other. "
            "checkpoint_every_steps and keep_checkpoints decide what there is."
        )


def _check_length_is_free(stage: str, settings: Settings, num_steps: int) -> None:
    """Raises ValueError if the steps of a stage depend on how many there are."""
    reason, old = None, settings["num_steps"]
    if settings["schedule"] != "constant":
        reason = f"config.{stage}.schedule={settings['schedule']}"
    elif settings.get("scheduled_sampling"):
        reason = f"config.{stage}.scheduled_sampling={settings['scheduled_sampling']:g}"
    elif settings.get("passes_per_set", 1) > 1 and settings["batches_per_set"] > old:
        reason = f"the size of a set, at most config.{stage}.num_steps,"
    if reason:
        raise ValueError(
            f"config.{stage}.num_steps cannot be extended from {old:,} to {num_steps:,}: "
            f"{reason} depends on it, so the steps that are done would have been others."
        )


def plan(stored: Settings, given: Settings, workdir: epath.PathLike) -> list[str]:
    """Returns what `begin` is about to do, in lines for people."""
    lines = []
    for name in longer(stored, given):
        old, new = stored[name]["num_steps"], given[name]["num_steps"]
        steps = saved_steps(workdir, name)
        if name == "drnet" and old in steps:
            how = (
                f"it goes on after step {steps[-2]:,}, as statistics of BatchNorm were recomputed "
                "after the last one"
            )
        elif steps and longer(stored, given)[0] == name:
            how = f"it goes on after step {steps[-1]:,}"
        else:
            how = "it has not begun yet" if not steps else "it begins anew"
        lines.append(f"Extending {name} from {old:,} to {new:,} steps: {how}.")
    if "drnet" in longer(stored, given) and saved_steps(workdir, "predictor"):
        lines.append("The predictor is trained again from its start, as its encoders change.")
    if is_finished(workdir):
        lines.append(f"What is replaced is kept in {KEPT}/ until the run is finished again.")
    return lines


def begin(stored: Settings, given: Settings, workdir: epath.PathLike) -> None:
    """Makes the workdir one of an unfinished run that can go on to the steps in `given`.

    An interrupted call can be repeated. The caller writes the new settings afterwards.
    """
    workdir = epath.Path(workdir)
    settings, kept = files.read(workdir / "config.json"), workdir / KEPT
    if is_finished(workdir):
        if kept.exists():
            kept.rmtree()
        for name in ("config.json", "evaluation.json"):
            if (workdir / name).exists():
                files.write_atomically(kept / name, files.read(workdir / name))
        files.write_atomically(kept / "report.html", files.read(workdir / "report.html"))
        (workdir / "report.html").unlink()
    # Otherwise what is kept is of this extension, which was interrupted here, or of an earlier one.
    keeps = (kept / "config.json").exists() and files.read(kept / "config.json") == settings
    if "drnet" not in longer(stored, given):
        return
    last = str(stored["drnet"]["num_steps"])
    for folder in (
        checkpoint_folder(workdir, "drnet") / last,
        checkpoint_folder(workdir, STAGES[1]),
    ):
        if not folder.exists():
            continue
        if keeps:
            target = kept / folder.relative_to(workdir)
            target.parent.mkdir(parents=True, exist_ok=True)
            files.move(folder, target)
        else:
            folder.rmtree()
    made = rollbacks.read(workdir)
    if made:
        rollbacks.write(workdir, [each for each in made if each.stage == "drnet"])


def end(workdir: epath.PathLike) -> None:
    """Deletes what was kept of the run before it was extended."""
    kept = epath.Path(workdir) / KEPT
    if kept.exists():
        kept.rmtree()
