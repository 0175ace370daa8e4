"""How much content and pose tell of their own factors, and of each other's."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array
from drnet_jax.data import source as source_lib
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import disentanglement as blocks
from drnet_jax.evaluation import probes, samples
from drnet_jax.models import inference
from drnet_jax.models.state import DrnetState, NetworkState
from drnet_jax.runs.run import Run

CODES = ("content", "pose")

NUM_SHUFFLES = 5
NOISE = 0.02
"""The largest loss of skill by shuffling a block that counts as none."""

_BATCH_SIZE = 250
_HELD_OUT_SHARE = 1 / 3

Encoder = Callable[[Array], dict[str, jax.Array]]


@flax.struct.dataclass
class Codes:
    """Codes of random frames, and the factors of variation of these frames.

    Attributes:
      vectors: float `[frames, dims]`, the codes: `content` and `pose`, or `pose` alone.
      factors: by name; a factor of content is int `[frames]`, classes from 0 on, a factor of pose
        float `[frames, values]`.
      clips: int `[frames]`, the clip of each frame.
      clusters: int `[frames]`, as for `metrics.bootstrap`.
    """

    vectors: dict[str, np.ndarray]
    factors: dict[str, np.ndarray]
    clips: np.ndarray
    clusters: np.ndarray | None = None

    @property
    def names(self) -> list[str]:
        """The names of the factors, those of content first."""
        return sorted(self.factors, key=lambda name: self.factors[name].ndim)

    def both(self, shuffle: str = "", rng: np.random.Generator | None = None) -> np.ndarray:
        """Returns content and pose side by side; the code `shuffle` is of other frames."""
        codes = [
            vectors[rng.permutation(len(vectors))] if name == shuffle else vectors
            for name, vectors in self.vectors.items()
        ]
        return np.concatenate(codes, axis=1)


def score(run: Run, state: DrnetState) -> dict[str, Any]:
    """Returns the records `leakage` and `blocks`; `blocks` is None if no factors are known.

    leakage: how well probes fitted to training clips read factors from either code, on other clips
      of the same objects and on held-out objects; how well fresh discriminators tell pairs of poses
      of one clip, and of the same objects on independent tracks, from other pairs.
    blocks: mutual information gap, disentanglement and completeness.
    """
    num_clips, seed = run.config.evaluation.probe_clips, run.config.seed

    @jax.jit
    def encode(autoencoder: NetworkState, frames: Array) -> dict[str, jax.Array]:
        content = inference.encode_content(run.networks, autoencoder, frames).vector
        pose = inference.encode_pose(run.networks, autoencoder, frames)
        # An autoencoder has no content.
        return {"content": content, "pose": pose} if content.size else {"pose": pose}

    encode = functools.partial(encode, state.autoencoder)
    codes = _collect(run, encode, "train", num_clips)
    pairs = {"discriminator": _score_pairs(run, encode)}
    if codes is None:
        return {"leakage": {"probes": None} | pairs, "blocks": None}
    unseen = _collect(run, encode, "test", num_clips // 2)
    held_out = _held_out(codes.clips)
    fit, other = source_lib.select(codes, ~held_out), source_lib.select(codes, held_out)
    tests = {"held_out_clips": other, "held_out_objects": unseen}
    leakage = {
        "probes": probe_all(fit, tests, seed),
        **pairs,
        "num_fitted": len(fit.clips),
        "num_held_out_clips": len(other.clips),
        "num_held_out_objects": len(unseen.clips),
    }
    return {"leakage": leakage, "blocks": score_blocks(fit, other, seed)}


def _collect(run: Run, encode: Encoder, split: str, num_clips: int) -> Codes | None:
    """Returns the codes of random frames of random clips; None if their factors are unknown."""
    source, parts, drawn = run.source, [], []
    for number in range(-(-num_clips // _BATCH_SIZE)):
        keys = jax.random.split(prng.stream(run.key, f"probes {split}", number))
        clips = source.sample(split, keys[0], min(_BATCH_SIZE, num_clips))
        times = source.random_times(split, clips, keys[1], 1)
        factors = source.truth.factors(split, clips, times)
        if factors is None:
            return None
        vectors = jax.device_get(encode(source.frames(split, clips, times)[:, 0]))
        numbers = factors.clips
        if numbers is None:
            numbers = number * _BATCH_SIZE + np.arange(len(times))
        pose = {name: values[:, 0] for name, values in factors.pose.items()}
        clusters = source.clusters(split, clips)
        parts.append(Codes(vectors, {**factors.content, **pose}, numbers, clusters))
        drawn.append((clips, times))
    codes, (clips, times) = jax.tree.map(
        lambda *arrays: np.concatenate(arrays), *zip(parts, drawn, strict=True)
    )
    # A frame that was drawn twice is one sample.
    return source_lib.select(codes, samples.distinct(source, split, clips, times=times).rows)


def _held_out(clips: np.ndarray) -> np.ndarray:
    """Returns bool `[frames]`, the frames of clips that probes are not fitted to."""
    different = np.random.default_rng(0).permutation(np.unique(clips))
    return np.isin(clips, different[: max(1, round(len(different) * _HELD_OUT_SHARE))])


def probe_all(fit: Codes, tests: dict[str, Codes], seed: int) -> list[dict[str, Any]]:
    """Returns a record for each factor, code and kind of probe."""
    records = []
    for factor in fit.names:
        fitted = fit.factors[factor]
        is_class = fitted.ndim == 1
        if is_class and len(np.unique(fitted)) < 2:
            continue
        for code, kind in itertools.product(fit.vectors, probes.KINDS):
            score = _probe(kind, fit.vectors[code], fitted, seed)
            record = {
                "factor": factor,
                "of": "content" if is_class else "pose",
                "code": code,
                "probe": kind,
                "score": "accuracy" if is_class else "r_squared",
            }
            for name, codes in tests.items():
                target = codes.factors[factor]
                # A probe cannot name a class it has never seen, say that of a held-out object.
                known = not is_class or np.isin(target, fitted).all()
                record[name] = score(codes.vectors[code], target, codes.clusters) if known else None
            records.append(record)
    return records


def _probe(kind: str, codes: np.ndarray, targets: np.ndarray, seed: int) -> Callable[..., dict]:
    """Fits a probe and returns its score as a function of other codes and targets."""
    mean, deviation = targets.mean(axis=0), np.maximum(targets.std(axis=0), 1e-6)

    def scaled(targets: np.ndarray) -> np.ndarray:
        return targets if targets.ndim == 1 else (targets - mean) / deviation

    model = probes.fit(kind, codes, scaled(targets), seed)
    return lambda codes, targets, clusters=None: probes.score(
        model, codes, scaled(targets), seed, clusters
    )


def _score_pairs(run: Run, encode: Encoder) -> dict[str, Any]:
    """Returns the area under the curve of fresh discriminators on pairs of held-out clips.

    A clip is never paired with itself as another one: without two clips, all scores are None.

    `same_clip`: two poses at random times of a clip. Motion alone may give these away:
      `same_clip_by_factors` is the score of a discriminator that sees the true factors of pose.
    `same_objects`: poses of the same objects on independent tracks. Only content that leaked into
      the pose gives these away.
    """
    count, seed = run.config.evaluation.probe_clips, run.config.seed
    train, fitted = _encode_pairs(run, encode, "train", count)
    test, scored = _encode_pairs(run, encode, "test", count // 2)
    record = dict.fromkeys(("same_clip", "same_clip_by_factors", "same_objects"))
    if min(each.counts["num_clips"] for each in (fitted, scored)) < 2:
        return record
    others = [samples.partners(fitted.clips, shift) for shift in (1, 2)]
    partners, clusters = samples.partners(scored.clips, 1), scored.clusters
    if clusters is not None:
        clusters = np.stack([clusters, clusters[partners]], axis=1)
    for name, same in train.items():
        # Each first code with the second one of another clip.
        different = np.concatenate(
            [np.stack([same[:, 0], same[rows, 1]], axis=1) for rows in others]
        )
        model = probes.fit_pair_classifier(np.concatenate([same, same[:, ::-1]]), different, seed)
        positive = test[name]
        negative = np.stack([positive[:, 0], positive[partners, 1]], axis=1)
        scores = [model.predict_proba(probes.pair_features(p))[:, 1] for p in (positive, negative)]
        record[name] = probes.area_under_curve(*scores, seed, clusters)
    return record


def _encode_pairs(
    run: Run, encode: Encoder, split: str, num_clips: int
) -> tuple[dict[str, np.ndarray], samples.Samples]:
    """Returns distinct pairs of codes `[clips, 2, dims]` that belong together, by kind.

    Also returns the samples that these are of.
    """
    source, parts, drawn = run.source, [], []

    def poses(clips: Clips, times: np.ndarray) -> np.ndarray:
        frames = source.frames(split, clips, times)
        # One time after the other, so that one compiled program serves any number of times.
        return np.stack([encode(frames[:, t])["pose"] for t in range(times.shape[1])], axis=1)

    for number in range(-(-num_clips // _BATCH_SIZE)):
        keys = jax.random.split(prng.stream(run.key, f"pairs {split}", number), 4)
        size = min(_BATCH_SIZE, num_clips)
        clips, tracks = (source.sample(split, key, size) for key in keys[:2])
        times = source.random_times(split, clips, keys[2], 2)
        pairs = {"same_clip": poses(clips, times)}
        factors = source.truth.factors(split, clips, times)
        if factors is not None and factors.pose:
            pairs["same_clip_by_factors"] = np.concatenate(list(factors.pose.values()), axis=-1)
        others = source.truth.recombine(clips, tracks)
        if others is not None:
            at = source.random_times(split, tracks, keys[3], 1)
            first = pairs["same_clip"][:, :1]
            pairs["same_objects"] = np.concatenate([first, poses(others, at)], axis=1)
        parts.append(pairs)
        drawn.append((clips, times))
    pairs, (clips, times) = jax.tree.map(
        lambda *arrays: np.concatenate(arrays), *zip(parts, drawn, strict=True)
    )
    different = samples.distinct(source, split, clips, times=times)
    return source_lib.select(pairs, different.rows), different


def score_blocks(fit: Codes, test: Codes, seed: int) -> dict[str, Any] | None:
    """Returns mutual information gap, disentanglement and completeness of the two blocks.

    None if there is only one block, or no factor that can be scored on `test`.

    `importance` is the skill that a linear probe of both blocks loses on `test` if one block is
    shuffled among clips; skill is R^2, or accuracy scaled so that chance is 0 and perfect is 1.
    """
    if len(fit.vectors) < len(CODES):
        return None
    importance, gaps = {code: {} for code in CODES}, {}
    for factor in fit.names:
        fitted, target = fit.factors[factor], test.factors[factor]
        is_class = fitted.ndim == 1
        if is_class and (len(np.unique(fitted)) < 2 or not np.isin(target, fitted).all()):
            continue
        for code, loss in _shuffle_losses(fit, test, factor, seed).items():
            importance[code][factor] = loss
        own, other = (fit.vectors[code] for code in (CODES if is_class else CODES[::-1]))
        bins = [fitted]
        if not is_class:
            bins = [blocks.to_bins(axis, blocks.NUM_FACTOR_BINS) for axis in fitted.T]
        gaps[factor] = float(np.mean([blocks.information_gap(own, other, axis) for axis in bins]))
    if not gaps:
        return None
    # Rows are the two codes; columns the two kinds of factors, those of content and of pose.
    kinds = [[name for name in gaps if fit.factors[name].ndim == ndim] for ndim in (1, 2)]
    table = np.array(
        [[np.mean([importance[c][f] for f in kind] or [0]) for kind in kinds] for c in CODES]
    )
    return {
        "mig": float(np.mean(list(gaps.values()))),
        "mig_by_factor": gaps,
        "disentanglement": blocks.purity(table),
        "completeness": blocks.purity(table.T),
        "importance": importance,
    }


def _shuffle_losses(fit: Codes, test: Codes, factor: str, seed: int) -> dict[str, float]:
    """Returns the skill that a linear probe of `factor` loses if a block is shuffled, by block."""
    score, target = _probe("linear", fit.both(), fit.factors[factor], seed), test.factors[factor]
    intact = score(test.both(), target, test.clusters)
    chance = intact["chance"]

    def skill(score: dict[str, float]) -> float:
        return (score["mean"] - chance) / max(1 - chance, 1e-12)

    rng, losses = np.random.default_rng(seed), {}
    for code in CODES:
        shuffled = [test.both(shuffle=code, rng=rng) for _ in range(NUM_SHUFFLES)]
        loss = skill(intact) - float(np.mean([skill(score(codes, target)) for codes in shuffled]))
        # A loss counts only if it exceeds the noise and the intact probe beats chance.
        is_real = loss > NOISE and intact["low"] is not None and intact["low"] > chance
        losses[code] = min(loss, 1.0) if is_real else 0.0  # No probe can lose more than all.
    return losses
