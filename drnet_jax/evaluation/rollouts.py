"""Long rollouts of held-out clips against what really followed, step by step."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array, as_float
from drnet_jax.data.ground_truth import Objects
from drnet_jax.evaluation import metrics
from drnet_jax.evaluation.judges import scores as verdicts
from drnet_jax.evaluation.judges.objects import Judge
from drnet_jax.models import inference
from drnet_jax.models.rollout import predict_poses
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

HORIZONS = (10, 50, 100, 250, 500, 1000)
"""Steps after the last observed frame that tables show, as far as rollouts go."""

FROZEN = 0.1
"""A frame that differs from the one before by less than this share of what real ones do."""

_FRAMES_AT_ONCE = 500


def score(
    run: Run,
    state: DrnetState,
    predictor: PredictorState,
    judge: Judge | None,
    mean_frame: Array,
) -> dict[str, Any]:
    """Returns the records `prediction` and `rollout`.

      prediction: scores of pictures over the first `config.evaluation.horizon` steps.
      rollout: scores at growing steps, up to `config.evaluation.rollout_steps` or as far as clips
        go; where objects are known to be, also how far from there they are painted, and what they
        are painted as.

    Clips are of the test split, content is that of the last observed frame.
    """
    config = run.config.evaluation
    values = _measure(run, state, predictor, judge, mean_frame)
    steps, seed = values.pop("steps"), run.config.seed
    near = steps <= config.horizon
    pictures = values.pop("pictures")
    prediction = {
        "horizon": min(config.horizon, int(steps[-1])),
        "num_clips": config.rollout_clips,
    }
    for name, scores in pictures.items():
        prediction[name] = {
            key: metrics.bootstrap(value[:, near].mean(axis=1), seed)
            for key, value in scores.items()
        }
    rollout = {
        "num_clips": config.rollout_clips,
        "steps": steps.tolist(),
        "horizons": [h for h in HORIZONS if h <= steps[-1]],
    }
    for key in ("psnr", "ssim", "mse", "mae"):
        rollout[key] = {n: metrics.bootstrap(scores[key], seed) for n, scores in pictures.items()}
    return {"prediction": prediction, "rollout": rollout | _records(values, steps, seed)}


def scored_steps(num_steps: int) -> np.ndarray:
    """Returns the steps that are scored, ascending: all of the first, fewer and fewer later."""
    steps = {*range(1, 21), *range(25, 101, 5), *range(120, num_steps + 1, 20), *HORIZONS}
    return np.array(sorted(step for step in steps | {num_steps} if step <= num_steps))


def _measure(run, state, predictor, judge, mean_frame) -> dict[str, Any]:
    """Returns values by clip and scored step, all on the host; `steps` are those steps."""
    config, source = run.config, run.source
    num_observed = config.predictor.num_observed
    num_steps = min(config.evaluation.rollout_steps, source.max_frames - num_observed)
    steps = scored_steps(num_steps)
    # With the frame before each: for speed and standstill.
    decoded = np.unique(np.concatenate([steps - 1, steps]))[1:]
    batch_size = max(1, min(config.evaluation.rollout_clips, _FRAMES_AT_ONCE // len(decoded)))
    roll_out = _make_rollout(run, num_steps, decoded)
    measure = jax.jit(functools.partial(_measure_frames, at=np.searchsorted(decoded, steps)))
    batches = []
    for number in range(-(-config.evaluation.rollout_clips // batch_size)):
        key = prng.stream(run.key, "rollout evaluation", number)
        clips = source.sample("test", key, batch_size, num_frames=num_observed + num_steps)
        observed = source.frames("test", clips, np.arange(num_observed))
        times = np.broadcast_to(num_observed - 1 + decoded, (batch_size, len(decoded)))
        truth = source.frames("test", clips, times)
        frames = roll_out(state.autoencoder, predictor.predictor.variables("predictor"), observed)
        values = measure(frames, truth, observed[:, -1], mean_frame)
        objects = source.truth.objects("test", clips, np.insert(times, 0, num_observed - 1, axis=1))
        if objects is not None:
            values |= _measure_objects(run, clips, objects, frames, truth, steps, decoded)
            if judge is not None:
                at = np.searchsorted(decoded, steps)
                answers = {"model": frames, "truth": as_float(truth)}
                values |= _judge(judge, objects, answers, observed[:, -1:], at)
        batches.append(jax.device_get(values))
    count = config.evaluation.rollout_clips
    values = jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *batches)
    if judge is not None:
        values["chance"] = judge.record["chance"]
    return values | {"steps": steps}


def _make_rollout(run: Run, num_steps: int, decoded: np.ndarray):
    """Returns the compiled rollout of `num_steps` of which only the `decoded` are painted."""

    def roll_out(autoencoder, variables, observed: Array) -> jax.Array:
        content, poses = predict_poses(
            run.networks, run.predictor, autoencoder, variables, observed, num_steps
        )
        contents = jax.tree.map(lambda x: jnp.repeat(x[:, None], len(decoded), axis=1), content)
        return inference.decode(run.networks, autoencoder, contents, poses[:, decoded - 1])

    return jax.jit(roll_out)


def _measure_frames(
    frames: jax.Array, truth: Array, last: Array, mean_frame: Array, *, at: np.ndarray
) -> dict[str, Any]:
    """Returns what needs pixels alone, `[batch, steps]`; `at` says which frames are scored."""
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
    run: Run,
    clips: Any,
    objects: Objects,
    frames: jax.Array,
    truth: Array,
    steps: np.ndarray,
    decoded: np.ndarray,
) -> dict[str, Any]:
    """Returns where objects were painted; `objects` begin with what was seen last."""
    locate = functools.partial(run.source.truth.locate, "test", clips)
    start, positions = objects.positions[:, :1], objects.positions
    at = np.searchsorted(decoded, steps) + 1  # One further on, after the last observed frame.

    def track(frames: Array) -> np.ndarray:
        return np.concatenate([start, np.asarray(locate(frames), np.float32)], axis=1)

    def distance(found: np.ndarray) -> np.ndarray:
        return np.linalg.norm(found[:, at] - positions[:, at], axis=-1)  # [batch, steps, objects]

    def speed(track: np.ndarray) -> np.ndarray:
        return np.linalg.norm(track[:, at] - track[:, at - 1], axis=-1)

    model, real = track(frames), track(truth)
    still = np.broadcast_to(start, positions.shape)
    others = np.roll(positions, 1, axis=0)
    return {
        "distance": distance(model),
        "position_error": {
            "model": distance(model).mean(axis=2),
            "copy_last_frame": distance(still).mean(axis=2),
            "another_clip": distance(others).mean(axis=2),
            "truth": distance(real).mean(axis=2),
        },
        "speed_error": {
            "model": np.abs(speed(model) - speed(positions)).mean(axis=2),
            "copy_last_frame": speed(positions).mean(axis=2),
            "truth": np.abs(speed(real) - speed(positions)).mean(axis=2),
        },
        "size": np.full(len(model), objects.size),
    }


def _judge(
    judge: Judge, objects: Objects, answers: dict[str, Array], last: Array, at: np.ndarray
) -> dict[str, Any]:
    """Returns what the judge says of frames number `at`, and of the last observed one."""
    judged = {name: np.asarray(judge.probabilities(a[:, at])) for name, a in answers.items()}
    still = np.asarray(judge.probabilities(as_float(last)))
    judged["copy_last_frame"] = np.broadcast_to(still, judged["model"].shape)
    return {
        "judged": judged,
        "classes": objects.classes,
        # Of the true frames; `objects` begin with what was seen last.
        "in_view": objects.visible[:, at + 1] >= verdicts.IN_VIEW,
    }


def _records(values: dict[str, Any], steps: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns the scores over steps, from values by clip and step."""
    real_change = values["change"]["truth"].mean()
    real_sharpness = values["sharpness"].pop("truth").mean()
    frozen = {name: change < FROZEN * real_change for name, change in values["change"].items()}
    interval = functools.partial(metrics.bootstrap, seed=seed)
    record = {
        "sharpness": {n: interval(v / real_sharpness) for n, v in values["sharpness"].items()},
        "frozen": {name: interval(v) for name, v in frozen.items()},
        "frozen_rate": {name: interval(v.mean(axis=1)) for name, v in frozen.items()},
        "position_error": None,
        "speed_error": None,
        "lost_at": None,
        "never_lost": None,
        "identity": None,
        "inception": None,
    }
    if "distance" in values:
        for name in ("position_error", "speed_error"):
            record[name] = {answer: interval(v) for answer, v in values[name].items()}
        lost = lost_at(values["distance"].max(axis=2), steps, values["size"][0] / 2)
        record["lost_at"] = interval(np.where(lost > 0, lost, steps[-1]))
        record["never_lost"] = interval(lost == 0)
    if "judged" in values:
        classes, in_view, judged = values["classes"][:, None], values["in_view"], values["judged"]
        record["identity"] = {"chance": values["chance"]} | {
            name: _identity(p.argmax(axis=-1) == classes, in_view, seed)
            for name, p in judged.items()
        }
        record["inception"] = {
            name: verdicts.inception(p, in_view, seed)["inception_score"]
            for name, p in judged.items()
        }
    return record


def lost_at(distances: np.ndarray, steps: np.ndarray, limit: float) -> np.ndarray:
    """Returns int `[clips]`: the first of `steps` at which a track is lost, 0 where it never is.

    It is lost where the distance `[clips, steps]` is above `limit` there and at the next step.
    """
    far = distances > limit
    far[:, :-1] &= far[:, 1:]
    return np.where(far.any(axis=1), steps[far.argmax(axis=1)], 0)


def _identity(right: np.ndarray, in_view: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns the share of `right` among the objects `in_view`, both `[clips, steps, objects]`."""
    sums = np.stack([(right & in_view).sum(axis=2), in_view.sum(axis=2)], axis=1)
    return metrics.bootstrap_statistic(
        lambda means: means[..., 0, :] / np.maximum(means[..., 1, :], 1e-12), sums, seed
    )
