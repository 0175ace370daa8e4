"""The scores of a run as text for a terminal."""

from typing import Any

_NAMES = {
    "model": "model",
    "predicted": "  pose predicted",
    "truth": "  real frames",
    "copy_content_frame": "  copy content frame",
    "copy_pose_frame": "  copy pose frame",
    "copy_last_frame": "  copy last frame",
    "mean_frame": "  mean frame",
    "another_clip": "  another clip's places",
}


def text(record: dict[str, Any]) -> str:
    """Returns the scores of `evaluation.json` as small tables; absent parts are left out."""
    blocks = [_pictures(record), _judged(record), _rollout(record), _actions(record)]
    blocks += [_few_shot(record), _neighbors(record), _leakage(record)]
    accuracy = record["discriminator"]["accuracy"]
    if accuracy is not None:
        mean = accuracy["mean"]
        blocks.append(f"discriminator accuracy on held-out pairs {mean:.3f}, chance 0.5")
    return "\n".join(block for block in blocks if block)


def _pictures(record: dict[str, Any]) -> str:
    lines = [f"{'':28}{'PSNR [dB]':>22}{'SSIM':>26}"]
    groups = [("reconstruction", {"model": record["reconstruction"]})]
    if prediction := record["prediction"]:
        groups.append((f"prediction, {prediction['horizon']} steps", prediction))
    if record["swap"]:
        groups += [(f"swap, t+{swap['horizon']}", swap) for swap in record["swap"]["by_horizon"]]
    for title, scores in groups:
        for name, words in _NAMES.items():
            if isinstance(scores.get(name), dict):
                label = title if name == "model" else words
                psnr, ssim = _cell(scores[name]["psnr"], 2), _cell(scores[name]["ssim"], 3)
                lines.append(f"{label:28}{psnr:>22}{ssim:>26}")
    return "\n".join(lines)


def _judged(record: dict[str, Any]) -> str:
    judge, swap = record["judge"], record["swap_judge"]
    if not judge or not swap:
        return ""
    lines = [
        f"judge: {_cell(judge['accuracy'], 3)} right on real frames of unseen objects "
        f"at least {judge['in_view']:.0%} in view, {judge['accuracy_all']['mean']:.3f} on all",
        f"{'judged swaps':28}{'kept':>22}{'replaced':>26}{'IS':>8}",
    ]
    for name in ("model", "truth", "copy_pose_frame"):
        scores = swap[name]
        kept, replaced = _cell(scores["accuracy_kept"], 3), _cell(scores["accuracy_replaced"], 3)
        score = scores["inception_score"]["mean"]
        label = "swap" if name == "model" else _NAMES[name]
        lines.append(f"{label:28}{kept:>22}{replaced:>26}{score:8.2f}")
    return "\n".join([*lines, f"{'  chance':28}{judge['chance']:22.3f}{swap['chance']:26.3f}"])


def _rollout(record: dict[str, Any]) -> str:
    rollout = record["rollout"]
    if not rollout or not rollout["horizons"]:
        return ""
    at = [rollout["steps"].index(horizon) for horizon in rollout["horizons"]]
    rows = {"PSNR [dB]": (rollout["psnr"]["model"], 2)}
    rows["  copy last frame"] = (rollout["psnr"]["copy_last_frame"], 2)
    if rollout["identity"]:
        rows["identity kept"] = (rollout["identity"]["model"], 3)
        rows["  real frames"] = (rollout["identity"]["truth"], 3)
    if rollout["position_error"]:
        rows["position error [px]"] = (rollout["position_error"]["model"], 2)
        rows["  another clip's places"] = (rollout["position_error"]["another_clip"], 2)
        rows["speed error [px/step]"] = (rollout["speed_error"]["model"], 2)
    rows["sharpness"] = (rollout["sharpness"]["model"], 2)
    lines = [f"{'rollout, step':28}" + "".join(f"{step:>9}" for step in rollout["horizons"])]
    for label, (scores, digits) in rows.items():
        lines.append(f"{label:28}" + "".join(f"{scores['mean'][i]:9.{digits}f}" for i in at))
    if rollout["lost_at"]:
        lines.append(f"track lost at step {_cell(rollout['lost_at'], 0)}")
    lines.append(f"frozen frames {rollout['frozen_rate']['model']['mean']:.1%}")
    return "\n".join(lines)


def _actions(record: dict[str, Any]) -> str:
    actions = record["actions"]
    if not actions:
        return ""
    judge, steps = actions["judge"], actions["steps"]
    at = sorted({0, len(steps) // 2, len(steps) - 1})
    lines = [
        f"judge of actions: {_cell(judge['accuracy'], 3)} right on real clips, "
        f"chance {judge['chance']:.3f}",
        f"{'generated actions, step':28}" + "".join(f"{steps[i]:>9}" for i in at),
    ]
    for key, words in (("inception_score", "inception score"), ("accuracy", "recognized")):
        for name, label in (("model", words), ("truth", _NAMES["truth"])):
            means = actions[name][key]["mean"]
            lines.append(f"{label:28}" + "".join(f"{means[i]:9.3f}" for i in at))
    return "\n".join(lines)


def _few_shot(record: dict[str, Any]) -> str:
    few_shot = record["few_shot"]
    if not few_shot:
        return ""
    pose = few_shot["pose"]
    numbers = "".join(f"{number:>9.4g}" for number in pose["num_labeled"])
    lines = [f"{'action by labeled clips':28}{numbers}{'chance':>10}"]
    for name in ("pose", "content"):
        if curve := few_shot[name]:
            means = "".join(f"{mean:9.3f}" for mean in curve["mean"])
            lines.append(f"{'  from ' + name:28}{means}{curve['chance']:10.3f}")
    return "\n".join(lines)


def _neighbors(record: dict[str, Any]) -> str:
    neighbors = record["neighbors"]
    if not neighbors:
        return ""
    made, real = (_cell(neighbors[name]["median"], 3) for name in ("generated", "real"))
    return f"closest of {neighbors['num_training_frames']:,} training frames {made}, real {real}"


def _leakage(record: dict[str, Any]) -> str:
    leakage, lines = record["leakage"], []
    if leakage["probes"]:
        lines.append(f"{'read off, held-out clips':28}{'content':>22}{'pose':>26}{'chance':>10}")
        found = {(p["factor"], p["probe"], p["code"]): p for p in leakage["probes"]}
        for factor, probe in dict.fromkeys((factor, probe) for factor, probe, _ in found):
            # An autoencoder has no content.
            probed = [found.get((factor, probe, code), {}) for code in ("content", "pose")]
            scores = [record.get("held_out_clips") for record in probed]
            if scores[1] is not None:
                content, pose = (_cell(score, 3) if score else "-" for score in scores)
                label, chance = f"{factor}, {probe}", scores[1]["chance"]
                lines.append(f"{label:28}{content:>22}{pose:>26}{chance:10.3f}")
    for name, score in leakage["discriminator"].items():
        if score:
            label = name.replace("_", " ")
            lines.append(f"{'AUC, ' + label:28}{_cell(score, 3):>22}{'':26}{0.5:10.3f}")
    if blocks := record["blocks"]:
        shown = (f"{key} {blocks[key]:.2f}" for key in ("mig", "disentanglement", "completeness"))
        lines.append("blocks: " + ", ".join(shown))
    return "\n".join(lines)


def _cell(score: dict[str, float], digits: int) -> str:
    mean, low, high = (f"{score[key]:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"
