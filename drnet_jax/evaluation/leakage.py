"""What content and pose know that they ought not to, and whether they know what they ought to."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from drnet_jax.base import prng
from drnet_jax.evaluation import disentanglement as blocks
from drnet_jax.evaluation import probes
from drnet_jax.models import inference
from drnet_jax.models.state import DrnetState
from drnet_jax.runs.run import Run

CODES = ("content", "pose")

NUM_SHUFFLES = 5
NOISE = 0.02
"""A smaller loss of skill, when a block is shuffled, is none."""

_BATCH_SIZE = 250
_HELD_OUT_SHARE = 1 / 3


@dataclasses.dataclass(frozen=True)
class Codes:
    """Codes of random frames, and what is known about these.

    Attributes:
      content: float `[frames, content_dim]`.
      pose: float `[frames, pose_dim]`.
      classes: int `[frames]` by factor of content.
      values: float `[frames, values]` by factor of pose.
      clips: int `[frames]`, which clip each is of.
    """

    content: np.ndarray
    pose: np.ndarray
    classes: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    clips: np.ndarray

    def block(self, name: str) -> np.ndarray:
        """Returns the codes called `name`, one of `CODES`."""
        return getattr(self, name)

    @property
    def names(self) -> tuple[str, ...]:
        """Those of `CODES` that there are: an autoencoder has no content."""
        return tuple(name for name in CODES if self.block(name).shape[1])

    def both(self, shuffle: str = "", rng: np.random.Generator | None = None) -> np.ndarray:
        """Returns content and pose side by side; those called `shuffle` are of other frames."""
        order = [
            rng.permutation(len(self.pose)) if name == shuffle else slice(None) for name in CODES
        ]
        codes = [self.block(name)[rows] for name, rows in zip(CODES, order, strict=True)]
        return np.concatenate(codes, axis=1)

    def target(self, factor: str) -> np.ndarray:
        """Returns the classes or values of `factor`."""
        return self.classes[factor] if factor in self.classes else self.values[factor]

    def subset(self, rows: np.ndarray) -> "Codes":
        """Returns the codes of some frames."""
        return Codes(*jax.tree.map(lambda array: array[rows], dataclasses.astuple(self)))


def score(run: Run, state: DrnetState) -> dict[str, Any]:
    """Returns the records `leakage` and `blocks`, each None where nothing is known about frames.

    leakage: how well factors can be read off either code, by probes fitted to training clips, on
      other clips of the same objects and on held-out objects; how well fresh discriminators tell
      pairs of poses of one clip, and of the same objects on independent tracks, from others.
    blocks: mutual information gap, and disentanglement and completeness.
    """
    encode = _make_encoder(run, state)
    num_clips, seed = run.config.evaluation.probe_clips, run.config.seed
    codes = _collect(run, encode, "train", num_clips)
    record = {"leakage": {"probes": None} | _pairs(run, encode), "blocks": None}
    if codes is None:
        return record
    unseen = _collect(run, encode, "test", num_clips // 2)
    held_out = _held_out(codes.clips)
    fit, other = codes.subset(~held_out), codes.subset(held_out)
    record["leakage"] |= {
        "probes": probe_all(fit, {"held_out_clips": other, "held_out_objects": unseen}, seed),
        "num_fitted": len(fit.pose),
        "num_held_out_clips": len(other.pose),
        "num_held_out_objects": len(unseen.pose),
    }
    return record | {"blocks": score_blocks(fit, other, seed)}


def _make_encoder(run: Run, state: DrnetState) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
    """Returns a compiled function of frames `[batch, ...]` to content and pose vectors."""

    @jax.jit
    def encode(frames):
        content = inference.encode_content(run.networks, state.autoencoder, frames)
        return content.vector, inference.encode_pose(run.networks, state.autoencoder, frames)

    return lambda frames: jax.device_get(encode(frames))


def _collect(run: Run, encode, split: str, num_clips: int) -> Codes | None:
    parts = []
    for number in range(-(-num_clips // _BATCH_SIZE)):
        keys = jax.random.split(prng.stream(run.key, f"probes {split}", number))
        clips = run.source.sample(split, keys[0], min(_BATCH_SIZE, num_clips))
        times = run.source.random_times(split, clips, keys[1], 1)
        factors = run.source.truth.factors(split, clips, times)
        if factors is None:
            return None
        codes = encode(run.source.frames(split, clips, times)[:, 0])
        numbers = factors.clips
        if numbers is None:
            numbers = number * _BATCH_SIZE + np.arange(len(codes[0]))
        pose = {name: values[:, 0] for name, values in factors.pose.items()}
        parts.append(Codes(*codes, dict(factors.content), pose, numbers))
    join = jax.tree.map(lambda *arrays: np.concatenate(arrays), *map(dataclasses.astuple, parts))
    return Codes(*join)


def _held_out(clips: np.ndarray) -> np.ndarray:
    """Returns bool `[frames]`: which are of clips that probes are not fitted to."""
    different = np.random.default_rng(0).permutation(np.unique(clips))
    return np.isin(clips, different[: max(1, round(len(different) * _HELD_OUT_SHARE))])


def probe_all(fit: Codes, tests: dict[str, Codes], seed: int) -> list[dict[str, Any]]:
    """Returns a record for each factor, code and kind of probe."""
    records = []
    for factor in [*fit.classes, *fit.values]:
        is_class = factor in fit.classes
        targets = {name: codes.target(factor) for name, codes in tests.items()}
        known = fit.target(factor)
        if is_class:
            # Of classes that were never seen nothing can be said: those of objects held out, say.
            targets = {n: t for n, t in targets.items() if np.isin(t, known).all()}
            if len(np.unique(known)) < 2:
                continue
        for code in fit.names:
            for kind in probes.KINDS:
                score = _probe(kind, fit.block(code), known, seed)
                records.append(
                    {
                        "factor": factor,
                        "of": "content" if is_class else "pose",
                        "code": code,
                        "probe": kind,
                        "score": "accuracy" if is_class else "r_squared",
                    }
                    | {
                        name: score(codes.block(code), targets[name]) if name in targets else None
                        for name, codes in tests.items()
                    }
                )
    return records


def _probe(kind: str, codes: np.ndarray, targets: np.ndarray, seed: int) -> Callable[..., dict]:
    """Returns a function of other codes and targets to the score of a probe fitted to these."""
    if targets.ndim == 1:
        model = probes.fit_classifier(kind, codes, targets, seed)
        return lambda codes, targets: probes.accuracy(model, codes, targets, seed)
    mean, deviation = targets.mean(axis=0), np.maximum(targets.std(axis=0), 1e-6)
    model = probes.fit_regressor(kind, codes, (targets - mean) / deviation, seed)
    return lambda codes, targets: probes.r_squared(model, codes, (targets - mean) / deviation, seed)


def _pairs(run: Run, encode) -> dict[str, Any]:
    """Returns what fresh discriminators reach on held-out clips, area under the curve.

    `same_clip` are poses at random times of a clip. Motion alone may tell them:
    `same_clip_by_factors` is what a discriminator reaches that sees the true factors of pose.
    `same_objects` are poses of the same objects on independent tracks: only what content there is
    in pose can tell them.
    """
    count, seed = run.config.evaluation.probe_clips, run.config.seed
    kinds: dict[str, list] = {}
    for split, number in (("train", count), ("test", count // 2)):
        for name, pairs in _encode_pairs(run, encode, split, number).items():
            kinds.setdefault(name, []).append(pairs)
    record = dict.fromkeys(("same_clip", "same_clip_by_factors", "same_objects"))
    for name, (train, test) in kinds.items():
        rolled = [np.roll(train[:, 1], shift, axis=0) for shift in (1, 2)]
        different = np.concatenate([np.stack([train[:, 0], other], axis=1) for other in rolled])
        model = probes.fit_pair_classifier(np.concatenate([train, train[:, ::-1]]), different, seed)
        apart = np.stack([test[:, 0], np.roll(test[:, 1], 1, axis=0)], axis=1)
        scores = [model.predict_proba(probes.pair_features(p))[:, 1] for p in (test, apart)]
        record[name] = probes.area_under_curve(*scores, seed)
    return {"discriminator": record}


def _encode_pairs(run: Run, encode, split: str, num_clips: int) -> dict[str, np.ndarray]:
    """Returns pairs of codes `[clips, 2, dims]` that belong together, by kind."""
    source, parts = run.source, []
    for number in range(-(-num_clips // _BATCH_SIZE)):
        keys = jax.random.split(prng.stream(run.key, f"pairs {split}", number), 4)
        size = min(_BATCH_SIZE, num_clips)
        clips, tracks = (source.sample(split, key, size) for key in keys[:2])
        times = source.random_times(split, clips, keys[2], 2)

        def poses(clips: Any, times: np.ndarray) -> np.ndarray:
            frames = source.frames(split, clips, times)
            # Time by time: always as many frames, for which there is one compiled program.
            return np.stack([encode(frames[:, t])[1] for t in range(times.shape[1])], axis=1)

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
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def score_blocks(fit: Codes, test: Codes, seed: int) -> dict[str, Any] | None:
    """Returns mutual information gap, disentanglement and completeness of the two blocks.

    None where no factor is known in both `fit` and `test`, or where there is one block only.

    `importance` is the skill that a linear probe of both blocks loses on `test` when one block is
    shuffled among clips; skill is R^2, or accuracy scaled so that chance is 0 and all right 1.
    """
    if fit.names != CODES:
        return None
    importance, gaps = {code: {} for code in CODES}, {}
    for factor in [*fit.classes, *fit.values]:
        known, target = fit.target(factor), test.target(factor)
        is_class = factor in fit.classes
        if is_class and (len(np.unique(known)) < 2 or not np.isin(target, known).all()):
            continue
        score = _probe("linear", fit.both(), known, seed)
        found = score(test.both(), target)
        chance = found["chance"]

        def skill(codes: np.ndarray, score=score, target=target, chance=chance) -> float:
            return (score(codes, target)["mean"] - chance) / max(1 - chance, 1e-12)

        whole = skill(test.both())
        rng = np.random.default_rng(seed)
        for code in CODES:
            shuffled = [skill(test.both(shuffle=code, rng=rng)) for _ in range(NUM_SHUFFLES)]
            loss = whole - float(np.mean(shuffled))
            # A probe cannot lose more than all its skill.
            is_real = loss > NOISE and found["low"] > chance
            importance[code][factor] = min(loss, 1.0) if is_real else 0.0
        own, other = CODES if is_class else CODES[::-1]
        axes = [known] if is_class else [blocks.to_bins(v, blocks.NUM_FACTOR_BINS) for v in known.T]
        gaps[factor] = float(
            np.mean([blocks.information_gap(fit.block(own), fit.block(other), a) for a in axes])
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
