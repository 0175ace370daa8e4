"""Long rollouts of held-out clips against the frames that really followed, step by step."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array, as_float
from drnet_jax.data.ground_truth import Objects
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import azimuths, metrics, samples
from drnet_jax.evaluation.judges import scores as judge_scores
from drnet_jax.evaluation.judges.classifier import Judge
from drnet_jax.models import inference
from drnet_jax.models.rollout import predict_poses
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

HORIZONS = (10, 50, 100, 250, 500, 1000)
"""The steps after the last observed frame that tables show, if rollouts are that long."""

FROZEN = 0.1
"""A frame is frozen if it changes by less than this share of the mean change of real frames."""

_FRAMES_AT_ONCE = 500


def score(
    run: Run,
    state: DrnetState,
    predictor: PredictorState,
    judge: Judge | None,
    mean_frame: Array,
) -> dict[str, Any]:
    """Returns the records `prediction` and `rollout`, on clips of the test split.

    prediction: picture scores, their mean over the first `config.evaluation.horizon` steps.
    rollout: scores at each of `scored_steps`, up to `config.evaluation.rollout_steps` or the end of
      the clips. If the true positions of objects are known, these include how far from them the
      objects are drawn, and which classes the judge sees in them; if clips are full turns, how far
      the azimuths are off.
    """
    config = run.config.evaluation
    values = _measure(run, state, predictor, judge, mean_frame)
    steps, pictures, drawn = (values.pop(name) for name in ("steps", "pictures", "samples"))
    turn = run.source.truth.turn_length("test")
    clusters = {"seed": run.config.seed, "clusters": drawn.clusters}
    interval = functools.partial(metrics.bootstrap, **clusters)
    near = steps <= config.horizon
    prediction = {
        "horizon": min(config.horizon, int(steps[-1])),
        **drawn.counts,
        **jax.tree.map(lambda scores: interval(scores[:, near].mean(axis=1)), pictures),
    }
    rollout = {
        **drawn.counts,
        "steps": steps.tolist(),
        "horizons": [h for h in _horizons(turn) if h <= steps[-1]],
    }
    for key in ("psnr", "ssim", "mse", "mae"):
        rollout[key] = {name: interval(scores[key]) for name, scores in pictures.items()}
    rollout |= _records(values, steps, **clusters) | dict.fromkeys(azimuths.NAMES)
    if turn:
        rollout |= azimuths.records(values["azimuths"], steps, turn, **clusters)
    return {"prediction": prediction, "rollout": rollout}


def scored_steps(num_steps: int, turn: int | None = None) -> np.ndarray:
    """Returns the steps that are scored, ascending: every step at first, then fewer and fewer.

    If clips are turns of `turn` frames, these include every step of some turns.
    """
    steps = {*range(1, 21), *range(25, 101, 5), *range(120, num_steps + 1, 20), *HORIZONS}
    if turn:
        steps |= azimuths.turn_steps(turn)
    return np.array(sorted(step for step in steps | {num_steps} if step <= num_steps))


def _horizons(turn: int | None) -> list[int]:
    """Returns the steps that tables show, for turns of `turn` frames with the ends of some."""
    ends = {number * turn for number in azimuths.TURNS} if turn else set()
    return sorted({*HORIZONS, *ends})


def _measure(run, state, predictor, judge, mean_frame) -> dict[str, Any]:
    """Returns values by sample and scored step, these `steps`, and the distinct `samples`.

    All are on the host.
    """
    config, source = run.config, run.source
    num_observed, num_clips = config.predictor.num_observed, config.evaluation.rollout_clips
    num_steps = min(config.evaluation.rollout_steps, source.max_frames - num_observed)
    turn = source.truth.turn_length("test")
    steps = scored_steps(num_steps, turn)
    # Speeds and frozen frames also need the frame before each scored one. Step 0 is observed.
    decoded = np.unique(np.concatenate([steps - 1, steps]))[1:]
    at = np.searchsorted(decoded, steps)  # Where `decoded` has the scored steps.
    batch_size = max(1, min(num_clips, _FRAMES_AT_ONCE // len(decoded)))
    roll_out = _make_rollout(run, state, predictor, num_steps, decoded)
    draw_true_poses = _make_oracle(run, state)
    measure = jax.jit(functools.partial(_measure_frames, at=at))
    batches, continued = [], []
    for number in range(-(-num_clips // batch_size)):
        key = prng.stream(run.key, "rollout evaluation", number)
        clips = source.sample("test", key, batch_size, num_frames=num_observed + num_steps)
        observed = source.frames("test", clips, np.arange(num_observed))
        times = np.broadcast_to(num_observed - 1 + decoded, (batch_size, len(decoded)))
        truth = source.frames("test", clips, times)
        frames = np.asarray(roll_out(observed))
        values = measure(frames, truth, observed[:, -1], mean_frame)
        # The objects in the last observed frame come before those in the decoded ones.
        since_last = np.insert(times, 0, num_observed - 1, axis=1)
        objects = source.truth.objects("test", clips, since_last)
        drawn = {"model": frames, "truth": as_float(truth)}
        if turn or objects is not None:
            drawn["true_poses"] = np.asarray(draw_true_poses(observed[:, -1], truth))
        scored = {name: frames[:, at] for name, frames in drawn.items()}
        if turn:
            values["azimuths"] = azimuths.measure(run, clips, scored, steps)
        if objects is not None:
            values |= _measure_objects(run, clips, objects, drawn, at + 1)
            if judge is not None:
                values |= _judge(judge, objects, scored, observed[:, -1:], at + 1)
        batches.append(jax.device_get(values))
        continued.append(clips)
    values, clips = jax.tree.map(
        lambda *arrays: np.concatenate(arrays)[:num_clips], *zip(batches, continued, strict=True)
    )
    different = samples.distinct(source, "test", clips)
    values = jax.tree.map(lambda v: v[different.rows], values)
    if judge is not None:
        values["chance"] = judge.record["chance"]
    return values | {"steps": steps, "samples": different}


def _make_rollout(
    run: Run, state: DrnetState, predictor: PredictorState, num_steps: int, decoded: np.ndarray
) -> Callable[[Array], jax.Array]:
    """Returns a function from observed frames to generated ones, only at the steps in `decoded`.

    The generated frames are float `[batch, decoded, ...]`: rounding to uint8 would change scores.
    """

    @jax.jit
    def roll_out(autoencoder, variables, observed: Array) -> jax.Array:
        content, poses = predict_poses(
            run.networks, run.predictor, autoencoder, variables, observed, num_steps
        )
        return inference.decode_each(run.networks, autoencoder, content, poses[:, decoded - 1])

    variables = predictor.variables
    return functools.partial(roll_out, state.autoencoder, variables)


def _make_oracle(run: Run, state: DrnetState) -> Callable[[Array, Array], jax.Array]:
    """Returns a function from last observed frames and true later ones to decoded frames.

    Poses are those of the true frames: what a perfect predictor would draw.
    """

    @jax.jit
    def draw(autoencoder, last: Array, truth: Array) -> jax.Array:
        content = inference.encode_content(run.networks, autoencoder, last)
        poses = inference.encode_pose(run.networks, autoencoder, truth)
        return inference.decode_each(run.networks, autoencoder, content, poses)

    return functools.partial(draw, state.autoencoder)


def _measure_frames(
    frames: jax.Array, truth: Array, last: Array, mean_frame: Array, *, at: np.ndarray
) -> dict[str, Any]:
    """Returns the scores of pixels, `[batch, steps]`; `at` are the scored ones among `frames`."""
    truth, last = as_float(truth), as_float(last)

    def change(frames: jax.Array) -> jax.Array:
        before = jnp.concatenate([last[:, None], frames[:, :-1]], axis=1)
        return jnp.mean(jnp.abs(frames - before), axis=(2, 3, 4))[:, at]

    target = truth[:, at]
    answers = {
        "model": frames[:, at],
        "copy_last_frame": jnp.broadcast_to(last[:, None], target.shape),
        "mean_frame": jnp.broadcast_to(mean_frame, target.shape),
    }
    return {
        "pictures": {name: metrics.picture_scores(a, target) for name, a in answers.items()},
        "sharpness": {
            "model": metrics.sharpness(answers["model"]),
            "mean_frame": metrics.sharpness(answers["mean_frame"]),
            "truth": metrics.sharpness(target),
        },
        "change": {"model": change(frames), "truth": change(truth)},
    }


def _measure_objects(
    run: Run, clips: Clips, objects: Objects, drawn: Mapping[str, Array], at: np.ndarray
) -> dict[str, Any]:
    """Returns the errors of the places and speeds at which objects are drawn.

    `drawn` are frames by answer. `objects` begin with the last observed frame; `at` are the scored
    ones among their times.
    """
    start, positions = objects.positions[:, :1], objects.positions

    def track(frames: Array) -> np.ndarray:
        located = run.source.truth.locate("test", clips, frames)
        return np.concatenate([start, np.asarray(located, np.float32)], axis=1)

    def distance(track: np.ndarray) -> np.ndarray:
        return np.linalg.norm(track[:, at] - positions[:, at], axis=-1)  # [batch, steps, objects]

    def speed(track: np.ndarray) -> np.ndarray:
        return np.linalg.norm(track[:, at] - track[:, at - 1], axis=-1)

    tracks = {name: track(frames) for name, frames in drawn.items()} | {
        "copy_last_frame": np.broadcast_to(start, positions.shape),
        "another_clip": np.roll(positions, 1, axis=0),
    }
    moving = ("model", "copy_last_frame", "truth")
    return {
        "distance": distance(tracks["model"]),
        "position_error": {name: distance(t).mean(axis=2) for name, t in tracks.items()},
        "speed_error": {
            name: np.abs(speed(tracks[name]) - speed(positions)).mean(axis=2) for name in moving
        },
        "size": np.full(len(positions), objects.size),
    }


def _judge(
    judge: Judge, objects: Objects, answers: dict[str, Array], last: Array, at: np.ndarray
) -> dict[str, Any]:
    """Returns the judge's answers to the scored frames and to the last observed one."""
    judged = {name: judge.probabilities(frames) for name, frames in answers.items()}
    still = judge.probabilities(last)
    judged["copy_last_frame"] = np.broadcast_to(still, judged["model"].shape)
    return {
        "judged": judged,
        "classes": objects.classes,
        "in_view": objects.visible[:, at] >= judge_scores.IN_VIEW,
    }


def _records(
    values: dict[str, Any], steps: np.ndarray, *, seed: int, clusters: np.ndarray | None
) -> dict[str, Any]:
    """Returns the scores at each step, from values by sample and step."""
    real_change = values["change"]["truth"].mean()
    real_sharpness = values["sharpness"].pop("truth").mean()
    frozen = {name: change < FROZEN * real_change for name, change in values["change"].items()}
    interval = functools.partial(metrics.bootstrap, seed=seed, clusters=clusters)
    record = {
        "sharpness": {n: interval(v / real_sharpness) for n, v in values["sharpness"].items()},
        "frozen": {name: interval(v) for name, v in frozen.items()},
        "frozen_rate": {name: interval(v.mean(axis=1)) for name, v in frozen.items()},
    }
    optional = ("position_error", "speed_error", "lost_at", "never_lost", "on_track")
    optional += ("identity", "inception")
    record |= dict.fromkeys(optional)
    if "distance" in values:
        for name in ("position_error", "speed_error"):
            record[name] = {answer: interval(v) for answer, v in values[name].items()}
        lost, on_track = follow(values["distance"].max(axis=2), steps, values["size"][0] / 2)
        record["lost_at"], record["on_track"] = interval(lost), {"model": interval(on_track)}
        record["never_lost"] = interval(on_track[:, -1])
    if "judged" in values:
        classes, in_view, judged = values["classes"][:, None], values["in_view"], values["judged"]
        record["identity"] = {"chance": values["chance"]} | {
            name: judge_scores.share(p.argmax(axis=-1) == classes, in_view, seed, clusters)
            for name, p in judged.items()
        }
        record["inception"] = {
            name: judge_scores.inception(p, in_view, seed, clusters)["inception_score"]
            for name, p in judged.items()
        }
    return record


def follow(distances: np.ndarray, steps: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns when tracks are lost, `[clips]`, and whether they are not yet, bool `[clips, steps]`.

    The arguments are those of `lost_at`. A track that is never lost counts with the last step.
    """
    lost = lost_at(distances, steps, limit)
    return np.where(lost > 0, lost, steps[-1]), (lost == 0)[:, None] | (lost[:, None] > steps)


def lost_at(distances: np.ndarray, steps: np.ndarray, limit: float) -> np.ndarray:
    """Returns int `[clips]`, the first of `steps` at which a track is lost, 0 if it never is.

    A track is lost at a step if `distances`, `[clips, steps]`, exceed `limit` there and at the next
    of `steps`.
    """
    far = distances > limit
    far[:, :-1] &= far[:, 1:]
    return np.where(far.any(axis=1), steps[far.argmax(axis=1)], 0)
