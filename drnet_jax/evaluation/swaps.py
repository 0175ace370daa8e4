"""Scores of reconstructed and swapped frames, beside those of trivial answers."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array, Tree, as_float
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import metrics, samples
from drnet_jax.evaluation.judges import scores as judge_scores
from drnet_jax.evaluation.judges.classifier import Judge
from drnet_jax.evaluation.samples import Samples
from drnet_jax.models import inference
from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.registry import Networks
from drnet_jax.models.rollout import predict_poses
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

LATER_HORIZONS = (95, 500)
"""More steps after the last observed frame at which swaps are scored, if clips are that long."""


def score(
    run: Run,
    state: DrnetState,
    predictor: PredictorState | None,
    judge: Judge | None,
    mean_frame: Array,
) -> dict[str, Any]:
    """Returns the records `reconstruction`, `swap`, `swap_judge` and `discriminator`.

    Also returns `num_clips`, `num_samples` and `num_independent`, the numbers of clips behind the
    reconstructions. Swaps and the discriminator need pairs of different clips.

    reconstruction: content of x^t and pose of x^(t+k), against x^(t+k): the mean over k from 1 to
      the horizon, and the scores at each k.
    swap: content of clip A at t and pose of clip B at t + horizon, against A's objects on B's
      tracks, with the best assignment of objects to tracks. The pose of `predicted` is not encoded
      from that frame of B but predicted from B's observed frames.
    swap_judge: the judge's answers to the swapped frames.
    discriminator: how often the model's discriminator recognizes whether two poses come from one
      clip; chance is 0.5.

    `t` is the last observed frame. Frames are compared as decoded, with all channels.
    """
    config = run.config
    num_clips, batch_size = config.evaluation.num_clips, config.evaluation.batch_size
    variables = predictor.variables if predictor else None
    horizons = swap_horizons(run)
    headline = horizons.index(config.evaluation.horizon)
    score_batch = compiled_scorer(run.networks, run.predictor, horizons, headline)
    batches, pairs = [], []
    for i in range(-(-num_clips // batch_size)):
        batch, clips = held_out_batch(run, prng.stream(run.key, "evaluation", i), batch_size)
        scores, swapped = jax.device_get(score_batch(state, variables, batch, mean_frame))
        if judge is not None:
            scores |= _judge_swaps(run, judge, swapped, clips)
        batches.append(scores)
        pairs.append(clips)
    values, (a, b) = jax.tree.map(
        lambda *arrays: np.concatenate(arrays)[:num_clips], *zip(batches, pairs, strict=True)
    )
    t = config.predictor.num_observed - 1
    own = samples.distinct(run.source, "test", a, times=np.array([t]))
    different = samples.distinct(run.source, "test", a, b, times=np.array([t]))
    reconstruction = jax.tree.map(lambda v: v[own.rows], values.pop("reconstruction"))
    values = jax.tree.map(lambda v: v[different.rows], values)
    return own.counts | {
        "reconstruction": _reconstruction(run, reconstruction, own),
        **_records(run, values, different),
    }


def _reconstruction(run: Run, values: dict[str, Any], own: Samples) -> dict[str, Any]:
    """Returns the record `reconstruction`, from values by sample and step."""
    interval = functools.partial(metrics.bootstrap, seed=run.config.seed, clusters=own.clusters)
    record = jax.tree.map(lambda steps: interval(steps.mean(axis=1)), values)
    steps = list(range(1, run.config.evaluation.horizon + 1))
    by_step = {"steps": steps} | jax.tree.map(interval, values)
    return record.pop("model") | record | {"by_step": by_step}


def _records(run: Run, values: dict[str, Any], pairs: Samples) -> dict[str, Any]:
    """Returns the other records of `score`, from values by pair of clips."""
    seed, horizons = run.config.seed, swap_horizons(run)
    swap = swap_judge = accuracy = None
    if "swap" in values and len(pairs.rows):
        swaps = []
        for i, horizon in enumerate(horizons):
            counted = values["swap_counted"][:, i]
            scores = jax.tree.map(lambda v, i=i, rows=counted: v[rows, i], values["swap"])
            clusters = None if pairs.clusters is None else pairs.clusters[counted]
            interval = functools.partial(metrics.bootstrap, seed=seed, clusters=clusters)
            swaps.append({"horizon": horizon} | jax.tree.map(interval, scores))
        headline = horizons.index(run.config.evaluation.horizon)
        swap = swaps[headline] | {"by_horizon": swaps}
    if "judged" in values:
        swap_judge = judge_scores.swap_record(values["judged"], values["expected"], seed)
    if "discriminator" in values and len(pairs.rows):
        accuracy = metrics.bootstrap(values["discriminator"], seed, clusters=pairs.clusters)
    return {
        "swap": swap,  # None if the truth of a swap is unknown, or without two different clips.
        "swap_judge": swap_judge,
        "discriminator": {
            # None without two different clips, or for a model imported without a discriminator.
            "accuracy": accuracy,
            "chance": 0.5,
        },
    }


def swap_horizons(run: Run) -> tuple[int, ...]:
    """Returns the steps after the last observed frame at which swaps are scored, ascending."""
    longest = run.source.max_frames - run.config.predictor.num_observed
    later = [horizon for horizon in LATER_HORIZONS if horizon <= longest]
    return tuple(sorted({run.config.evaluation.horizon, *later}))


def held_out_batch(
    run: Run, key: jax.Array, batch_size: int
) -> tuple[dict[str, np.ndarray], tuple[Clips, Clips]]:
    """Returns uint8 frames of pairs of test clips (A, B), and these clips.

    content: `[batch, ...]`, A at t, the last observed time.
    own: `[batch, horizon, ...]`, the frames of A after t.
    observed: `[batch, num_observed, ...]`, the frames of B up to t.
    pose: `[batch, horizons, ...]`, B at t + each of `swap_horizons`.
    targets: `[batch, horizons, assignments, ...]`, A in those poses, if known.
    random_0, random_1, random_other: `[batch, ...]`, A twice and B once, at random times.
    """
    source, config = run.source, run.config
    key_a, key_b, key_t = jax.random.split(key, 3)
    t = config.predictor.num_observed - 1
    later = t + np.array(swap_horizons(run))
    a = source.sample("test", key_a, batch_size, num_frames=later[-1] + 1)
    b = source.sample("test", key_b, batch_size, num_frames=later[-1] + 1, unlike=a)
    own = source.frames("test", a, t + np.arange(config.evaluation.horizon + 1))
    random_a = source.frames("test", a, source.random_times("test", a, key_t, 2))
    random_b = source.frames("test", b, source.random_times("test", b, key_t, 2))
    batch = {
        "content": own[:, 0],
        "own": own[:, 1:],
        "observed": source.frames("test", b, np.arange(t + 1)),
        "pose": source.frames("test", b, later),
        "random_0": random_a[:, 0],
        "random_1": random_a[:, 1],
        "random_other": random_b[:, 1],
    }
    targets = [source.truth.swap_targets("test", a, b, time) for time in later]
    if targets[0] is not None:
        batch["targets"] = np.stack(targets, axis=1)
    return batch, (a, b)


@functools.lru_cache(maxsize=8)
def compiled_scorer(
    networks: Networks, predictor: PoseLSTM | None, horizons: tuple[int, ...], headline: int
) -> Callable[..., tuple[dict[str, Any], jax.Array]]:
    """Returns a compiled function of the state, the predictor's variables, a batch, the mean frame.

    It returns scores by name, `[batch, ...]`, and the model's swaps at `horizons[headline]`.
    """

    @jax.jit
    def score_batch(state: DrnetState, variables: Tree, batch: dict[str, Array], mean_frame: Array):
        frames = {name: as_float(array) for name, array in batch.items()}
        content = inference.encode_content(networks, state.autoencoder, frames["content"])
        pose = functools.partial(inference.encode_pose, networks, state.autoencoder)
        decode = functools.partial(inference.decode_each, networks, state.autoencoder, content)

        def trivial(like: Array) -> dict[str, jax.Array]:
            return {
                "copy_content_frame": jnp.broadcast_to(frames["content"][:, None], like.shape),
                "mean_frame": jnp.broadcast_to(mean_frame, like.shape),
            }

        own = frames["own"]
        answers = {"model": decode(pose(own))} | trivial(own)
        scores = {
            "reconstruction": {
                name: metrics.picture_scores(frame, own) for name, frame in answers.items()
            }
        }
        swapped = decode(pose(frames["pose"]))
        if "targets" in frames:
            answers = {"model": swapped, "copy_pose_frame": frames["pose"]}
            answers |= trivial(frames["pose"])
            if variables is not None:
                nets = (networks, predictor, state.autoencoder, variables)
                _, predicted = predict_poses(*nets, frames["observed"], horizons[-1])
                answers["predicted"] = decode(predicted[:, np.array(horizons) - 1])
            # On a turntable both clips may be at the same angle, and no swap changes the frame.
            differs = frames["targets"] != frames["content"][:, None, None]
            scores["swap_counted"] = jnp.all(jnp.any(differs, axis=(-3, -2, -1)), axis=-1)
            scores["swap"] = {
                name: best(frame, frames["targets"]) for name, frame in answers.items()
            }
        if networks.discriminator is not None:
            discriminate = functools.partial(
                networks.discriminator.apply,
                {"params": state.discriminator.params["discriminator"]},
                pose(frames["random_0"]),
            )
            same = discriminate(pose(frames["random_1"])) > 0
            different = discriminate(pose(frames["random_other"])) <= 0
            # [batch], the share of correct answers to one pair of each kind.
            scores["discriminator"] = (same.astype(jnp.float32) + different) / 2
        return scores, swapped[:, headline]

    return score_batch


def best(frames: jax.Array, targets: jax.Array) -> dict[str, jax.Array]:
    """Returns picture scores `[batch, time]` of frames against the closest of their targets.

    `frames` are `[batch, time, ...]`, `targets` `[batch, time, assignments, ...]`.
    """
    scores = metrics.picture_scores(frames[:, :, None], targets)  # [batch, time, assignments]
    closest = jnp.argmax(scores["psnr"], axis=-1, keepdims=True)
    return {
        name: jnp.take_along_axis(value, closest, axis=-1)[..., 0] for name, value in scores.items()
    }


def _judge_swaps(
    run: Run, judge: Judge, swapped: np.ndarray, clips: tuple[Clips, Clips]
) -> dict[str, Any]:
    """Returns `judged` and `expected`, the arguments of `judges.scores.swap_record`.

    The judge looks at the swapped frames of clips (A, B), at their truth and at B's frames.
    """
    source, truth, (a, b) = run.source, run.source.truth, clips
    time = run.config.predictor.num_observed - 1 + run.config.evaluation.horizon
    times = np.full((len(swapped), 1), time)
    target = truth.recombine(a, b)
    objects, others = (truth.objects("test", clips, times) for clips in (target, b))
    located = np.asarray(truth.locate("test", target, swapped[:, None]), np.float32)[:, 0]
    frames = {
        "model": swapped,
        "copy_pose_frame": source.frames("test", b, times)[:, 0],
        "truth": source.frames("test", target, times)[:, 0],
    }
    return {
        "judged": {name: judge.probabilities(frame) for name, frame in frames.items()},
        "expected": {
            "kept": objects.classes,
            "replaced": others.classes,
            "visible": objects.visible[:, 0],
            "position_error": np.linalg.norm(located - objects.positions[:, 0], axis=-1),
        },
    }
