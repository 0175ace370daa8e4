"""The sections on long rollouts, judged swaps and leakage; each is empty if it was not scored."""

from collections.abc import Mapping
from typing import Any

from drnet_jax.report import charts, markup
from drnet_jax.report.inputs import Inputs

_LINES = {
    "model": ("This model", "first"),
    "truth": ("Real frames", "second"),
    "copy_last_frame": ("Copy last frame", "trivial"),
    "mean_frame": ("Mean frame", "faint"),
    "another_clip": ("Another clip", "faint"),
}
"""Answers in the order they are drawn: their name on the page and their class."""

_UNFITTED = {"psnr": ("copy_last_frame",), "ssim": ("copy_last_frame",)}
"""Motion may repeat, and a copy be right again now and then: it would dwarf all else."""

_CHARTS = (
    # Of the record, title, answers, limits.
    ("psnr", "PSNR, dB", ("model", "copy_last_frame", "mean_frame"), None),
    ("identity", "Identity kept, as judged", ("model", "truth"), (0.0, 1.0)),
    (
        "position_error",
        "Position error, pixels",
        ("model", "copy_last_frame", "another_clip"),
        None,
    ),
    ("speed_error", "Speed error, pixels per step", ("model", "copy_last_frame"), None),
    ("inception", "Inception score of the judge", ("model", "truth"), None),
    ("sharpness", "Sharpness, real frames = 1", ("model", "mean_frame"), None),
    ("ssim", "SSIM", ("model", "copy_last_frame", "mean_frame"), None),
)


def horizons(inputs: Inputs) -> str:
    """Returns a chart over the steps of rollouts for each score."""
    steps, drawn = inputs.rollout_steps(), []
    for key, title, answers, limits in _CHARTS:
        scores = {name: inputs.score_over_steps(key, name) for name in answers}
        scores = {name: score for name, score in scores.items() if score}
        if "model" not in scores:
            continue
        chance = inputs.at("rollout", key, "chance")
        reference = (chance, "chance") if isinstance(chance, int | float) else None
        # The model last, over the others.
        series = {name: (_LINES[name][1], scores[name]) for name in reversed(scores)}
        last = markup.number(scores["model"]["mean"][-1])
        label = f"{title} against steps of a rollout; {last} at step {steps[-1]}"
        chart = charts.over_steps(
            steps,
            series,
            label,
            limits=limits,
            reference=reference,
            unfitted=_UNFITTED.get(key, ()),
        )
        heading = f'<h4>{title} <span class="last">{last}</span></h4>'
        drawn.append(markup.figure(heading + chart + _legend(scores), "", "chart"))
    if not drawn:
        return ""
    return (
        "<h3>Over the steps of a rollout</h3>"
        f'<p>{_horizon_words(inputs)}</p><div class="charts">{"".join(drawn)}</div>'
    )


def _legend(names: Mapping[str, Any]) -> str:
    keys = "".join(
        f'<span><i class="{_LINES[name][1]}"></i>{_LINES[name][0]}</span>' for name in names
    )
    return f'<p class="legend">{keys}</p>'


def _horizon_words(inputs: Inputs) -> str:
    count = markup.escape(inputs.at("rollout", "num_clips"))
    words = (
        f"Rollouts of {count} held-out clips against what really followed, by steps after the last "
        "observed frame; bands are 95&nbsp;% bootstrap intervals over clips."
    )
    lost, frozen = (
        inputs.score("rollout", *path) for path in (("lost_at",), ("frozen_rate", "model"))
    )
    if lost:
        never = inputs.score("rollout", "never_lost")
        words += f" A track is lost after {lost['mean']:.0f} steps"
        words += f"; {never['mean']:.0%} never are." if never else "."
    if frozen:
        words += f" Of the generated frames {frozen['mean']:.1%} stand still."
    return words


def judged(inputs: Inputs) -> str:
    """Returns what the judge says of swapped frames, of real ones and of copies."""
    accuracy = inputs.score("judge", "accuracy")
    rows = []
    for key, name in (
        ("model", "This model"),
        ("truth", "Real frames"),
        ("copy_pose_frame", "Copy pose frame"),
    ):
        names = ("accuracy_kept", "accuracy_replaced", "inception_score")
        names += ("entropy_given_frame", "entropy")
        cells = [inputs.score("swap_judge", key, name) for name in names]
        if any(cells):
            digits = (3, 3, 2, 2, 2)
            rows.append((name, *map(_cell, cells, digits)))
    if not accuracy or not rows:
        return ""
    chances = (inputs.at("judge", "chance"), inputs.at("swap_judge", "chance"))
    if all(isinstance(chance, int | float) for chance in chances):
        dash = "\N{EN DASH}"
        rows.append(("Chance", *(f"{chance:.3f}" for chance in chances), "1", dash, dash))
    header = ("", "Identity kept", "Identity replaced", "IS", "H(y|x)", "H(y)")
    table = markup.table(header, rows, "scores")
    share = inputs.at("judge", "in_view")
    view = f" of which at least {share:.0%} is to be seen" if isinstance(share, int | float) else ""
    error = inputs.score("swap_judge", "position_error")
    places = f" Objects are {error['mean']:.2f} pixels off their places." if error else ""
    return (
        "<h3>Swaps as judged</h3>"
        "<p>A classifier trained on real clips says what it sees in swapped frames: content and "
        "pose are of two clips, so it ought to see the objects of the one (kept), and those of the "
        f"other (replaced) no more often than by chance. It is asked about objects{view}, and "
        f"gets {accuracy['mean']:.1%} of real, unseen ones right.{places}</p>"
        + markup.wide(table, "Judged swaps")
    )


def leakage(inputs: Inputs) -> str:
    """Returns what probes read off content and pose, and the fresh discriminators."""
    charts_of = [_probe_chart(inputs, kind) for kind in ("linear", "mlp")]
    rows = []
    for key, name in (
        ("same_clip", "Poses of one clip"),
        ("same_clip_by_factors", "True positions of one clip"),
        ("same_objects", "Poses of the same objects, independent tracks"),
    ):
        score = inputs.score("leakage", "discriminator", key)
        if score:
            rows.append((name, _cell(score), "0.5"))
    if not any(charts_of) and not rows:
        return ""
    table = markup.table(("A fresh discriminator of", "AUC", "chance"), rows, "scores")
    return (
        "<h3>What content and pose know</h3>"
        "<p>Probes fitted to the vectors of training clips, scored on other clips: R&sup2; of what "
        "changes, accuracy of what stays. Content (disc) ought to be at chance (short line) in "
        "the one, pose (square) in the other.</p>"
        f'<div class="charts pair">{"".join(charts_of)}</div>'
        + (markup.wide(table, "Fresh discriminators") if rows else "")
        + _block_words(inputs)
    )


def _probe_chart(inputs: Inputs, kind: str) -> str:
    records = inputs.at("leakage", "probes")
    rows, chances = {}, {}
    for record in records if isinstance(records, list) else []:
        if not isinstance(record, Mapping) or record.get("probe") != kind:
            continue
        score = record.get("held_out_clips")
        if not isinstance(score, Mapping):
            continue
        values = {key: score.get(key) for key in ("mean", "low", "high", "chance")}
        if not all(isinstance(value, int | float) for value in values.values()):
            continue
        name = str(record.get("factor"))
        css = "first" if record.get("code") == "content" else "second"
        rows.setdefault(name, []).append((css, values))
        chances[name] = values["chance"]
    if not rows:
        return ""
    words = {"linear": "Linear probes", "mlp": "Probes with a hidden layer"}[kind]
    legend = (
        '<p class="legend"><span><i class="first"></i>from content</span>'
        '<span><i class="second"></i>from pose</span><span><i class="chance"></i>chance</span></p>'
    )
    chart = charts.probes(rows, chances, f"{words}: what content and pose know of each factor")
    return markup.figure(f"<h4>{words}</h4>{chart}{legend}", "", "chart")


def _block_words(inputs: Inputs) -> str:
    names = ("disentanglement", "completeness", "mig")
    values = [inputs.at("blocks", name) for name in names]
    if not all(isinstance(value, int | float) for value in values):
        return ""
    disentanglement, completeness, gap = (f"{value:.2f}" for value in values)
    return (
        f"<p>As blocks: disentanglement {disentanglement}, completeness {completeness}, mutual "
        f"information gap {gap} (of the best single axes; a code spread over many has little).</p>"
    )


def _cell(score: Mapping[str, float] | None, digits: int = 3) -> str:
    if score is None:
        return "\N{EN DASH}"
    low, high = (f"{score[end]:.{digits}f}" for end in ("low", "high"))
    return f'{score["mean"]:.{digits}f} <span class="interval">{low} to {high}</span>'
