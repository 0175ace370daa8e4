"""What content and pose know that they ought not to, and whether they know what they ought to."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from drnet_jax import inference, prng
from drnet_jax.data.factors import Factors
from drnet_jax.evaluation import blocks, probes
from drnet_jax.run import Run
from drnet_jax.state import DrnetState

NUM_SHUFFLES = 5
NOISE = 0.02
"""A smaller loss of skill, when a block is shuffled, is none."""

_BATCH_SIZE = 250
_HELD_OUT_SHARE = 1 / 3


@dataclasses.dataclass(frozen=True)
class Codes:
    """Codes of one random frame of each of many clips, and what is known about those frames.

    Attributes:
      content: float `[clips, content_dim]`.
      pose: float `[clips, pose_dim]`.
      factors: of the frames.
    """

    content: np.ndarray
    pose: np.ndarray
    factors: Factors

    def block(self, name: str) -> np.ndarray:
        """Returns the codes called `name`: content or pose."""
        return getattr(self, name)

    def values(self, name: str) -> np.ndarray:
        """Returns the factor of pose called `name`, float `[clips, values]`."""
        return self.factors.pose[name][:, 0]


def score(run: Run, state: DrnetState) -> dict[str, Any]:
    """Returns the records `leakage` and `blocks`, each None where nothing is known about frames.

      leakage: how well factors can be read off either code, by probes fitted to training clips, on
        other clips of the same things and on held-out things; how well fresh discriminators tell
        pairs of poses of one clip, and of the same things on independent tracks, from others.
      blocks: mutual information gap, and disentanglement and completeness.
    """
    encode = _make_encoder(run, state)
    num_clips, seed = run.config.evaluation.probe_clips, run.config.seed
    codes = _collect(run, encode, "train", num_clips)
    record = {"leakage": {"probes": None} | _pairs(run, encode), "blocks": None}
    if codes is None:
        return record
    unseen = _collect(run, encode, "test", num_clips // 2)
    held_out = _held_out(codes.factors.clips)
    fit, other = (_subset(codes, rows) for rows in (~held_out, held_out))
    record["leakage"] |= {
        "probes": _probe_all(fit, {"held_out_clips": other, "held_out_things": unseen}, seed),
        "num_fitted": len(fit.pose),
        "num_held_out_clips": len(other.pose),
        "num_held_out_things": len(unseen.pose),
    }
    return record | {"blocks": score_blocks(fit, other, seed)}


def _make_encoder(run: Run, state: DrnetState) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
    """Returns a compiled function of frames `[batch, ...]` to content and pose vectors."""

    @jax.jit
    def encode(frames):
        content = inference.encode_content(run.networks, state.main, frames)
        return content.vector, inference.encode_pose(run.networks, state.main, frames)

    return lambda frames: jax.device_get(encode(frames))


def _collect(run: Run, encode, split: str, num_clips: int) -> Codes | None:
    parts = []
    for number in range(-(-num_clips // _BATCH_SIZE)):
        keys = jax.random.split(prng.stream(run.key, f"probes {split}", number))
        clips = run.source.sample(split, keys[0], min(_BATCH_SIZE, num_clips))
        times = run.source.random_times(split, clips, keys[1], 1)
        factors = run.source.factors(split, clips, times)
        if factors is None:
            return None
        content, pose = encode(run.source.frames(split, clips, times)[:, 0])
        # Clips without number are all different.
        parts.append((content, pose, factors.clips + number * factors.clips_per_batch, factors))
    return None


def _held_out(clips: np.ndarray) -> np.ndarray:
    """Returns bool `[clips]`: which frames are of clips that probes are not fitted to."""
    different = np.random.default_rng(0).permutation(np.unique(clips))
    return np.isin(clips, different[: max(1, round(len(different) * _HELD_OUT_SHARE))])
