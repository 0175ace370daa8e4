"""Ablation: how scores depend on the dimension of the pose and on beta, the adversarial weight.

Each cell is a short run of its own in `<workdir>_sweep/`. The same command continues with the cells
that are not finished. `quick` trains a cell for 800 steps on frames of 32 x 32, without predictor.

  python -m experiments.sweep_pose_dim_beta --data=norb --preset=quick
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from absl import flags

from drnet_jax.base.wording import interval
from experiments.shared import plot, probed, runs, script, variations
from experiments.shared.figure import Figure, Table
from experiments.shared.probed import Score

GRIDS = {
    "full": ((2, 5, 10, 24), (0.0, 0.01, 0.1, 1.0)),
    "quick": ((2, 5, 10), (0.0, 0.05, 0.5)),
    "smoke": ((2, 3), (0.0, 0.1)),
}
"""Dimensions of the pose, and values of beta, by preset."""

SCORES = {
    "swap": ("swap PSNR [dB]", ", higher is better", 2),
    "class_from_pose": ("class from pose", ", best at chance", 3),
    "auc": ("AUC", " of a fresh discriminator, lower is better", 3),
    "class_from_content": ("class from content", ", higher is better", 3),
    "pose_from_pose": ("R^2, true pose", ", higher is better", 3),
}
"""Head in the table, what the title of the panel adds, and digits. `NUM_DRAWN` have a panel."""

NUM_DRAWN = 4

Cells = dict[tuple[int, float], dict[str, Score | None]]
"""Scores by name for each pair of pose dimension and beta."""


def cells(given: flags.FlagValues) -> dict[str, variations.Variation]:
    """Returns the function that changes the preset into each cell, by its suffix of --workdir."""
    dims, betas = GRIDS[given.preset]
    return {
        f"_sweep/pose_{dim}_beta_{beta:g}" + (f"_seed_{seed}" if seed > 1 else ""): (
            functools.partial(_change, seed, dim, beta, given.preset == "quick")
        )
        for seed in range(1, given.num_seeds + 1)
        for dim in dims
        for beta in betas
    }


def _change(
    seed: int, pose_dim: int, beta: float, short: bool, config: ml_collections.ConfigDict
) -> None:
    config.seed = seed
    config.model.pose_dim = pose_dim
    config.drnet.adversarial_weight = beta
    if short:
        config.data.image_size = 32  # A quarter of the time; Moving MNIST has it anyway.
        config.drnet.num_steps = 800
        # None of the scores here is of predictions, or given by the judge.
        config.predictor.update(num_steps=1, hidden_dim=8, num_layers=1)
        config.evaluation.update(num_clips=200, judge_steps=1, probe_clips=1_000)
        config.evaluation.update(rollout_clips=4, rollout_steps=12)
        config.rollout.update(num_clips=2, num_steps=12)
        config.update(sample_every_steps=0, checkpoint_every_steps=0)


def draw(*trained: runs.Trained) -> Iterator[Figure]:
    """Yields heat maps of four scores, with a table of all."""
    scores, first = collect(trained), trained[0].scores
    dims, betas = (sorted(set(values)) for values in zip(*scores, strict=True))
    own = read(first)
    titles = {name: "".join(SCORES[name][:2]) for name in list(SCORES)[:NUM_DRAWN]}
    # From chance, where it is defined, to 1: colors of small differences stay similar.
    ranges = {
        titles[name]: (own[name]["chance"], 1.0)
        for name in ("class_from_pose", "auc", "class_from_content")
        if own[name]
    }
    grids = {name: np.full((len(dims), len(betas)), np.nan) for name in SCORES}
    for (dim, beta), cell in scores.items():
        for name, score in cell.items():
            if score is not None:
                grids[name][dims.index(dim), betas.index(beta)] = score["mean"]
    yield Figure(
        f"sweep_pose_dim_beta_{trained[0].run.config.data.name}",
        plot.heat_maps(
            {title: grids[name] for name, title in titles.items()},
            rows=[str(dim) for dim in dims],
            columns=[f"{beta:g}" for beta in betas],
            row_name="pose dimension",
            column_name="beta",
            ranges=ranges,
        ),
        f"One run for each cell and seed. Compare: {comparison(first)}. Probes: {probes(first)}.",
        [table(scores, first)],
        arrays=grids | {"pose_dims": np.array(dims), "betas": np.array(betas)},
        numbers={
            "intervals": "low and high: for one seed the 95 % interval over clips, for several "
            "seeds the lowest and the highest of their means",
            "cells": [{"pose_dim": dim, "beta": beta} | scores[dim, beta] for dim, beta in scores],
        },
    )


def collect(trained: Sequence[runs.Trained]) -> Cells:
    """Returns the scores of each pair of pose dimension and beta over all seeds, in order."""
    by_cell: dict[tuple[int, float], list[dict[str, Score | None]]] = {}
    for each in trained:
        config = each.run.config
        cell = (config.model.pose_dim, config.drnet.adversarial_weight)
        by_cell.setdefault(cell, []).append(read(each.scores))
    return {
        cell: {name: over_seeds([seed[name] for seed in seeds]) for name in SCORES}
        for cell, seeds in sorted(by_cell.items())
    }


def read(scores: Mapping[str, Any]) -> dict[str, Score | None]:
    """Returns the scores of a run by the names in `SCORES`, None where one is not defined."""
    kind, factors = probed.identity(scores), probed.pose_factors(scores)
    return {
        "swap": scores["swap"] and scores["swap"]["model"]["psnr"],
        "class_from_pose": probed.score(scores, kind, "pose"),
        "auc": probed.auc(scores),
        "pose_from_pose": over_factors([probed.score(scores, f, "pose", "mlp") for f in factors]),
        "class_from_content": probed.score(scores, kind, "content"),
    }


def over_factors(records: Sequence[Score | None]) -> Score | None:
    """Returns the mean of several scores and of the ends of their intervals; None for no scores.

    The interval is too wide rather than too narrow, since errors of several scores average out.
    """
    present = [record for record in records if record is not None]
    if not present:
        return None
    columns = {
        key: [record[key] for record in present] for key in ("mean", "low", "high", "chance")
    }
    # An interval may be unknown.
    return {k: None if None in each else sum(each) / len(each) for k, each in columns.items()}


def over_seeds(scores: Sequence[Score | None]) -> Score | None:
    """Returns the mean of a score over seeds, with the lowest and the highest as its ends.

    The score of a single seed is returned unchanged. None if a seed has no score.
    """
    if len(scores) == 1 or None in scores:
        return None if None in scores else scores[0]
    means = [score["mean"] for score in scores]
    ends = {"mean": float(np.mean(means)), "low": min(means), "high": max(means)}
    return scores[0] | ends | {"seeds": means}


def table(scores: Cells, first: Mapping[str, Any]) -> Table:
    """Returns the scores of all cells; the last row is what to compare them with."""
    digits = {name: digits for name, (*_, digits) in SCORES.items()}
    rows = [
        [f"{dim}, {beta:g}", *(interval(cell[k], n) if cell[k] else "-" for k, n in digits.items())]
        for (dim, beta), cell in scores.items()
    ]
    own, best = read(first), trivial(first)
    chances = [f"{own[name]['chance']:.3f}" if own[name] else "-" for name in list(SCORES)[1:]]
    rows.append(["chance; best trivial answer", "-" if best is None else f"{best:.2f}", *chances])
    return Table(["pose dim, beta", *(head for head, *_ in SCORES.values())], rows)


def trivial(scores: Mapping[str, Any]) -> float | None:
    """Returns the swap PSNR of the best answer that needs no model."""
    names = ("copy_content_frame", "copy_pose_frame", "mean_frame")
    return scores["swap"] and max(scores["swap"][name]["psnr"]["mean"] for name in names)


def comparison(scores: Mapping[str, Any]) -> str:
    """Returns the values to compare the drawn scores with, in words."""
    best, from_pose = trivial(scores), read(scores)["class_from_pose"]
    words = [] if best is None else [f"the best trivial swap has {best:.2f} dB"]
    words += [] if from_pose is None else [f"chance is {from_pose['chance']:.2f} for the class"]
    words.append("chance is 0.5 for the AUC")
    pairs = scores["leakage"]["discriminator"]
    if pairs["same_clip_by_factors"] and not pairs["same_objects"]:
        mean = pairs["same_clip_by_factors"]["mean"]
        words.append(f"the true factors of pose alone reach an AUC of {mean:.2f}")
    return ", ".join(words)


def probes(scores: Mapping[str, Any]) -> str:
    """Returns which factors were read, and on which objects, in words."""
    score = read(scores)["class_from_pose"]
    if score is None:
        return "none, as these data have no factors"
    on = score["on"].replace("_", "-", 1).replace("_", " ")  # "held-out objects"
    factors = ", ".join(probed.pose_factors(scores))
    return f"{probed.identity(scores)} (linear) and {factors} (one hidden layer) of {on}"


if __name__ == "__main__":
    flags.DEFINE_integer("num_seeds", 1, "Number of runs of each cell.", lower_bound=1)
    script.start(draw, "norb", "mnist", "suncg", variations=cells)
