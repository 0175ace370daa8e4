"""Ablation: what the pose's dimension and beta, the weight of the adversarial term, do to scores.

Every cell is a short run of its own in `<workdir>_sweep/`; what was killed goes on with the cells
that are not finished. `quick` trains a cell on frames of 32 x 32 for 800 steps, and no predictor.

  python -m experiments.sweep_pose_dim_beta --data=norb --preset=quick
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from absl import flags
from etils import epath

from experiments.shared import figure, plot, probed, runs

GRIDS = {
    "full": ((2, 5, 10, 24), (0.0, 0.01, 0.1, 1.0)),
    "quick": ((2, 5, 10), (0.0, 0.05, 0.5)),
    "smoke": ((2, 3), (0.0, 0.1)),
}
"""Dimensions of the pose, and weights, by preset."""

Score = dict[str, Any] | None

SCORES = {
    "swap": ("swap PSNR [dB], higher is better", 2),
    "class_from_pose": ("class read from pose, best at chance", 3),
    "auc": ("AUC of a fresh discriminator, lower is better", 3),
    "class_from_content": ("class read from content, higher is better", 3),
    "pose_from_pose": ("R^2 of the true pose read from pose, higher is better", 3),
}
"""Title and digits of each score, those that are drawn first."""

NUM_DRAWN = 4


def cells() -> dict[str, Callable[[ml_collections.ConfigDict], None]]:
    """Returns what changes the preset into each cell, by what is added to --workdir."""
    preset, num_seeds = flags.FLAGS.preset, flags.FLAGS.num_seeds
    dims, betas = GRIDS[preset]
    return {
        f"_sweep/pose_{dim}_beta_{beta:g}" + (f"_seed_{seed}" if seed > 1 else ""): (
            functools.partial(_change, pose_dim=dim, beta=beta, seed=seed, short=preset == "quick")
        )
        for seed in range(1, num_seeds + 1)
        for dim in dims
        for beta in betas
    }


def _change(
    config: ml_collections.ConfigDict, *, pose_dim: int, beta: float, seed: int, short: bool
) -> None:
    config.seed = seed
    config.model.pose_dim = pose_dim
    config.drnet.adversarial_weight = beta
    if short:
        config.data.image_size = 32  # A quarter of the time; Moving MNIST's has it anyhow.
        config.drnet.num_steps = 800
        # None of the scores shown here is a prediction's.
        config.predictor.update(num_steps=1, hidden_dim=8, num_layers=1)
        config.evaluation.update(num_clips=200, judge_steps=1, probe_clips=1_000)
        config.evaluation.update(rollout_clips=4, rollout_steps=12)
        config.rollout.update(num_clips=2, num_steps=12)
        config.update(sample_every_steps=0, checkpoint_every_steps=0)


def draw(out: epath.Path, *trained: runs.Trained) -> None:
    """Prints the table, and writes its numbers and heat maps of four of its scores."""
    dims, betas, found = collect(trained)
    first = trained[0].scores
    print(table(found, first))
    grids = {
        name: np.array(
            [[_mean(found.get((dim, beta), {}).get(name)) for beta in betas] for dim in dims]
        )
        for name in SCORES
    }
    panels = {SCORES[name][0]: grids[name] for name in list(SCORES)[:NUM_DRAWN]}
    data = trained[0].run.config.data.name
    figure.write(
        out,
        f"sweep_pose_dim_beta_{data}",
        plot.heat_maps(
            panels,
            rows=[str(dim) for dim in dims],
            columns=[f"{beta:g}" for beta in betas],
            row_name="dimension of the pose",
            column_name="beta",
            ranges={SCORES[name][0]: ends for name, ends in ranges(first).items()},
        ),
        f"One run a cell and seed. {beside(first)} Probes: {probe_note(first)}.",
        trained,
        arrays=grids | {"pose_dims": np.array(dims), "betas": np.array(betas)},
        numbers={
            "intervals": INTERVALS,
            "cells": [{"pose_dim": dim, "beta": beta} | found[dim, beta] for dim, beta in found],
        },
    )


INTERVALS = (
    "low and high: of one seed the 95 % interval over clips, of several the least and the greatest "
    "of their means"
)


def collect(
    trained: Sequence[runs.Trained],
) -> tuple[list[int], list[float], dict[tuple[int, float], dict[str, Score]]]:
    """Returns the dimensions, the weights, and the scores of each pair of them, over seeds."""
    by_cell: dict[tuple[int, float], list[dict[str, Score]]] = {}
    for each in trained:
        config = each.run.config
        cell = (config.model.pose_dim, config.drnet.adversarial_weight)
        by_cell.setdefault(cell, []).append(read(each.scores))
    dims, betas = (sorted(set(values)) for values in zip(*by_cell, strict=True))
    found = {
        cell: {name: over_seeds([seed[name] for seed in seeds]) for name in SCORES}
        for cell, seeds in sorted(by_cell.items())
    }
    return dims, betas, found


def read(scores: Mapping[str, Any]) -> dict[str, Score]:
    """Returns the scores of a run by the names of `SCORES`, None where one is not known."""
    kind, factors = probed.identity(scores), probed.pose_factors(scores)
    return {
        "swap": scores["swap"] and scores["swap"]["model"]["psnr"],
        "class_from_pose": probed.score(scores, kind, "pose"),
        "auc": probed.auc(scores),
        "pose_from_pose": probed.mean(
            [probed.score(scores, factor, "pose", "mlp") for factor in factors]
        ),
        "class_from_content": probed.score(scores, kind, "content"),
    }


def over_seeds(scores: Sequence[Score]) -> Score:
    """Returns the mean of a score over seeds, with the least and the greatest of them as ends.

    That of one seed is returned as it is. None where a seed has none.
    """
    if len(scores) == 1 or None in scores:
        return None if None in scores else scores[0]
    means = [score["mean"] for score in scores]
    ends = {"mean": float(np.mean(means)), "low": min(means), "high": max(means)}
    return scores[0] | ends | {"seeds": means}


def table(found: Mapping[tuple[int, float], Mapping[str, Score]], first: Mapping[str, Any]) -> str:
    """Returns the lines of the table, the last of which are what to compare with."""
    heads = ["pose dim, beta", "swap PSNR [dB]", "class from pose", "AUC"]
    heads += ["class from content", "R^2, true pose"]
    rows = [
        [f"{dim}, {beta:g}"]
        + [
            figure.interval(scores[name], digits) if scores[name] else "-"
            for name, (_, digits) in SCORES.items()
        ]
        for (dim, beta), scores in found.items()
    ]
    known = read(first)
    chances = [f"{known[n]['chance']:.3f}" if known[n] else "-" for n in list(SCORES)[1:]]
    best = trivial(first)
    rows.append(["chance; best trivial answer", "-" if best is None else f"{best:.2f}", *chances])
    return figure.table(heads, rows)


def trivial(scores: Mapping[str, Any]) -> float | None:
    """Returns the swap PSNR of the best answer that needs no model."""
    names = ("copy_content_frame", "copy_pose_frame", "mean_frame")
    return scores["swap"] and max(scores["swap"][name]["psnr"]["mean"] for name in names)


def ranges(scores: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Returns from where to where scores can sensibly be: from chance, where there is one, to 1."""
    known = read(scores)
    return {
        name: (known[name]["chance"], 1.0)
        for name in ("class_from_pose", "auc", "class_from_content")
        if known[name]
    }


def beside(scores: Mapping[str, Any]) -> str:
    """Returns a sentence on what the drawn scores are to be compared with."""
    best, known = trivial(scores), read(scores)["class_from_pose"]
    words = [] if best is None else [f"the best trivial swap has {best:.2f} dB"]
    words += [] if known is None else [f"chance is {known['chance']:.2f} for the class"]
    words.append("chance is 0.5 for the AUC")
    by_factors = scores["leakage"]["discriminator"]["same_clip_by_factors"]
    if by_factors and not scores["leakage"]["discriminator"]["same_objects"]:
        words.append(f"which the true factors of pose alone put at {by_factors['mean']:.2f}")
    return f"Compare: {', '.join(words)}."


def probe_note(scores: Mapping[str, Any]) -> str:
    """Returns which factors were read, and of which objects."""
    kind = probed.identity(scores)
    known = probed.score(scores, kind, "pose")
    if known is None:
        return "nothing is known about these frames"
    on = known["on"].replace("_", "-", 1).replace("_", " ")
    factors = ", ".join(probed.pose_factors(scores))
    return f"{kind} (linear) and {factors} (one hidden layer) of {on}"


def _mean(score: Score) -> float:
    return float("nan") if score is None else score["mean"]


if __name__ == "__main__":
    flags.DEFINE_integer("num_seeds", 1, "Runs of each cell.", lower_bound=1)
    runs.start(draw, "norb", "mnist", "suncg", variations=cells)
