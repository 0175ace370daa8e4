"""Whether content and pose carry the factors that they should, and none of the other's."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import disentanglement as blocks
from drnet_jax.evaluation import probes
from drnet_jax.models import inference
from drnet_jax.models.state import DrnetState
from drnet_jax.runs.run import Run

CODES = ("content", "pose")

Encoder = Callable[[Array], tuple[np.ndarray, np.ndarray]]

NUM_SHUFFLES = 5
NOISE = 0.02
"""A loss of skill from shuffling a block that is below this counts as none."""

_BATCH_SIZE = 250
_HELD_OUT_SHARE = 1 / 3


@dataclasses.dataclass(frozen=True)
class Codes:
    """Codes of random frames, and the factors of variation of these frames.

    Attributes:
      content: float `[frames, content_dim]`.
      pose: float `[frames, pose_dim]`.
      classes: int `[frames]` by factor of content.
      values: float `[frames, values]` by factor of pose.
      clips: int `[frames]`, the clip of each frame.
    """

    content: np.ndarray
    pose: np.ndarray
    classes: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    clips: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Those of `CODES` that the model has: an autoencoder has no content."""
        return tuple(name for name in CODES if getattr(self, name).shape[1])

    def both(self, shuffle: str = "", rng: np.random.Generator | None = None) -> np.ndarray:
        """Returns content and pose side by side; those called `shuffle` are of other frames."""
        order = [
            rng.permutation(len(self.pose)) if name == shuffle else slice(None) for name in CODES
        ]
        codes = [getattr(self, name)[rows] for name, rows in zip(CODES, order, strict=True)]
        return np.concatenate(codes, axis=1)

    def target(self, factor: str) -> np.ndarray:
        """Returns the classes or values of `factor`."""
        return self.classes[factor] if factor in self.classes else self.values[factor]

    def subset(self, rows: np.ndarray) -> "Codes":
        """Returns the codes of some of the frames."""
        return Codes(*jax.tree.map(lambda array: array[rows], dataclasses.astuple(self)))


def score(run: Run, state: DrnetState) -> dict[str, Any]:
    """Returns the records `leakage` and `blocks`; `blocks` is None if no factors are known.

    leakage: how well probes fitted to training clips read factors off either code, on other clips
      of the same objects and on held-out objects; how well fresh discriminators tell pairs of
      poses of one clip, and of the same objects on independent tracks, from other pairs.
    blocks: mutual information gap, disentanglement and completeness.
    """
    num_clips, seed = run.config.evaluation.probe_clips, run.config.seed
    encode = _make_encoder(run, state)
    codes = _collect(run, encode, "train", num_clips)
    pairs = {"discriminator": _score_pairs(run, encode)}
    if codes is None:
        return {"leakage": {"probes": None} | pairs, "blocks": None}
    unseen = _collect(run, encode, "test", num_clips // 2)
    held_out = _held_out(codes.clips)
    fit, other = codes.subset(~held_out), codes.subset(held_out)
    tests = {"held_out_clips": other, "held_out_objects": unseen}
    sizes = {"num_fitted": fit, "num_held_out_clips": other, "num_held_out_objects": unseen}
    return {
        "leakage": {"probes": probe_all(fit, tests, seed)}
        | pairs
        | {name: len(codes.pose) for name, codes in sizes.items()},
        "blocks": score_blocks(fit, other, seed),
    }


def _make_encoder(run: Run, state: DrnetState) -> Encoder:
    """Returns a compiled function of frames `[batch, ...]` to content and pose vectors."""

    @jax.jit
    def encode(frames: Array) -> tuple[jax.Array, jax.Array]:
        content = inference.encode_content(run.networks, state.autoencoder, frames)
        return content.vector, inference.encode_pose(run.networks, state.autoencoder, frames)

    return lambda frames: jax.device_get(encode(frames))


def _collect(run: Run, encode: Encoder, split: str, num_clips: int) -> Codes | None:
    """Returns codes and factors of random frames; None if the factors are unknown."""
    source, parts = run.source, []
    for number in range(-(-num_clips // _BATCH_SIZE)):
        keys = jax.random.split(prng.stream(run.key, f"probes {split}", number))
        clips = source.sample(split, keys[0], min(_BATCH_SIZE, num_clips))
        times = source.random_times(split, clips, keys[1], 1)
        factors = source.truth.factors(split, clips, times)
        if factors is None:
            return None
        frames = source.frames(split, clips, times)[:, 0]
        codes = encode(frames)
        numbers = factors.clips
        if numbers is None:
            numbers = number * _BATCH_SIZE + np.arange(len(frames))
        pose = {name: values[:, 0] for name, values in factors.pose.items()}
        parts.append((*codes, dict(factors.content), pose, numbers))
    return Codes(*jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts))


def _held_out(clips: np.ndarray) -> np.ndarray:
    """Returns bool `[frames]`, the frames of clips that probes are not fitted to."""
    different = np.random.default_rng(0).permutation(np.unique(clips))
    return np.isin(clips, different[: max(1, round(len(different) * _HELD_OUT_SHARE))])


def probe_all(fit: Codes, tests: dict[str, Codes], seed: int) -> list[dict[str, Any]]:
    """Returns a record for each factor, code and kind of probe."""
    records = []
    for factor in [*fit.classes, *fit.values]:
        is_class = factor in fit.classes
        fitted = fit.target(factor)
        targets = {name: codes.target(factor) for name, codes in tests.items()}
        if is_class:
            # A probe cannot name a class it has never seen, as the identity of a held-out object.
            targets = {n: t for n, t in targets.items() if np.isin(t, fitted).all()}
            if len(np.unique(fitted)) < 2:
                continue
        for code in fit.names:
            for kind in probes.KINDS:
                score = _probe(kind, getattr(fit, code), fitted, seed)
                record = {
                    "factor": factor,
                    "of": "content" if is_class else "pose",
                    "code": code,
                    "probe": kind,
                    "score": "accuracy" if is_class else "r_squared",
                }
                for name, codes in tests.items():
                    known = name in targets
                    record[name] = score(getattr(codes, code), targets[name]) if known else None
                records.append(record)
    return records


def _probe(kind: str, codes: np.ndarray, targets: np.ndarray, seed: int) -> Callable[..., dict]:
    """Fits a probe and returns its score as a function of other codes and targets."""
    if targets.ndim == 1:
        model = probes.fit_classifier(kind, codes, targets, seed)
        return lambda codes, targets: probes.accuracy(model, codes, targets, seed)
    mean, deviation = targets.mean(axis=0), np.maximum(targets.std(axis=0), 1e-6)
    model = probes.fit_regressor(kind, codes, (targets - mean) / deviation, seed)
    return lambda codes, targets: probes.r_squared(model, codes, (targets - mean) / deviation, seed)


def _score_pairs(run: Run, encode: Encoder) -> dict[str, Any]:
    """Returns the area under the curve of fresh discriminators on pairs of held-out clips.

    `same_clip` are poses at random times of a clip. Motion alone may tell these: a discriminator
    that sees the true factors of pose reaches `same_clip_by_factors`. `same_objects` are poses of
    the same objects on independent tracks: only content that leaked into the pose can tell them.
    """
    count, seed = run.config.evaluation.probe_clips, run.config.seed
    train = _encode_pairs(run, encode, "train", count)
    test = _encode_pairs(run, encode, "test", count // 2)
    record = dict.fromkeys(("same_clip", "same_clip_by_factors", "same_objects"))
    for name, same in train.items():
        # Rolled over the clips, the second of each pair comes from another clip.
        others = [np.roll(same[:, 1], shift, axis=0) for shift in (1, 2)]
        different = np.concatenate([np.stack([same[:, 0], other], axis=1) for other in others])
        model = probes.fit_pair_classifier(np.concatenate([same, same[:, ::-1]]), different, seed)
        positive = test[name]
        negative = np.stack([positive[:, 0], np.roll(positive[:, 1], 1, axis=0)], axis=1)
        scores = [model.predict_proba(probes.pair_features(p))[:, 1] for p in (positive, negative)]
        record[name] = probes.area_under_curve(*scores, seed)
    return record


def _encode_pairs(run: Run, encode: Encoder, split: str, num_clips: int) -> dict[str, np.ndarray]:
    """Returns pairs of codes `[clips, 2, dims]` that belong together, by kind."""
    source, parts = run.source, []

    def poses(clips: Clips, times: np.ndarray) -> np.ndarray:
        frames = source.frames(split, clips, times)
        # Time by time: the number of frames, and so the compiled program, is always the same.
        return np.stack([encode(frames[:, t])[1] for t in range(times.shape[1])], axis=1)

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
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def score_blocks(fit: Codes, test: Codes, seed: int) -> dict[str, Any] | None:
    """Returns mutual information gap, disentanglement and completeness of the two blocks.

    None if no factor is known in both `fit` and `test`, or if there is only one block.

    `importance` is the skill that a linear probe of both blocks loses on `test` if one block is
    shuffled among clips; skill is R^2, or accuracy scaled so that chance is 0 and perfect is 1.
    """
    if fit.names != CODES:
        return None
    importance, gaps = {code: {} for code in CODES}, {}
    for factor in [*fit.classes, *fit.values]:
        fitted, target = fit.target(factor), test.target(factor)
        is_class = factor in fit.classes
        if is_class and (len(np.unique(fitted)) < 2 or not np.isin(target, fitted).all()):
            continue
        losses = _shuffle_losses(fit, test, factor, seed)
        for code in CODES:
            importance[code][factor] = losses[code]
        own, other = CODES if is_class else CODES[::-1]
        axes = (
            [fitted] if is_class else [blocks.to_bins(v, blocks.NUM_FACTOR_BINS) for v in fitted.T]
        )
        gaps[factor] = float(
            np.mean(
                [blocks.information_gap(getattr(fit, own), getattr(fit, other), a) for a in axes]
            )
        )
    if not gaps:
        return None
    kinds = [[f for f in gaps if f in names] for names in (fit.classes, fit.values)]
    table = np.array(
        [[np.mean([importance[c][f] for f in kind] or [0]) for kind in kinds] for c in CODES]
    )
    disentanglement, completeness = blocks.disentanglement_completeness(table)
    return {
        "mig": float(np.mean(list(gaps.values()))),
        "mig_by_factor": gaps,
        "disentanglement": disentanglement,
        "completeness": completeness,
        "importance": importance,
    }


def _shuffle_losses(fit: Codes, test: Codes, factor: str, seed: int) -> dict[str, float]:
    """Returns the skill that a linear probe of `factor` loses if a block is shuffled, by block."""
    score, target = _probe("linear", fit.both(), fit.target(factor), seed), test.target(factor)
    intact = score(test.both(), target)
    chance = intact["chance"]

    def skill(score: dict[str, float]) -> float:
        return (score["mean"] - chance) / max(1 - chance, 1e-12)

    rng, losses = np.random.default_rng(seed), {}
    for code in CODES:
        shuffled = [test.both(shuffle=code, rng=rng) for _ in range(NUM_SHUFFLES)]
        loss = skill(intact) - float(np.mean([skill(score(codes, target)) for codes in shuffled]))
        # A loss counts only if it exceeds the noise and the intact probe beats chance.
        is_real = loss > NOISE and intact["low"] > chance
        losses[code] = min(loss, 1.0) if is_real else 0.0  # No probe can lose more than all.
    return losses
