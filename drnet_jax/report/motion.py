"""The sections on clips whose motion has a name, and on the closest training frames."""

from collections.abc import Mapping, Sequence

from drnet_jax.report import charts, markup
from drnet_jax.report.inputs import Inputs

Series = Mapping[str, tuple[str, Mapping[str, Sequence[float]]]]
"""By name on the page, the class of a line, and its mean, low and high."""

_ANSWERS = {"truth": ("Real frames", "second"), "model": ("This model", "first")}
_CODES = {"content": ("from content", "first"), "pose": ("from pose", "second")}


def actions(inputs: Inputs) -> str:
    """Returns charts of how generated motion is recognized, and of what few labels tell."""
    steps, drawn = inputs.ascending("actions", "steps"), []
    for key, title, chance, limits in (
        ("inception_score", "Inception score", None, None),
        ("accuracy", "Action recognized", inputs.at("actions", "judge", "chance"), (0.0, 1.0)),
    ):
        series = {
            words: (css, inputs.columns(steps, "actions", name, key))
            for name, (words, css) in _ANSWERS.items()
        }
        label = f"{title} against steps of a rollout"
        drawn.append(_chart(title, label, steps, series, chance, limits))
    drawn.append(_few_shot(inputs))
    if not any(drawn):
        return ""
    own = inputs.score("actions", "judge", "accuracy")
    judge = f"; it gets {own['mean']:.1%} of real, unseen clips right" if own else ""
    return (
        "<h3>Actions</h3>"
        "<p>A classifier trained on real clips says what it recognizes in every other of five "
        f"generated frames{judge}. Steps are those after the last observed frame, bands 95&nbsp;% "
        "bootstrap intervals over clips. At the last chart a linear classifier reads the action of "
        "held-out clips off their vectors, after so many labeled clips of each; bands are the "
        f'middle 95&nbsp;% of random choices.</p><div class="charts">{"".join(drawn)}</div>'
    )


def _few_shot(inputs: Inputs) -> str:
    numbers = inputs.ascending("few_shot", "pose", "num_labeled")
    series = {
        words: (css, inputs.columns(numbers, "few_shot", name))
        for name, (words, css) in _CODES.items()
    }
    title = "Action from few labels"
    label = f"{title}: accuracy against the number of labeled clips of each"
    chance = inputs.at("few_shot", "pose", "chance")
    return _chart(title, label, numbers, series, chance, (0.0, 1.0))


def _chart(
    title: str,
    label: str,
    steps: Sequence[float],
    series: Series,
    chance: object,
    limits: tuple[float, float] | None,
) -> str:
    """Returns a chart of those `series` that are there, empty if the last is not."""
    *_, (_, last) = series.values()
    if not last:
        return ""
    series = {name: line for name, line in series.items() if line[1]}
    reference = (chance, "chance") if isinstance(chance, int | float) else None
    value = markup.number(last["mean"][-1])
    chart = charts.over_steps(steps, series, label, limits=limits, reference=reference)
    keys = (f'<span><i class="{css}"></i>{name}</span>' for name, (css, _) in series.items())
    return markup.figure(
        f'<h4>{title} <span class="last">{value}</span></h4>{chart}'
        f'<p class="legend">{"".join(keys)}</p>',
        "",
        "chart",
    )


def neighbors(inputs: Inputs) -> str:
    """Returns how far generated frames are from training frames, and real ones."""
    rows = []
    for key, name in (("generated", "Generated frames"), ("real", "Real frames of the same clips")):
        score = inputs.score("neighbors", key, "median")
        if score:
            low, high = (f"{score[end]:.3f}" for end in ("low", "high"))
            interval = f'<span class="interval">{low} to {high}</span>'
            rows.append((name, f"{score['mean']:.3f} {interval}"))
    if len(rows) < 2:
        return ""
    count = inputs.at("neighbors", "num_training_frames")
    words = f"{count:,} training frames" if isinstance(count, int) else "training frames"
    table = markup.table(("Distance to the closest training frame", "median"), rows, "scores")
    return (
        "<h3>Closest training frames</h3>"
        f"<p>A model that repeats its training frames lies much closer to them, here {words}, than "
        "real frames of held-out clips do; blurred frames lie closer, too. Root mean square "
        "differences, 1 being from black to white.</p>" + markup.wide(table, "Closest frames")
    )
