"""Which recipe learns Moving MNIST fastest? The same time of training for each, on a few seeds.

Swaps are scored on the way, for all recipes on the same clips. Their digits are held out of the
training digits (config.data.validation): the test digits are for scores, not for choices. What is
finished is kept in --out and used again. How many steps fit is measured once for each recipe: the
machine must do nothing else then.

  python -m experiments.recipe --preset=quick --budget=60 --seeds=3
"""

import dataclasses
import importlib
import json
import os
from collections.abc import Iterable
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import app, flags, logging
from etils import epath

from drnet_jax.runs import checks as settings
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import run as run_lib
from drnet_jax.runs import runtime
from drnet_jax.runs.run import Run
from experiments.shared import figure, plot, runs
from experiments.shared.budget import SHARES, Referee, fit, steps_that_fit

PRESETS = ("quick", "smoke")

NUM_CLIPS = 200


def paper(config: ml_collections.ConfigDict) -> None:
    """Takes the paper's weights, optimizer and frames, on its DCGAN of a quarter of the width."""
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan", decoder="dcgan", width=16)
    config.data.update(zero_speeds=True, max_frame_gap=20)
    config.drnet.update(learning_rate=0.002, schedule="constant", warmup_steps=0, beta1=0.5)
    _paper_weights(config)


def scaled_weights(config: ml_collections.ConfigDict) -> None:
    """Lets reconstruction count a hundred times as much as in the paper."""
    paper(config)
    config.drnet.update(similarity_weight=0.01, adversarial_weight=0.001)


def far_frames(config: ml_collections.ConfigDict) -> None:
    """Compares frames far apart, too, of digits that never stand still; cosine decay."""
    scaled_weights(config)
    config.data.update(zero_speeds=False, max_frame_gap=500)
    config.drnet.update(schedule="cosine")


def attention_paper_weights(config: ml_collections.ConfigDict) -> None:
    """Changes no more of the preset than the weights, to the paper's."""
    _paper_weights(config)


def shipped(config: ml_collections.ConfigDict) -> None:
    """Leaves the preset as it is."""
    del config


def _paper_weights(config: ml_collections.ConfigDict) -> None:
    config.drnet.update(similarity_weight=1.0, adversarial_weight=0.1)


RECIPES = {
    recipe.__name__: recipe
    for recipe in (paper, scaled_weights, far_frames, attention_paper_weights, shipped)
}


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
    RECIPES[recipe](config)
    config.seed = seed
    return config


def measure(
    base: ml_collections.ConfigDict, out: epath.Path, budget: float, seeds: Iterable[int]
) -> tuple[Referee, list[dict[str, Any]]]:
    """Returns the record of every recipe with every seed, trained where it is not in `out` yet.

    A recipe is trained for as many steps with every seed, those that fit into the first's budget.

    Raises:
      ValueError: when `out` has a record of another budget or of other settings.
    """
    # The workdirs are names alone: nothing is written there.
    referee = Referee(run_lib.create_run(base, out / "referee"))
    todo = [(seed, recipe) for seed in seeds for recipe in RECIPES]
    kept = {key: _kept(*_place(base, out, *key), budget) for key in todo}
    num_steps = {recipe: record["num_steps"] for (_, recipe), record in kept.items() if record}
    records = []
    for number, (seed, recipe) in enumerate(todo, 1):
        path, config = _place(base, out, seed, recipe)
        record, name = kept[seed, recipe], path.stem
        if record is None:
            if recipe not in num_steps:
                num_steps[recipe] = steps_that_fit(config, out / name, budget)
            config.drnet.num_steps = num_steps[recipe]
            print(f"[{number}/{len(todo)}] {name}: {config.drnet.num_steps:,} steps.", flush=True)
            record = {
                "recipe": recipe,
                "seed": seed,
                "budget": budget,
                "num_steps": config.drnet.num_steps,
                "data": referee.run.source.note,
                "device": _device(),
                "settings": config.to_dict(),
                "scores": fit(config, out / name, referee),
            }
            writer.write_json(path, record)
        records.append(record)
    return referee, records


def _place(
    base: ml_collections.ConfigDict, out: epath.Path, seed: int, recipe: str
) -> tuple[epath.Path, ml_collections.ConfigDict]:
    """Returns where the record of a recipe with a seed is kept, and its settings."""
    return out / f"{recipe}_seed{seed}.json", recipe_config(base, recipe, seed)


def _device() -> str:
    kind, count = jax.devices()[0].device_kind, jax.device_count()
    return f"{count} x {kind}, {os.cpu_count()} CPUs"


def _kept(path: epath.Path, config: ml_collections.ConfigDict, budget: float) -> dict | None:
    """Returns the finished record at `path`, or None; checks that it is of the same question."""
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None
    if record["budget"] != budget:
        raise ValueError(
            f"{path} is of --budget={record['budget']:g}; expected {budget:g}: give another --out."
        )
    if record["device"] != _device():
        raise ValueError(
            f"{path} was measured on {record['device']}; expected {_device()}: give another --out."
        )
    asked = config.to_dict()
    asked["drnet"]["num_steps"] = record["num_steps"]
    if difference := settings.difference(record["settings"], asked):
        raise ValueError(f"{path} has other settings, give another --out: {difference}.")
    return record


@dataclasses.dataclass(frozen=True)
class Behind:
    """What `figure.write` says on the runs behind the figure, none of which is kept."""

    run: Run
    note: str
    record: dict[str, Any]


def draw(out: epath.Path, referee: Referee, records: list[dict[str, Any]]) -> None:
    """Writes both plots as one figure, and prints the table."""
    values = {
        name: np.array([[score[name] for score in r["scores"]] for r in records], float)
        for name in records[0]["scores"][0]
    }
    names = np.array([record["recipe"] for record in records])
    first, budget = records[0]["scores"][0], records[0]["budget"]
    num_seeds = len({record["seed"] for record in records})
    print(_tables(names, values, budget))
    panels = [
        plot.curves(
            _drawn({name: _series(names == name, values, key) for name in RECIPES}),
            x_label="seconds of training",
            y_label=label,
            references={words: first[answer] for words, answer in answers.items()},
        )
        for key, label, answers in (
            ("swap_psnr", "swap PSNR [dB]", {"mean frame": "mean_frame_psnr"}),
            (
                "identity_kept",
                "identity kept",
                {"true swaps": "identity_of_truth", "chance": "identity_by_chance"},
            ),
        )
    ]
    note = (
        f"{records[0]['data']}. {budget:g} s of training each, seeds: {num_seeds}, on "
        f"{records[0]['device']}."
    )
    figure.write(
        out,
        "recipe",
        plot.stack(*panels),
        f"Swaps of {NUM_CLIPS} pairs of clips of held-out digits while training goes on: against "
        "the truth, and the share of digits in view that a judge takes for what they are. Lines "
        "are means over seeds, bands their whole range.",
        [Behind(referee.run, note, {"data": records[0]["data"], "stand_in": False})],
        arrays=values | {"recipe": names},
        numbers={"budget": budget, "trained": records},
    )


def _series(chosen: np.ndarray, values: dict[str, np.ndarray], key: str) -> dict[str, np.ndarray]:
    of_seeds = values[key][chosen]
    ends = {"low": of_seeds.min(axis=0), "high": of_seeds.max(axis=0)}
    return {"x": values["seconds"][chosen].mean(axis=0), "mean": of_seeds.mean(axis=0)} | ends


def _drawn(series: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """Returns the points at which no seed has diverged, by the name that the plot shows."""
    finite = {name: np.isfinite(each["mean"]) for name, each in series.items()}
    return {
        name.replace("_", " "): {key: column[finite[name]] for key, column in each.items()}
        for name, each in series.items()
        if finite[name].any()
    }


def _tables(names: np.ndarray, values: dict[str, np.ndarray], budget: float) -> str:
    """Returns a table for each score: means over seeds and their range."""
    tables = []
    for key, title, digits in (
        ("swap_psnr", "swap PSNR [dB]", 2),
        ("identity_kept", "identity", 3),
    ):
        rows = []
        for name in RECIPES:
            each = _series(names == name, values, key)
            ends = zip(each["mean"], each["low"], each["high"], strict=True)
            cells = (
                figure.interval(dict(mean=mean, low=low, high=high), digits)
                for mean, low, high in ends
            )
            rows.append((name, f"{int(values['step'][names == name][0, -1]):,}", *cells))
        heads = (
            f"{title}, mean and range",
            "steps",
            *(f"about {share * budget:.3g} s" for share in SHARES),
        )
        tables.append(figure.table(heads, rows))
    return "\n\n".join(tables)


def main(argv: list[str]) -> None:
    """Trains what is not there yet and draws the figure; a mistake is one line."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    given = flags.FLAGS
    runtime.keep_freed_memory()
    runtime.keep_compiled_programs()
    out = epath.Path(given.out)
    with runs.errors_in_one_line():
        base = base_config(given.preset, given.data_dir)
        draw(out, *measure(base, out, given.budget, range(1, given.seeds + 1)))


def _define_flags() -> None:
    """Declares the command line; not on import, as other programs have flags of these names."""
    flags.DEFINE_enum("preset", "quick", PRESETS, "The settings that recipes change.")
    flags.DEFINE_float("budget", 60, "Seconds of training of each recipe and seed.", 0.1)
    flags.DEFINE_integer("seeds", 3, "How many seeds.", 1)
    flags.DEFINE_string("data_dir", None, "Where prepared digits are kept.")
    flags.DEFINE_string("out", "runs/figures/recipe", "Where records and the figure go.")


if __name__ == "__main__":
    _define_flags()
    logging.set_verbosity(logging.WARNING)
    app.run(main)
