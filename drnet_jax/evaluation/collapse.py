"""Whether a model has collapsed: all contents alike, or all decoded frames, as one mean frame.

Losses and PSNR do not tell: on sparse frames, a black frame has a low error and the best SSIM of
all trivial answers.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array, as_float
from drnet_jax.evaluation import metrics, samples
from drnet_jax.models import inference
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import DrnetState, NetworkState
from drnet_jax.runs.run import Run

NUM_CLIPS = 16
"""Clips whose contents are decoded, and clips whose poses they are decoded in."""

ALIKE = 0.1
"""Decoded frames are alike if their spread is less than this share of that of real frames."""

CONTENT_ALIKE = 0.01
"""Contents are alike if their spread is less than this share of their root mean square."""


def score(run: Run, state: DrnetState, mean_frame: Array) -> dict[str, Any]:
    """Returns the record `collapse`, and logs its warnings.

    `NUM_CLIPS` contents are each decoded in as many poses of other clips. A spread is the root
    mean square deviation from the mean, for pixels in [0, 1]; those over contents are None if there
    is only one clip.
    """
    key_a, key_b, key_t = jax.random.split(prng.stream(run.key, "collapse"), 3)
    a = run.source.sample("test", key_a, NUM_CLIPS)
    b = run.source.sample("test", key_b, NUM_CLIPS, unlike=a)
    num_clips = samples.distinct(run.source, "test", a).counts["num_clips"]
    own = run.source.frames("test", a, np.array([0]))[:, 0]
    times = run.source.random_times("test", b, key_t, NUM_CLIPS)
    others = run.source.frames("test", b, times)  # [clips, time, ...]
    answers = _program(run.networks)(state.autoencoder, own, others[:, 0], mean_frame)
    content, decoded, psnr = jax.device_get(answers)
    own, others = own / 255, others / 255
    record = {
        "num_clips": num_clips,
        # None for a model without content.
        "content_spread": relative_spread(content) if content.size else None,
        "frames_over_contents": {"model": spread(decoded, 0), "truth": spread(own, 0)},
        "frames_over_poses": {"model": spread(decoded, 1), "truth": spread(others, 1)},
        "reconstruction_psnr": {name: float(value) for name, value in psnr.items()},
    }
    if num_clips < 2:  # The contents of one clip should be alike.
        record |= dict.fromkeys(("content_spread", "frames_over_contents"))
    record["warnings"] = find(record)
    for warning in record["warnings"]:
        logging.warning("COLLAPSED: %s", warning)
    return {"collapse": record}


def find(record: dict[str, Any]) -> list[str]:
    """Returns what has collapsed, in words, from the other entries of the record `collapse`."""
    contents, poses = record["frames_over_contents"], record["frames_over_poses"]
    spreads = {"contents": contents, "poses": poses}
    flat = {name: s is not None and _share(s) < ALIKE for name, s in spreads.items()}
    found = []
    if all(flat.values()):
        found.append("all decoded frames are alike, whatever the content and the pose.")
    elif flat["contents"] and record["content_spread"] is not None:
        found.append("decoded frames do not depend on the content.")
    elif flat["poses"]:
        found.append("decoded frames do not depend on the pose.")
    if record["content_spread"] is not None and record["content_spread"] < CONTENT_ALIKE:
        found.append("all clips have the same content.")
    psnr = record["reconstruction_psnr"]
    for name, answer in (("mean_frame", "mean frame"), ("black_frame", "black frame")):
        if psnr["model"] <= psnr[name]:
            found.append(f"reconstructions are no better than a {answer}.")
    return found


def warn_if_alike(step: int, decoded: np.ndarray, real: np.ndarray) -> None:
    """Logs a warning if all `decoded` frames after `step` are alike, where `real` ones differ.

    Both are `[..., height, width, channels]` on the same scale.
    """
    model, truth = (spread(x.reshape(-1, *x.shape[-3:]), 0) for x in (decoded, real))
    if _share({"model": model, "truth": truth}) < ALIKE:
        logging.warning("COLLAPSED: after step %d all decoded frames are alike.", step)


def spread(values: Array, axis: int) -> float:
    """Returns the root mean square deviation of `values` from their mean over `axis`."""
    values = np.asarray(values, np.float64)
    return float(np.sqrt(np.mean((values - values.mean(axis, keepdims=True)) ** 2)))


def relative_spread(vectors: Array) -> float:
    """Returns the spread of `vectors`, `[clips, dim]`, as a share of their root mean square."""
    size = float(np.sqrt(np.mean(np.asarray(vectors, np.float64) ** 2)))
    return spread(vectors, 0) / size if size else 0.0


def _share(spreads: dict[str, float]) -> float:
    # Real frames that are all alike have nothing to collapse.
    return spreads["model"] / spreads["truth"] if spreads["truth"] else 1.0


@functools.lru_cache(maxsize=4)
def _program(networks: Networks) -> Callable[..., tuple]:
    """Returns the compiled function of the state, and frames of contents, of poses and on average.

    It returns contents, the grid `[contents, poses, height, width, channels]`, and the PSNR of
    reconstructions of the contents' frames and of trivial answers.
    """

    @jax.jit
    def decode(autoencoder: NetworkState, own: Array, others: Array, mean_frame: Array):
        own, others = as_float(own), as_float(others)
        content = inference.encode_content(networks, autoencoder, own)
        poses = inference.encode_pose(networks, autoencoder, jnp.concatenate([own, others]))
        poses, own_poses = poses[len(own) :], poses[: len(own)]
        # Every content in every pose: [contents, poses, pose_dim].
        tiled = jnp.broadcast_to(poses, (len(own), *poses.shape))
        grid = inference.decode_each(networks, autoencoder, content, tiled)
        answers = {
            "model": inference.decode(networks, autoencoder, content, own_poses),
            "mean_frame": mean_frame,
            "black_frame": 0.0,
        }
        errors = {n: jnp.mean(jnp.square(f - own), axis=(1, 2, 3)) for n, f in answers.items()}
        return content.vector, grid, {n: jnp.mean(metrics.psnr(e)) for n, e in errors.items()}

    return decode
