"""Which training keeps the predictor on track? Recipes on the same encoders, on a few seeds.

The first stage of the preset is trained once for each seed; every recipe then trains a predictor on
its poses. Digits to score on are held out of the training digits (config.data.validation), since
choices must not depend on the test digits; the recipes of `full` are final, and scored on the test
digits. What is finished is kept in --out and reused.

Two rows need no predictor and bound all others: decoding the true poses, and fitting the law of
motion to the observed poses of as many other clips.

  python -m experiments.predictor --preset=quick --seeds=3
  python -m experiments.predictor --preset=full --seeds=1   # GPU or TPU: full and long
"""

import functools
import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import flags
from etils import epath

from drnet_jax.base import prng
from drnet_jax.base.wording import interval
from drnet_jax.data.moving_mnist.generator import MovingMnist
from drnet_jax.data.moving_mnist.tracks import Tracks
from drnet_jax.evaluation import probes, rollouts
from drnet_jax.evaluation.score import mean_training_frame
from drnet_jax.models import inference
from drnet_jax.models.state import DrnetState
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import renamed
from drnet_jax.runs.run import Run, create_run
from experiments.shared import figure as figure_lib
from experiments.shared import plot, runs, script
from experiments.shared import records as records_lib
from experiments.shared.figure import Figure, Table

STEPS = (1, 10, 25, 100, 500)
"""Steps whose position error the table shows, if rollouts are that long."""

_SHORT = {"predictor.num_predicted": 15}
_CONTENT = {"predictor.use_content": True}
_POSES = {"predictor.residual": False}
_FORCED = {"predictor.scheduled_sampling": 0.0}

RECIPES = {
    "20 frames": _SHORT | _FORCED | _POSES | _CONTENT,
    "60 frames": _FORCED | _POSES | _CONTENT,
    "own predictions": _POSES | _CONTENT,
    "poses alone": _POSES,
    "shipped": {},
}
"""Changes to the settings of `quick`, by recipe. From the first one to the shipped one, each recipe
adds one change to the one above it; `shipped` adds that changes of poses are predicted."""

ONE_SEED = ("own predictions", "poses alone")
"""Recipes of the first seed only, for time."""

FITTED, TRUE_POSES = "fit of the law of motion", "true poses, decoded"


def recipes(preset: str) -> dict[str, dict[str, Any]]:
    """Returns changes to the settings of the preset by recipe; the last recipe is ours."""
    if preset != "full":
        return RECIPES
    long = importlib.import_module("configs.mnist").get_config("long").predictor.to_dict()
    return {"paper": {}, "long": {f"predictor.{name}": value for name, value in long.items()}}


def base_config(preset: str, data_dir: str | None, seed: int) -> ml_collections.ConfigDict:
    """Returns the settings that recipes change: those of a preset.

    The recipes of `full` are final, so these are scored on the test digits.
    """
    config = importlib.import_module("configs.mnist").get_config(preset)
    config.data.validation = preset != "full"
    config.seed = seed
    if data_dir:
        config.data.data_dir = data_dir
    return config


def measure(
    preset: str, data_dir: str | None, out: epath.Path, seeds: Iterable[int]
) -> list[dict[str, Any]]:
    """Returns a record of every recipe and oracle with every seed; makes those that are missing.

    Raises:
      ValueError: if `out` has a record of other settings.
    """
    records, done = [], set()
    for seed in seeds:
        config = base_config(preset, data_dir, seed)
        folder = out / preset / f"seed{seed}"
        run = create_run(config, folder / "drnet")
        drnet = functools.cache(functools.partial(runs.finish_drnet, run))
        for name, changes in {**recipes(preset), FITTED: None}.items():
            if name in ONE_SEED and name in done:
                continue
            done.add(name)
            changed = ml_collections.ConfigDict(config.to_dict())
            changed.update_from_flattened_dict(changes or {})
            path = folder / f"{name.replace(' ', '_')}.json"
            record = records_lib.read(path)
            if record is not None:
                kept = renamed.present_settings(record["settings"])
                records_lib.check_question(path, kept, changed.to_dict())
            else:
                print(f"Seed {seed}: {name}.", flush=True)
                if changes is None:
                    scores = fit_motion(run, drnet())
                else:
                    scores = train_predictor(create_run(changed, folder / name), drnet())
                record = {"name": name, "seed": seed, "data": run.source.note}
                record |= {"settings": changed.to_dict(), "scores": scores}
                writer.write_json(path, record)
            records.append(record)
    return records


def train_predictor(run: Run, drnet: DrnetState) -> dict[str, Any]:
    """Returns the rollout scores of a predictor that is trained on the encoders of `drnet`."""
    predictor = runs.finish_predictor(run, drnet)
    return rollouts.score(run, drnet, predictor, None, mean_training_frame(run))["rollout"]


def fit_motion(run: Run, drnet: DrnetState) -> dict[str, Any]:
    """Returns the scores of a fit of the law of motion, named as in `rollouts.score`.

    A probe reads positions from the observed poses; on every axis, the orbit with the least squared
    distance to them is continued.
    """
    source, config = run.source, run.config
    num_observed, span = config.predictor.num_observed, source.generator.span
    encode = jax.jit(functools.partial(inference.encode_pose, run.networks, drnet.autoencoder))

    def sample(split: str, num_clips: int, num_times: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns observed poses `[clips, observed, pose_dim]`, places `[clips, time, axes]`."""
        clips = source.sample(split, prng.stream(run.key, f"fit of motion {split}"), num_clips)
        poses = encode(source.frames(split, clips, np.arange(num_observed)))
        return np.asarray(poses), positions(source.generator, clips, num_times)

    poses, places = sample("train", config.evaluation.probe_clips, num_observed)
    flat = poses.reshape(-1, poses.shape[-1]), places.reshape(-1, places.shape[-1])
    probe = probes.fit("mlp", flat[0], flat[1] / span, config.seed)
    num_clips, num_steps = config.evaluation.rollout_clips, config.evaluation.rollout_steps
    poses, places = sample("test", num_clips, num_observed + num_steps)
    read = span * probe.predict(poses.reshape(-1, poses.shape[-1]))
    read = read.reshape(num_clips, num_observed, 1, -1)
    orbits = all_orbits(source.generator, num_observed + num_steps)  # [orbits, time]
    # [clips, observed, orbits, axes], summed over what was observed.
    misfits = np.square(read - orbits[:, :num_observed].T[None, :, :, None]).sum(axis=1)
    followed = orbits[misfits.argmin(axis=1)]  # [clips, axes, time]
    errors = (followed.swapaxes(1, 2) - places)[:, num_observed:]
    distances = np.linalg.norm(errors.reshape(num_clips, num_steps, -1, 2), axis=-1)
    steps = rollouts.scored_steps(num_steps)
    distances = distances[:, steps - 1]
    limit = source.generator.digit_size / 2
    lost, on_track = rollouts.follow(distances.max(axis=2), steps, limit)
    return {
        "steps": steps.tolist(),
        "position_error": {"model": {"mean": distances.mean(axis=(0, 2)).tolist()}},
        "lost_at": {"mean": float(lost.mean())},
        "on_track": {"model": {"mean": on_track.mean(axis=0).tolist()}},
    }


def positions(generator: MovingMnist, clips: Tracks, num_times: int) -> np.ndarray:
    """Returns rows and columns of all digits, `[clips, time, 2 * num_digits]`."""
    shape = (len(clips.front), num_times)
    times = np.broadcast_to(np.arange(num_times, dtype=np.int32), shape)
    return np.asarray(generator.positions(clips, times), np.float32).reshape(*shape, -1)


def all_orbits(generator: MovingMnist, num_times: int) -> np.ndarray:
    """Returns `[orbits, time]`: the positions on one axis from every position and velocity."""
    low, high = generator.speeds
    velocities = [v for v in range(low, high + 1) if v or generator.zero_speeds]
    places, speeds = np.meshgrid(np.arange(generator.span), velocities)
    num = places.size
    tracks = Tracks(
        digits=np.zeros((num, 1), np.int32),
        positions=np.broadcast_to(places.reshape(num, 1, 1), (num, 1, 2)),
        velocities=np.broadcast_to(speeds.reshape(num, 1, 1), (num, 1, 2)),
        front=np.zeros(num, np.int32),
    )
    return positions(generator, tracks, num_times)[..., 0]


def draw(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Returns position errors and clips on track over time, with a table of both."""
    names = list(dict.fromkeys(record["name"] for record in records))
    by_name = {name: [r["scores"] for r in records if r["name"] == name] for name in names}
    steps = np.array(records[0]["scores"]["steps"])
    # [seeds, steps] of each recipe, in the two plots.
    errors = {name: _columns(scores, "position_error", "model") for name, scores in by_name.items()}
    shares = {name: _columns(scores, "on_track", "model") for name, scores in by_name.items()}
    errors[TRUE_POSES] = _columns(by_name[names[0]], "position_error", "true_poses")
    drawn = {name: values for name, values in errors.items() if name != FITTED}
    plots = [
        plot.curves(
            {name: _over_seeds(steps, values) for name, values in series.items()},
            x_label="steps after the last observed frame",
            y_label=label,
        )
        for label, series in (("position error [px]", drawn), ("clips on track", shares))
    ]
    shown = [step for step in STEPS if step <= steps[-1]]
    rows = []
    for name, values in errors.items():
        cells = [_words(values[:, steps == step], 2) for step in shown]
        if name in by_name:
            lost = np.array([[scores["lost_at"]["mean"]] for scores in by_name[name]])
            kept = shares[name][:, steps == min(100, steps[-1])]
            cells += [_words(lost, 0), _words(kept, 2)]
        rows.append([name, *cells, *[""] * (len(shown) + 2 - len(cells))])
    heads = ["mean and range over seeds", *(f"px off at {step}" for step in shown)]
    heads += ["lost after", f"on track at {min(100, steps[-1])}"]
    num_seeds, single = len(by_name[names[0]]), ""
    if num_seeds > 1 and set(ONE_SEED) <= set(names):
        single = f" One seed: {', '.join(ONE_SEED)}."
    return Figure(
        "predictor",
        plot.stack(*plots),
        f"Rollouts of {len(names) - 1} recipes for the predictor on the same encoders, beside two "
        "answers that bound them: true poses, decoded, and a fit of the law of motion. "
        f"Lines are means over {num_seeds} seeds, bands the range.{single}",
        [Table(heads, rows)],
        arrays={"steps": steps} | {f"error {n}": v for n, v in errors.items()},
        numbers={"trained": list(records)},
    )


def _columns(scores: Sequence[Mapping[str, Any]], score: str, answer: str) -> np.ndarray:
    """Returns the means of a score, `[seeds, steps]`."""
    return np.array([each[score][answer]["mean"] for each in scores])


def _over_seeds(steps: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    ends = {"low": values.min(axis=0), "high": values.max(axis=0)}
    return {"x": steps, "mean": values.mean(axis=0)} | ends


def _words(values: np.ndarray, digits: int) -> str:
    """Returns the mean of a score of every seed and the range, as in `0.51 [0.48, 0.53]`."""
    return interval({"mean": values.mean(), "low": values.min(), "high": values.max()}, digits)


def _make_figure() -> None:
    given, out = flags.FLAGS, epath.Path(flags.FLAGS.out)
    records = measure(given.preset, given.data_dir, out, range(1, given.seeds + 1))
    data = records[0]["data"]
    run = {"data": data, "note": f"{data}. Seeds: {given.seeds}.", "stand_in": False}
    figure_lib.write(out, draw(records), [run], "predictor")


if __name__ == "__main__":
    script.define_flags(out="runs/figures/predictor")
    flags.DEFINE_integer("seeds", 3, "Number of seeds.", 1)
    script.launch(_make_figure)
