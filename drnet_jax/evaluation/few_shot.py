"""Accuracy of classifiers of actions that have seen the codes of only a few labeled clips."""

import functools
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
from drnet_jax.models.state import DrnetState, NetworkState
from drnet_jax.runs.run import Run

NUM_FRAMES = 24
"""Number of consecutive frames whose poses are the features of a clip."""

NUM_LABELED = (1, 2, 5, 10, 20)
"""Labeled clips per class; a count is left out unless the rarest class has more clips."""

NUM_DRAWS = 10
"""How many times the labeled clips are drawn."""

_CLIPS_AT_ONCE = 20


def score(run: Run, state: DrnetState) -> dict[str, Any] | None:
    """Returns the curves of `pose` and `content`; None if the clips have no labels.

    The features of a clip are the poses of `NUM_FRAMES` frames, starting at a random one, and the
    content of the first of them; the curve of `content` is None for a model without content. All
    clips that are long enough take part, at most `probe_clips` to train and half as many to test.
    The same seed gives the same clips and draws for all models.
    """
    if not run.source.has_labels(NUM_FRAMES):
        return None
    most = run.config.evaluation.probe_clips
    clips = {"train": _clips(run, "train", most), "test": _clips(run, "test", most // 2)}
    classes = {split: run.source.truth.labels(split, clips[split])[0] for split in clips}
    if len(np.unique(classes["train"])) < 2:
        return None

    @jax.jit
    def encode(autoencoder: NetworkState, frames: Array) -> dict[str, jax.Array]:
        poses = inference.encode_pose(run.networks, autoencoder, frames)
        content = inference.encode_content(run.networks, autoencoder, frames[:, 0])
        # [clips, time, pose_dim] -> [clips, time * pose_dim]
        return {"pose": poses.reshape(len(poses), -1), "content": content.vector}

    encode = functools.partial(encode, state.autoencoder)
    codes = {split: _encode(run, encode, split, clips[split]) for split in clips}
    clusters = run.source.clusters("test", clips["test"])
    record = {
        "num_frames": NUM_FRAMES,
        "num_clips": {split: len(labels) for split, labels in classes.items()},
    }
    for name in ("pose", "content"):
        fit, test = codes["train"][name], codes["test"][name]
        arguments = (fit, classes["train"], test, classes["test"], run.config.seed, clusters)
        record[name] = curve(*arguments) if fit.shape[1] else None
    return record


def curve(
    codes: np.ndarray,
    classes: np.ndarray,
    test_codes: np.ndarray,
    test_classes: np.ndarray,
    seed: int,
    clusters: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns the accuracy of multinomial logistic regression over the number of labeled clips.

    Args:
      codes: `[clips, dims]`, of the training clips.
      classes: int `[clips]`, at least two different ones.
      test_codes: `[test_clips, dims]`.
      test_classes: int `[test_clips]`.
      seed: determines which clips are labeled; the same seed makes codes comparable. A draw with
        more labeled clips contains the draw with fewer.
      clusters: int `[test_clips]`, as for `metrics.bootstrap`.

    Returns:
      Lists over `num_labeled`, the labeled clips per class; the last entry stands for all clips
      and is their mean number per class. `draws` are the accuracies of all draws, `mean`, `low` and
      `high` their mean and the middle 95 % of them. `over_clips` is the same mean with its 95 %
      bootstrap interval over test clips. `chance` is the share of the most frequent class.
    """
    rarest = np.unique(classes, return_counts=True)[1].min()
    counts = [count for count in NUM_LABELED if count < rarest]
    # The clips of each class in random order, for each draw.
    orders = []
    for draw in range(NUM_DRAWS):
        rng = np.random.default_rng([seed, draw])
        of_class = [np.flatnonzero(classes == value) for value in np.unique(classes)]
        orders.append([rng.permutation(rows) for rows in of_class])

    def correct(rows: np.ndarray) -> np.ndarray:
        model = probes.fit("linear", codes[rows], classes[rows], seed)
        return model.predict(test_codes) == test_classes

    answers = [
        np.array([correct(np.concatenate([rows[:count] for rows in order])) for order in orders])
        for count in counts
    ]  # Each [draws, test_clips].
    answers.append(correct(np.arange(len(codes)))[None])  # With all labeled, there is one draw.
    draws = [answer.mean(axis=1) for answer in answers]
    low, high = np.transpose([np.percentile(draw, [2.5, 97.5]) for draw in draws])
    per_clip = np.stack([answer.mean(axis=0) for answer in answers], axis=1)
    return {
        "num_labeled": [*counts, len(classes) / len(np.unique(classes))],
        "mean": [float(draw.mean()) for draw in draws],
        "low": low.tolist(),
        "high": high.tolist(),
        "draws": [draw.tolist() for draw in draws],
        "over_clips": metrics.bootstrap(per_clip, seed, clusters=clusters),
        "chance": metrics.majority_share(test_classes),
    }


def _clips(run: Run, split: str, most: int) -> Clips:
    """Returns all clips that are long enough, or `most` of them, each from a random frame on."""
    number = min(most, source_lib.num_clips(run.source.all_clips(split, NUM_FRAMES)))
    key = prng.stream(run.key, f"few-shot {split}")
    return run.source.sample(split, key, number, num_frames=NUM_FRAMES)


def _encode(run: Run, encode: Callable, split: str, clips: Clips) -> dict[str, np.ndarray]:
    """Returns the features of all clips, float32 `[clips, dims]` by name."""
    parts = [
        jax.device_get(encode(run.source.frames(split, batch, np.arange(NUM_FRAMES))))
        for batch in source_lib.equal_batches(clips, _CLIPS_AT_ONCE)
    ]
    joined = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
    return {name: array[: source_lib.num_clips(clips)] for name, array in joined.items()}
