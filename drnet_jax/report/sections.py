"""The sections of a report, each a function of what the run left behind that returns HTML."""

import math
from collections.abc import Mapping

from drnet_jax.report import charts, markup
from drnet_jax.report.inputs import Inputs, spread

ANSWERS = {
    "model": "This model",
    "copy_content_frame": "Copy content frame",
    "copy_pose_frame": "Copy pose frame",
    "mean_frame": "Mean frame",
}
"""Whose scores are compared: names of `evaluation.json` and of the page."""

METRICS = {
    "reconstruction": "Reconstruction loss",
    "similarity": "Content similarity loss",
    "adversarial": "Adversarial loss of the pose",
    "discriminator": "Discriminator loss",
    "discriminator_accuracy": "Discriminator accuracy",
    "prediction": "Pose prediction loss",
    "steps_per_second": "Speed (steps per second)",
    "input_wait": "Waiting for data (share of the time)",
}
"""Known metrics in the order they are shown; others follow under their own name."""

_SPEEDS = ("steps_per_second", "input_wait")

STAGES = {"drnet": "Stage 1: content and pose", "predictor": "Stage 2: predicting the pose"}

# A discriminator that knows nothing answers 1/2 always: its cross-entropy is ln 2.
_REFERENCES = {
    "adversarial": (math.log(2), "chance: ln 2"),
    "discriminator": (math.log(2), "chance: ln 2"),
    "discriminator_accuracy": (0.5, "chance"),
}
_LIMITS = {"discriminator_accuracy": (0.0, 1.0)}


def title(inputs: Inputs) -> str:
    """Returns the name of the run."""
    return markup.escape(inputs.workdir.name or inputs.workdir)


def head(inputs: Inputs) -> str:
    """Returns what the data were, and whether they were the real ones."""
    data = inputs.evaluation.get("data") or inputs.environment.get("data") or {}
    data = data if isinstance(data, Mapping) else {"note": data}
    configured = inputs.config.get("data")
    configured = configured if isinstance(configured, Mapping) else {}
    name = data.get("name") or configured.get("name")
    note = data.get("note") or inputs.environment.get("data")
    if not name and not note:
        return markup.missing("The run does not say what data it used.")
    words = f"<strong>{markup.escape(name)}</strong>" if name else ""
    if name and data.get("split"):
        words += f", scored on its {markup.escape(data['split'])} split"
    if note:
        words += f' <span class="note">{markup.escape(note)}</span>'
    tag = (
        '<span class="tag warning">Stand-in data</span>'
        if data.get("stand_in")
        else ('<span class="tag">Data</span>')
    )
    return f'<p class="data">{tag} {words}</p>'


def headline(inputs: Inputs) -> str:
    """Returns the numbers to look at first."""
    swap_score = inputs.score("swap", "model", "psnr")
    best = _best_trivial(inputs)
    reconstruction = inputs.score("reconstruction", "psnr")
    accuracy = inputs.score("discriminator", "accuracy")
    cards = []
    if swap_score:
        cards.append(("Swap PSNR", _decibel(swap_score["mean"]), _interval(swap_score, 2)))
    if swap_score and best:
        gain = swap_score["mean"] - best[1]
        note = f"{'over' if gain >= 0 else 'worse than'} the best trivial answer: {best[0].lower()}"
        cards.append(("Swap gain", f"{markup.signed(gain)} <small>dB</small>", note))
    if reconstruction:
        note = _interval(reconstruction, 2)
        cards.append(("Reconstruction PSNR", _decibel(reconstruction["mean"]), note))
    if accuracy:
        chance = inputs.evaluation["discriminator"].get("chance", 0.5)
        note = f"{_interval(accuracy, 3)}; {markup.escape(chance)} is chance, and the aim"
        cards.append(("Discriminator accuracy", f"{accuracy['mean']:.3f}", note))
    if not cards:
        return markup.missing("Not evaluated yet: there is no <code>evaluation.json</code>.")
    return '<dl class="cards">{}</dl>'.format(
        "".join(
            f'<div><dt>{name}</dt><dd class="figure">{value}</dd><dd class="note">{note}</dd></div>'
            for name, value, note in cards
        )
    )


def swap(inputs: Inputs) -> str:
    """Returns the swap grid and how to read it."""
    data = inputs.picture("swap_grid.png")
    if data is None:
        return markup.missing("No swap grid yet (<code>samples/swap_grid.png</code>).")
    alt = "Grid of frames: each row keeps the content of its first frame, each column one pose."
    caption = (
        "Each frame inside the grid is decoded from two vectors: the <em>content</em> of the frame "
        "at the left of its row and the <em>pose</em> of the frame on top of its column. "
        "If the two are disentangled, a row shows the same objects wherever they are, and a column "
        "shows different objects in the same places."
    )
    return markup.figure(markup.wide(markup.image(data, alt, "png"), "Swap grid"), caption)


def rollout(inputs: Inputs) -> str:
    """Returns the rollout as it plays and as a strip."""
    gif, strip = inputs.picture("rollout.gif"), inputs.picture("rollout_strip.png")
    parts = []
    if gif:
        alt = "Animation: clips side by side, the truth above and what the model generates below."
        caption = (
            "The model sees the first frames (blue outline), then continues alone (orange outline) "
            "from its own predictions of the pose, with the content of the last frame it saw. "
            "The upper row is what really followed."
        )
        parts.append(markup.figure(markup.image(gif, alt, "gif"), caption, "playing"))
    else:
        parts.append(
            markup.missing("No animation (<code>samples/rollout.gif</code>), or too large a one.")
        )
    if strip:
        alt = "Per clip a row of observed frames and of frames generated at growing time steps."
        caption = "The same at chosen time steps t; small frames are the truth."
        picture = markup.wide(markup.image(strip, alt, "png"), "Rollout at chosen time steps")
        parts.append(markup.figure(picture, caption))
    else:
        parts.append(markup.missing("No strip yet (<code>samples/rollout_strip.png</code>)."))
    return "".join(parts)


def scores(inputs: Inputs) -> str:
    """Returns charts and a table of the model's scores beside those of trivial answers."""
    rows, plots = [], {"psnr": {}, "ssim": {}}
    for key, name in ANSWERS.items():
        psnr, ssim = (inputs.score("swap", key, metric) for metric in plots)
        if psnr or ssim:
            rows.append((f"Swap: {name.lower()}", _cell(psnr, 2, " dB"), _cell(ssim, 3)))
        for metric, score in (("psnr", psnr), ("ssim", ssim)):
            if score:
                plots[metric][name] = score
    psnr, ssim = (inputs.score("reconstruction", metric) for metric in plots)
    if psnr or ssim:
        rows.append(("Reconstruction", _cell(psnr, 2, " dB"), _cell(ssim, 3)))
    if not rows:
        return markup.missing("Not evaluated yet: there is no <code>evaluation.json</code>.")
    shown = [
        markup.figure(
            f"<h3>{words}</h3>" + charts.dots(plots[metric], f"Swap {words}", digits), "", "chart"
        )
        for metric, words, digits in (("psnr", "PSNR, dB", 2), ("ssim", "SSIM", 3))
        if plots[metric]
    ]
    table = markup.table(("", "PSNR", "SSIM"), rows, "scores")
    return (
        f"<p>{_protocol(inputs)}</p>"
        f'<div class="charts pair">{"".join(shown)}</div>{markup.wide(table, "Scores")}'
    )


def curves(inputs: Inputs) -> str:
    """Returns one chart per metric and stage."""
    parts = []
    stages = [stage for stage in STAGES if stage in inputs.curves]
    for stage in stages + [stage for stage in inputs.curves if stage not in STAGES]:
        metrics = inputs.curves[stage]
        names = [name for name in METRICS if name in metrics and name not in _SPEEDS]
        names += sorted(metrics.keys() - METRICS.keys())
        names += [name for name in _SPEEDS if name in metrics]
        drawn = "".join(_curve(name, metrics[name], stage) for name in names)
        heading = markup.escape(STAGES.get(stage, stage))
        parts.append(f'<h3>{heading}</h3><div class="charts">{drawn}</div>')
    if not parts:
        return markup.missing("Nothing logged yet (<code>metrics.jsonl</code>).")
    return (
        "<p>Faint: as logged. Strong: moving average. At the right of each title: the last value. "
        "Axes are logarithmic where values span more than a factor of ten.</p>" + "".join(parts)
    )


def progress(inputs: Inputs) -> str:
    """Returns up to four of the pictures made while the first stage trained."""
    names = inputs.step_pictures("drnet")
    figures = []
    for step in spread(list(names), 4):
        data = inputs.picture(names[step])
        if data:
            picture = markup.image(data, f"Swap grid after {step} steps", "png")
            figures.append(markup.figure(picture, f"after {step:,} steps"))
    if not figures:
        return markup.missing("No pictures from training (<code>samples/drnet/</code>).")
    return f'<div class="progress">{"".join(figures)}</div>'


def settings(inputs: Inputs) -> str:
    """Returns the configuration, folded away."""
    if not inputs.config:
        return markup.missing("There is no readable <code>config.json</code>.")
    table = markup.settings_table(inputs.config)
    return f"<details><summary>All settings of the run</summary>{table}</details>"


def environment(inputs: Inputs) -> str:
    """Returns versions, devices and the like."""
    shown = {key: value for key, value in inputs.environment.items() if key != "command"}
    if not shown:
        return markup.missing("There is no readable <code>environment.json</code>.")
    return markup.settings_table(shown)


def reproduce(inputs: Inputs) -> str:
    """Returns the command that made the run."""
    command = inputs.environment.get("command")
    if not command:
        return markup.missing("The run does not say by which command it was made.")
    command = " ".join(map(str, command)) if isinstance(command, list) else str(command)
    revision = inputs.environment.get("git_revision")
    known = revision and revision != "unknown"
    at = f" at revision <code>{markup.escape(revision)}</code>" if known else ""
    return (
        f"<p>With the versions above{at}:</p>"
        + markup.wide(f"<pre><code>{markup.escape(command)}</code></pre>", "Command")
        + "<p>The same settings, seed and versions on the same kind of device give the same "
        "batches; an interrupted run goes on where it stopped.</p>"
    )


def _protocol(inputs: Inputs) -> str:
    swapped = inputs.evaluation.get("swap")
    horizon = swapped.get("horizon") if isinstance(swapped, Mapping) else None
    clips = inputs.evaluation.get("num_clips")
    later = f" {markup.escape(horizon)} steps later" if horizon is not None else ""
    count = f"{markup.escape(clips)} held-out clips" if clips is not None else "held-out clips"
    return (
        f"Swap: content of one clip, pose of another{later}, against the true picture of the "
        "one's objects in the other's places. Reconstruction: content and pose of one clip. "
        f"The trivial answers need no model. Means over {count}, with 95&nbsp;% bootstrap "
        "intervals; higher is better."
    )


def _best_trivial(inputs: Inputs) -> tuple[str, float] | None:
    found = {
        name: inputs.score("swap", key, "psnr") for key, name in ANSWERS.items() if key != "model"
    }
    means = {name: score["mean"] for name, score in found.items() if score}
    return max(means.items(), key=lambda item: item[1]) if means else None


def _curve(name: str, points: list[tuple[int, float]], stage: str) -> str:
    words, last = METRICS.get(name, name), markup.number(points[-1][1])
    css = "second" if stage == "predictor" else "first"
    label = f"{words} against steps; {last} at step {points[-1][0]}"
    chart = charts.lines(
        points, label, css, limits=_LIMITS.get(name), reference=_REFERENCES.get(name)
    )
    heading = f'<h4>{markup.escape(words)} <span class="last">{last}</span></h4>'
    return markup.figure(heading + chart, "", "chart")


def _decibel(value: float) -> str:
    return f"{value:.2f} <small>dB</small>"


def _interval(score: Mapping[str, float], digits: int) -> str:
    return f"95&nbsp;%: {score['low']:.{digits}f} to {score['high']:.{digits}f}"


def _cell(score: Mapping[str, float] | None, digits: int, unit: str = "") -> str:
    if score is None:
        return "\N{EN DASH}"
    low, high = (f"{score[end]:.{digits}f}" for end in ("low", "high"))
    return f'{score["mean"]:.{digits}f}{unit} <span class="interval">{low} to {high}</span>'
