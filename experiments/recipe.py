"""Which recipe learns Moving MNIST fastest? Each gets the same training time on a few seeds.

Swaps are scored during training, on the same clips for all recipes. The digits of these clips are
held out of the training digits (config.data.validation), since choices must not depend on the test
digits. Finished results are kept in --out and reused. The number of steps that fit into the budget
is measured once for each recipe: the machine must be idle otherwise.

  python -m experiments.recipe --preset=quick --budget=60 --seeds=3
"""

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import flags
from etils import epath

from drnet_jax.base.wording import interval
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import renamed
from drnet_jax.runs.run import create_run
from experiments.shared import figure as figure_lib
from experiments.shared import plot, script
from experiments.shared import records as records_lib
from experiments.shared.budget import SHARES, Referee, fit, steps_that_fit
from experiments.shared.figure import Figure, Table, at_step

NUM_CLIPS = 200

SCORES = {
    "swap PSNR [dB]": ("swap_psnr", 2, {"mean frame": "mean_frame_psnr"}),
    "identity kept": (
        "identity_kept",
        3,
        {"true swaps": "identity_of_truth", "chance": "identity_by_chance"},
    ),
}
"""By title of the plot: the score, its digits in the table, and the scores to compare it with."""

Columns = Mapping[str, np.ndarray]

_PAPER_WEIGHTS = {"drnet.similarity_weight": 1.0, "drnet.adversarial_weight": 0.1}
_DCGAN = {f"model.{network}": "dcgan" for network in ("content_encoder", "pose_encoder", "decoder")}
_PAPER = {
    **_PAPER_WEIGHTS,
    **_DCGAN,
    "model.width": 16,  # A quarter of the paper's.
    "data.zero_speeds": True,
    "data.max_frame_gap": 20,
    "drnet.learning_rate": 0.002,
    "drnet.schedule": "constant",
    "drnet.warmup_steps": 0,
    "drnet.beta1": 0.5,
}
# Against both other terms, reconstruction has a hundred times the weight of the paper.
_SCALED = _PAPER | {"drnet.similarity_weight": 0.01, "drnet.adversarial_weight": 0.001}
# Frames are up to 500 steps apart, of digits that never stand still.
_FAR = {"data.zero_speeds": False, "data.max_frame_gap": 500, "drnet.schedule": "cosine"}

RECIPES = {
    "paper": _PAPER,
    "scaled_weights": _SCALED,
    "far_frames": _SCALED | _FAR,
    "attention_paper_weights": _PAPER_WEIGHTS,
    "shipped": {},
}
"""Changes to the settings of the preset, by recipe."""


def base_config(preset: str, data_dir: str | None = None) -> ml_collections.ConfigDict:
    """Returns the settings that recipes change: those of a preset, without the test digits."""
    config = importlib.import_module("configs.mnist").get_config(preset)
    config.data.validation = True
    config.evaluation.num_clips = NUM_CLIPS
    if data_dir:
        config.data.data_dir = data_dir
    return config


def recipe_config(
    base: ml_collections.ConfigDict, recipe: str, seed: int
) -> ml_collections.ConfigDict:
    """Returns the settings of one of `RECIPES`."""
    config = ml_collections.ConfigDict(base.to_dict())
    config.update_from_flattened_dict(RECIPES[recipe])
    config.seed = seed
    return config


def measure(
    base: ml_collections.ConfigDict, out: epath.Path, budget: float, seeds: Iterable[int]
) -> list[dict[str, Any]]:
    """Returns the record of every recipe with every seed; trains those that `out` does not have.

    A recipe is trained for the same number of steps with every seed: as many as fit into the budget
    with the first one.

    Raises:
      ValueError: if `out` has a record of another budget, device or settings.
    """
    todo = {
        f"{recipe}_seed{seed}": (recipe, recipe_config(base, recipe, seed))
        for seed in seeds
        for recipe in RECIPES
    }
    shared = {"budget": budget, "device": _device()}
    records = {
        name: _kept(out / f"{name}.json", shared | config.to_dict())
        for name, (_, config) in todo.items()
    }
    num_steps = {record["recipe"]: record["num_steps"] for record in records.values() if record}
    # The workdirs are only names: nothing is written to them.
    referee = Referee(create_run(base, out / "referee"))
    for number, (name, (recipe, config)) in enumerate(todo.items(), 1):
        if records[name]:
            continue
        if recipe not in num_steps:
            num_steps[recipe] = steps_that_fit(config, out / name, budget)
        config.drnet.num_steps = num_steps[recipe]
        print(f"[{number}/{len(todo)}] {name}: {num_steps[recipe]:,} steps.", flush=True)
        records[name] = shared | {
            "recipe": recipe,
            "seed": config.seed,
            "num_steps": num_steps[recipe],
            "data": referee.run.source.note,
            "settings": config.to_dict(),
            "scores": fit(config, out / name, referee),
        }
        writer.write_json(out / f"{name}.json", records[name])
    return list(records.values())


def _device() -> str:
    kind, count = jax.devices()[0].device_kind, jax.device_count()
    return f"{count} x {kind}, {os.cpu_count()} CPUs"


def _kept(path: epath.Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the finished record at `path`, or None; checks that it answers the same question."""
    record = records_lib.read(path)
    if record is None:
        return None
    # Seconds of different machines cannot be compared.
    kept = {name: record[name] for name in ("budget", "device")}
    kept |= renamed.present_settings(record["settings"])
    asked["drnet"]["num_steps"] = record["num_steps"]  # Measured, not asked for.
    records_lib.check_question(path, kept, asked)
    return record


def draw(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Returns both plots as one figure."""
    first, budget = records[0]["scores"][0], records[0]["budget"]
    values = {
        # [records, times]; None, the score of a diverged run, becomes NaN.
        name: np.array([[score[name] for score in r["scores"]] for r in records], float)
        for name in first
    }
    names = np.array([record["recipe"] for record in records])
    plots, tables = [], []
    for title, (key, digits, references) in SCORES.items():
        series = _series(names, values, key)
        plots.append(
            plot.curves(
                _finite(series),
                x_label="seconds of training",
                y_label=title,
                references={name: first[score] for name, score in references.items()},
            )
        )
        rows = []
        for name, each in series.items():
            cells = [interval(at_step(each, i), digits) for i in range(len(SHARES))]
            rows.append((name, f"{int(values['step'][names == name][0, -1]):,}", *cells))
        times = [f"about {share * budget:.3g} s" for share in SHARES]
        tables.append(Table([f"{title}, mean and range", "steps", *times], rows))
    return Figure(
        "recipe",
        plot.stack(*plots),
        f"Swaps of {NUM_CLIPS} pairs of clips of held-out digits during training: PSNR against the "
        "true frames, and the share of visible digits that a judge recognizes. Lines are means "
        "over seeds, bands the range over seeds.",
        tables,
        arrays=values | {"recipe": names},
        numbers={"budget": budget, "trained": list(records)},
    )


def _series(names: np.ndarray, values: Columns, key: str) -> dict[str, Columns]:
    """Returns a line for each recipe: the mean of a score over seeds, with its range."""
    series = {}
    for name in RECIPES:
        of_seeds = values[key][names == name]  # [seeds, times]
        ends = {"low": of_seeds.min(axis=0), "high": of_seeds.max(axis=0)}
        seconds = values["seconds"][names == name].mean(axis=0)
        series[name] = {"x": seconds, "mean": of_seeds.mean(axis=0)} | ends
    return series


def _finite(series: Mapping[str, Columns]) -> dict[str, Columns]:
    """Returns the points at which no seed has diverged, by the name that the plot shows."""
    drawn = {}
    for name, each in series.items():
        finite = np.isfinite(each["mean"])
        if finite.any():
            drawn[name.replace("_", " ")] = {key: col[finite] for key, col in each.items()}
    return drawn


def _make_figure() -> None:
    given, out = flags.FLAGS, epath.Path(flags.FLAGS.out)
    base = base_config(given.preset, given.data_dir)
    records = measure(base, out, given.budget, range(1, given.seeds + 1))
    first = records[0]
    note = (
        f"{first['data']}. {given.budget:g} s of training each, seeds: {given.seeds}, on "
        f"{first['device']}."
    )
    # The trained runs are not kept, so there is no workdir to name.
    run = {"data": first["data"], "note": note, "stand_in": False}
    figure_lib.write(out, draw(records), [run], "recipe")


if __name__ == "__main__":
    # Without `full`, whose networks learn nothing in a short budget.
    script.define_flags(("quick", "smoke"), out="runs/figures/recipe")
    flags.DEFINE_float("budget", 60, "Seconds of training for each recipe and seed.", 0.1)
    flags.DEFINE_integer("seeds", 3, "Number of seeds.", 1)
    script.launch(_make_figure)
