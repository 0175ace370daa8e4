"""What clips show, read off their codes by a classifier that has seen few of them labeled."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array
from drnet_jax.data import source as source_lib
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import metrics, probes
from drnet_jax.models import inference
from drnet_jax.models.state import DrnetState
from drnet_jax.runs.run import Run

NUM_FRAMES = 24
"""In a row, whose poses are the features."""

NUM_LABELED = (1, 2, 5, 10, 20)
"""Labeled clips of each class, as far as there are more of the rarest one."""

NUM_DRAWS = 10
"""How often labeled clips are drawn."""

_CLIPS_AT_ONCE = 20


def score(run: Run, state: DrnetState) -> dict[str, Any] | None:
    """Returns the curves of `pose` and `content`; None where it is not known what clips show.

    Features are the poses of `NUM_FRAMES` frames from a random one on, and the content of the first
    of them, None for a model without. Clips are all that are long enough, at most `probe_clips` to
    train and half as many to test. The same seed gives the same clips and draws for all models.
    """
    if not run.source.has_labels(NUM_FRAMES):
        return None
    encode, most = _make_encoder(run, state), run.config.evaluation.probe_clips
    clips = {"train": _clips(run, "train", most), "test": _clips(run, "test", most // 2)}
    classes = {split: run.source.truth.labels(split, clips[split])[0] for split in clips}
    if len(np.unique(classes["train"])) < 2:
        return None
    codes = {split: _encode(run, encode, split, clips[split]) for split in clips}
    record = {
        "num_frames": NUM_FRAMES,
        "num_clips": {split: len(known) for split, known in classes.items()},
    }
    for name in ("pose", "content"):
        fit, test = codes["train"][name], codes["test"][name]
        has_code = fit.shape[1] > 0
        fitted = (fit, classes["train"], test, classes["test"], run.config.seed)
        record[name] = curve(*fitted) if has_code else None
    return record


def curve(
    codes: np.ndarray,
    classes: np.ndarray,
    test_codes: np.ndarray,
    test_classes: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Returns the accuracy of multinomial logistic regression over the number of labeled clips.

    Args:
      codes: of the training clips, `[clips, dims]`.
      classes: theirs, int `[clips]`, at least two different ones.
      test_codes: of other clips.
      test_classes: theirs.
      seed: decides which clips are labeled; the same for all codes that are to be compared. A
        draw with more labeled clips contains that with fewer.

    Returns:
      Lists over `num_labeled`, clips of each class; the last is their mean where all are labeled.
      `mean`, `low` and `high` are over draws: the mean and the middle 95 %; `draws` are all of
      them. Where all are labeled nothing is drawn. `over_clips` has the 95 % bootstrap interval
      over the test clips of the same means. `chance` is the share of the most frequent class.
    """
    rarest = np.unique(classes, return_counts=True)[1].min()
    counts = [count for count in NUM_LABELED if count < rarest]
    orders = [_orders(classes, seed, draw) for draw in range(NUM_DRAWS)]

    def right(rows: np.ndarray) -> np.ndarray:
        model = probes.fit_classifier("linear", codes[rows], classes[rows], seed)
        return model.predict(test_codes) == test_classes

    answers = [
        np.array([right(np.concatenate([rows[:count] for rows in order])) for order in orders])
        for count in counts
    ]  # Each [draws, test clips].
    answers.append(right(np.arange(len(codes)))[None])
    draws = [answer.mean(axis=1) for answer in answers]
    low, high = np.transpose([np.percentile(draw, [2.5, 97.5]) for draw in draws])
    per_clip = np.stack([answer.mean(axis=0) for answer in answers], axis=1)
    return {
        "num_labeled": [*counts, len(classes) / len(np.unique(classes))],
        "mean": [float(draw.mean()) for draw in draws],
        "low": low.tolist(),
        "high": high.tolist(),
        "draws": [draw.tolist() for draw in draws],
        "over_clips": metrics.bootstrap(per_clip, seed),
        "chance": float(np.unique(test_classes, return_counts=True)[1].max() / len(test_classes)),
    }


def _make_encoder(run: Run, state: DrnetState) -> Callable[[Array], dict[str, jax.Array]]:
    """Returns a compiled function of frames `[clips, time, ...]` to features `[clips, dims]`."""

    @jax.jit
    def encode(frames: Array) -> dict[str, jax.Array]:
        poses = inference.encode_pose(run.networks, state.autoencoder, frames)
        content = inference.encode_content(run.networks, state.autoencoder, frames[:, 0])
        return {"pose": poses.reshape(len(poses), -1), "content": content.vector}

    return encode


def _clips(run: Run, split: str, most: int) -> Clips:
    """Returns all clips that are long enough, or `most` of them, each from a random frame on."""
    number = min(most, source_lib.num_clips(run.source.all_clips(split, NUM_FRAMES)))
    key = prng.stream(run.key, f"few-shot {split}")
    return run.source.sample(split, key, number, num_frames=NUM_FRAMES)


def _encode(run: Run, encode: Callable, split: str, clips: Clips) -> dict[str, np.ndarray]:
    """Returns the features of all clips, float32 `[clips, dims]` by name."""
    times = np.arange(NUM_FRAMES)
    parts = [
        jax.device_get(encode(run.source.frames(split, batch, times)))
        for batch in source_lib.equal_batches(clips, _CLIPS_AT_ONCE)
    ]
    return {
        name: np.concatenate([part[name] for part in parts])[: source_lib.num_clips(clips)]
        for name in parts[0]
    }


def _orders(classes: np.ndarray, seed: int, draw: int) -> list[np.ndarray]:
    """Returns the clips of each class in random order."""
    rng = np.random.default_rng([seed, draw])
    return [rng.permutation(np.flatnonzero(classes == value)) for value in np.unique(classes)]
