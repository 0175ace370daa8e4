"""The charts of a report, made from what a run left behind; a chart without data is left out."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from drnet_jax.base import wording
from drnet_jax.report import markup, plot
from drnet_jax.report.inputs import Inputs

_STAGES = {"drnet": "Stage 1: content and pose", "predictor": "Stage 2: predicting the pose"}

_METRICS = {
    "reconstruction": "Reconstruction loss",
    "similarity": "Content similarity loss",
    "adversarial": "Adversarial loss of the pose",
    "discriminator": "Discriminator loss",
    "discriminator_accuracy": "Discriminator accuracy",
    "prediction": "Pose prediction loss",
    "total": "Total loss",
}
"""Titles of metrics in the order of their curves; other metrics follow under their own names."""

_SPEEDS = {
    "steps_per_second": "Speed (steps per second)",
    "input_wait": "Waiting for data (share of time)",
}
"""Titles of the metrics whose curves come last."""

# A discriminator that cannot tell always answers 1/2; its cross-entropy is ln 2.
_CURVE_OPTIONS: dict[str, dict[str, Any]] = {
    "adversarial": {"reference": math.log(2)},
    "discriminator": {"reference": math.log(2)},
    "discriminator_accuracy": {"reference": 0.5, "limits": (0, 1)},
}

_ROLLOUTS = (
    # Key of the score, title, answers, range of the y axis.
    ("psnr", "PSNR (dB)", ("model", "copy_last_frame", "mean_frame"), None),
    ("identity", "Identity kept, by the judge", ("model", "true_poses", "truth"), (0, 1)),
    ("position_error", "Position error (px)", ("model", "true_poses", "another_clip"), None),
    ("on_track", "Clips with all objects on their true tracks", ("model",), (0, 1)),
    ("speed_error", "Speed error (px per step)", ("model", "copy_last_frame"), None),
    ("azimuth_error", "Azimuth error, median (degrees)", ("model", "true_poses"), (0, 180)),
    ("azimuth_within_30", "Azimuth within 30 degrees", ("model", "true_poses"), (0, 1)),
    ("inception", "Inception score, by the judge", ("model", "truth"), None),
    ("sharpness", "Sharpness (real frames: 1)", ("model", "mean_frame"), None),
    ("ssim", "SSIM", ("model", "copy_last_frame", "mean_frame"), None),
)

# Content and pose have the same colors in every chart.
_CODES = {"content": "first", "pose": "second"}

_STYLES = {
    "model": "first",
    "truth": "second",
    "true_poses": "trivial",
    "copy_last_frame": "trivial",
    "mean_frame": "faint",
    "another_clip": "faint",
} | _CODES
"""Styles of lines by the key of their score."""

_LEGEND = {key: name.capitalize() for key, name in wording.ANSWERS.items()} | {
    "content": "From content",
    "pose": "From pose",
}


@dataclasses.dataclass(frozen=True)
class Chart:
    """A plot with its title, the last value of its main line, and style and words of each line."""

    title: str
    svg: Markup
    last: float | None = None
    legend: Sequence[tuple[str, str]] = ()


def swaps(inputs: Inputs) -> list[Chart]:
    """Returns charts of the scores of swaps beside those of trivial answers."""
    charts = []
    for metric, title, digits in (("psnr", "PSNR (dB)", 2), ("ssim", "SSIM", 3)):
        rows = {}
        for answer in ("model", "copy_content_frame", "copy_pose_frame", "mean_frame"):
            if score := inputs.score("swap", answer, metric):
                style = "first" if answer == "model" else "trivial"
                rows[_LEGEND[answer]] = [(style, score)]
        if rows:
            svg = plot.rows(rows, f"{title} of swapped frames", digits=digits)
            charts.append(Chart(title, svg))
    return charts


def curves(inputs: Inputs) -> dict[str, list[Chart]]:
    """Returns a chart of each metric logged in training, by the heading of the stage."""
    titles, charts = _METRICS | _SPEEDS, {}
    # Known stages come first; sorting keeps the order of the others.
    stages = sorted(inputs.curves, key=lambda stage: [*_STAGES, stage].index(stage))
    for stage in stages:
        metrics, drawn = inputs.curves[stage], charts.setdefault(_STAGES.get(stage, stage), [])
        for name in [*_METRICS, *sorted(metrics.keys() - titles.keys()), *_SPEEDS]:
            if name in metrics:
                title, (step, last) = titles.get(name, name), metrics[name][-1]
                label = f"{title} against training steps; {markup.number(last)} at step {step:,}"
                style = "second" if stage == "predictor" else "first"
                options = _CURVE_OPTIONS.get(name, {})
                svg = plot.curve(metrics[name], label, style, **options)
                drawn.append(Chart(title, svg, last, _chance(options.get("reference"))))
    return charts


def rollouts(inputs: Inputs) -> list[Chart]:
    """Returns charts of scores over the steps of a rollout."""
    steps, charts = inputs.ascending("rollout", "steps"), []
    for key, title, answers, limits in _ROLLOUTS:
        lines = {name: inputs.series(steps, "rollout", key, name) for name in answers}
        # Motion may repeat, and the last frame be right again at some steps: its peaks would
        # dwarf everything else.
        unfitted = ("trivial",) if key in ("psnr", "ssim") else ()
        charts += _over_steps(
            title,
            "steps of a rollout",
            steps,
            lines,
            chance=inputs.number("rollout", key, "chance"),
            limits=limits,
            unfitted=unfitted,
        )
    return charts


def actions(inputs: Inputs) -> list[Chart]:
    """Returns charts of actions recognized in generated frames, and from few labels."""
    steps, charts = inputs.ascending("actions", "steps"), []
    for key, title, chance, limits in (
        ("inception_score", "Inception score", None, None),
        ("accuracy", "Actions recognized", inputs.number("actions", "judge", "chance"), (0, 1)),
    ):
        lines = {name: inputs.series(steps, "actions", name, key) for name in ("model", "truth")}
        axis = "steps of a rollout"
        charts += _over_steps(title, axis, steps, lines, chance=chance, limits=limits)
    numbers = inputs.ascending("few_shot", "pose", "num_labeled")
    return charts + _over_steps(
        "Action from few labels",
        "the number of labeled clips of each action",
        numbers,
        {name: inputs.series(numbers, "few_shot", name) for name in ("pose", "content")},
        chance=inputs.number("few_shot", "pose", "chance"),
        limits=(0, 1),
    )


def _over_steps(
    title: str,
    axis: str,
    steps: Sequence[float],
    lines: Mapping[str, plot.Series | None],
    *,
    chance: float | None,
    **options: Any,
) -> list[Chart]:
    """Returns a chart of the `lines` that have a score; none unless the first of them has."""
    main = next(iter(lines))
    lines = {name: series for name, series in lines.items() if series}
    if main not in lines:
        return []
    last = lines[main]["mean"][-1]
    svg = plot.over_steps(
        steps,
        # The first line is drawn over the others.
        [(_STYLES[name], lines[name]) for name in reversed(lines)],
        f"{title} against {axis}; {markup.number(last)} at {steps[-1]:,}",
        reference=chance,
        **options,
    )
    legend = [(_STYLES[name], _LEGEND[name]) for name in lines]
    return [Chart(title, svg, last, [*legend, *_chance(chance)])]


def _chance(value: float | None) -> list[tuple[str, str]]:
    """Returns the line of a legend for what chance scores; none without a value."""
    if value is None:
        return []
    return [("reference", "Chance: ln 2" if value == math.log(2) else f"Chance: {value:.3g}")]


def probes(inputs: Inputs) -> list[Chart]:
    """Returns a chart for each kind of probe: what content and pose tell of each factor."""
    charts = []
    for kind, title in (("linear", "Linear probes"), ("mlp", "Probes with a hidden layer")):
        rows, chances = _probed(inputs, kind)
        if rows:
            label = f"{title}: how well each factor is read from content and from pose"
            legend = [(style, _LEGEND[code]) for code, style in _CODES.items()]
            svg = plot.rows(rows, label, chances=chances)
            charts.append(Chart(title, svg, legend=[*legend, ("chance", "Chance")]))
    return charts


def _probed(inputs: Inputs, kind: str) -> tuple[dict[str, list], dict[str, float]]:
    """Returns styles and scores of the probes of this `kind` by factor, and chance by factor."""
    rows, chances = {}, {}
    records = inputs.at("leakage", "probes")
    for record in records if isinstance(records, list) else []:
        # Read with the same care as the whole evaluation.
        probe = dataclasses.replace(inputs, evaluation=record)
        ends = ("mean", "low", "high", "chance")
        score = {end: probe.number("held_out_clips", end) for end in ends}
        if probe.at("probe") != kind or score["mean"] is None or score["chance"] is None:
            continue
        factor = str(probe.at("factor"))
        style = _CODES["content" if probe.at("code") == "content" else "pose"]
        rows.setdefault(factor, []).append((style, score))
        chances[factor] = score["chance"]
    return rows, chances
