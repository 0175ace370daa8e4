"""The scores of a run as text for a terminal."""

from collections.abc import Sequence
from typing import Any

from drnet_jax.base.wording import ANSWERS, interval


def text(record: dict[str, Any]) -> str:
    """Returns the scores of `evaluation.json` as small tables; parts that are None are left out."""
    parts = (_pictures, _judged, _rollout, _actions, _few_shot, _neighbors, _leakage)
    blocks = [part(record) for part in parts]
    if accuracy := record["discriminator"]["accuracy"]:
        mean = accuracy["mean"]
        blocks.append(f"Scene discriminator: accuracy {mean:.3f} on held-out pairs, chance 0.5.")
    return "\n".join(block for block in blocks if block)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns aligned lines: the first column to the left, all others to the right."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    )


def _pictures(record: dict[str, Any]) -> str:
    rows = []
    groups = [("reconstruction", {"model": record["reconstruction"]})]
    if prediction := record["prediction"]:
        groups.append((f"prediction, {prediction['horizon']} steps", prediction))
    if record["swap"]:
        groups += [(f"swap, t+{swap['horizon']}", swap) for swap in record["swap"]["by_horizon"]]
    names = {"model": "", "predicted": "with predicted pose"} | ANSWERS
    for title, scores in groups:
        for name in [name for name in names if isinstance(scores.get(name), dict)]:
            label = title if name == "model" else f"  {names[name]}"
            score = scores[name]
            rows.append((label, interval(score["psnr"], 2), interval(score["ssim"], 3)))
    return _table(("", "PSNR [dB]", "SSIM"), rows)


def _judged(record: dict[str, Any]) -> str:
    judge, swap = record["judge"], record["swap_judge"]
    if not judge or not swap:
        return ""
    rows = []
    for name in ("model", "truth", "copy_pose_frame"):
        scores = swap[name]
        accuracies = [interval(scores[f"accuracy_{of}"], 3) for of in ("kept", "replaced")]
        label = "swap" if name == "model" else f"  {ANSWERS[name]}"
        rows.append((label, *accuracies, f"{scores['inception_score']['mean']:.2f}"))
    rows.append(("  chance", f"{judge['chance']:.3f}", f"{swap['chance']:.3f}", ""))
    table = _table(("judged swaps", "identity kept", "replaced", "inception score"), rows)
    return (
        f"Judge: accuracy {interval(judge['accuracy'], 3)} on real unseen objects that are at "
        f"least {judge['in_view']:.0%} visible, {judge['accuracy_all']['mean']:.3f} on all.\n"
        f"{table}"
    )


def _rollout(record: dict[str, Any]) -> str:
    rollout = record["rollout"]
    if not rollout or not rollout["horizons"]:
        return ""
    lines = [
        ("PSNR [dB]", "psnr", "model", 2),
        (f"  {ANSWERS['copy_last_frame']}", "psnr", "copy_last_frame", 2),
        ("identity kept", "identity", "model", 3),
        (f"  {ANSWERS['truth']}", "identity", "truth", 3),
        ("position error [px]", "position_error", "model", 2),
        (f"  {ANSWERS['another_clip']}", "position_error", "another_clip", 2),
        ("speed error [px/step]", "speed_error", "model", 2),
        ("sharpness", "sharpness", "model", 2),
    ]
    at = [rollout["steps"].index(horizon) for horizon in rollout["horizons"]]
    rows = [
        (label, *(f"{rollout[key][answer]['mean'][i]:.{digits}f}" for i in at))
        for label, key, answer, digits in lines
        if rollout[key]
    ]
    parts = [_table(("rollout, step", *map(str, rollout["horizons"])), rows)]
    if rollout["lost_at"]:
        kept = rollout["never_lost"]["mean"]
        clips = f"{kept:.0%} of the clips keep" if kept else "no clip keeps"
        parts.append(
            "On average the predicted position leaves the true track after "
            f"{interval(rollout['lost_at'], 0)} steps; {clips} it to the end."
        )
    frozen = rollout["frozen_rate"]["model"]["mean"]
    parts.append(f"{frozen:.1%} of the generated frames hardly differ from the one before.")
    return "\n".join(parts)


def _actions(record: dict[str, Any]) -> str:
    actions = record["actions"]
    if not actions:
        return ""
    judge, steps = actions["judge"], actions["steps"]
    at = sorted({0, len(steps) // 2, len(steps) - 1})
    rows = [
        (label, *(f"{actions[name][key]['mean'][i]:.3f}" for i in at))
        for key, words in (("inception_score", "inception score"), ("accuracy", "recognized"))
        for name, label in (("model", words), ("truth", f"  {ANSWERS['truth']}"))
    ]
    table = _table(("generated actions, step", *(str(steps[i]) for i in at)), rows)
    return (
        f"Judge of actions: accuracy {interval(judge['accuracy'], 3)} on real clips, "
        f"chance {judge['chance']:.3f}.\n{table}"
    )


def _few_shot(record: dict[str, Any]) -> str:
    few_shot = record["few_shot"]
    if not few_shot:
        return ""
    curves = {name: few_shot[name] for name in ("pose", "content") if few_shot[name]}
    rows = [
        (f"  from {name}", *(f"{mean:.3f}" for mean in curve["mean"]), f"{curve['chance']:.3f}")
        for name, curve in curves.items()
    ]
    numbers = (f"{number:.4g}" for number in few_shot["pose"]["num_labeled"])
    return _table(("actions, labeled clips per class", *numbers, "chance"), rows)


def _neighbors(record: dict[str, Any]) -> str:
    neighbors = record["neighbors"]
    if not neighbors:
        return ""
    made, real = (interval(neighbors[name]["median"], 3) for name in ("generated", "real"))
    return (
        f"Distance to the closest of {neighbors['num_training_frames']:,} training frames: "
        f"generated frames {made}, real frames {real}."
    )


def _leakage(record: dict[str, Any]) -> str:
    leakage, rows = record["leakage"], []
    probed = {(p["factor"], p["probe"], p["code"]): p for p in leakage["probes"] or []}
    for factor, probe in dict.fromkeys((factor, probe) for factor, probe, _ in probed):
        # An autoencoder has no content.
        codes = [probed.get((factor, probe, code), {}) for code in ("content", "pose")]
        content, pose = (code.get("held_out_clips") for code in codes)
        if pose is not None:
            cells = [interval(score, 3) if score else "-" for score in (content, pose)]
            rows.append((f"{factor}, {probe}", *cells, f"{pose['chance']:.3f}"))
    for name, score in leakage["discriminator"].items():
        if score:
            label = f"pairs of poses, {name.replace('_', ' ')}"
            rows.append((label, "", interval(score, 3), "0.500"))
    parts = [_table(("probes of held-out clips", "content", "pose", "chance"), rows)] * bool(rows)
    if blocks := record["blocks"]:
        parts.append(
            f"Blocks: mutual information gap {blocks['mig']:.2f}, disentanglement "
            f"{blocks['disentanglement']:.2f}, completeness {blocks['completeness']:.2f}."
        )
    return "\n".join(parts)
