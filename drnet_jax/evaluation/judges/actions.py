"""A classifier of actions, trained here, that judges clips by every other of five frames."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array, as_float
from drnet_jax.data import source as source_lib
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import metrics
from drnet_jax.evaluation.held_out import roll_out
from drnet_jax.evaluation.judges import classifier
from drnet_jax.evaluation.judges import scores as verdicts
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

MAX_STEPS = 100
"""Generated steps that are judged, as far as rollouts and clips go."""

SIDE = 32
"""Side of the pictures that the judge sees, whatever the size of the frames."""

WINDOW = (0, 2, 4)
"""Frames that it sees at once, the last being the one that is judged: 1/6 s at 25 a second."""

SPAN = WINDOW[-1]

NUM_TRAINING_WINDOWS = 10_000
NUM_TEST_WINDOWS = 8
"""Of each test clip, from its beginning to its end."""

_CHUNK = 100
_CLIPS_AT_ONCE = 20


@dataclasses.dataclass(frozen=True)
class ActionJudge:
    """A trained judge.

    Attributes:
      names: of the actions.
      probabilities: maps frames `[clips, time, height, width, channels]`, uint8 or float in [0, 1],
        to float `[clips, time - SPAN, actions]`: the first `SPAN` frames have too few before them.
      record: its own score on real clips of the test split.
    """

    names: list[str]
    probabilities: Callable[[Array], np.ndarray]
    record: dict[str, Any]


def score(run: Run, state: DrnetState, predictor: PredictorState) -> dict[str, Any] | None:
    """Returns what a judge says of generated and of real frames, step by step.

    None where it is not known what clips show, or none goes on long enough. Steps begin where all
    that the judge sees at once is generated. Clips are those of the test split from their
    beginning, at most `num_clips`; at each step those count whose real frames still go on, the same
    for both answers, as the inception score depends on their number.
    """
    config, source = run.config, run.source
    num_observed = config.predictor.num_observed
    longest = min(MAX_STEPS, config.evaluation.rollout_steps, source.max_frames - num_observed)
    steps = np.arange(SPAN + 1, longest + 1)
    if not len(steps) or not source.has_labels(num_observed + SPAN + 1):
        return None
    clips, judge = _clips(run, num_observed + SPAN + 1), train(run)
    classes, _ = source.truth.labels("test", clips)
    counted = num_observed + steps <= source.lengths("test", clips)[:, None]
    said = []
    for batch in source_lib.equal_batches(clips, _CLIPS_AT_ONCE):
        _, *answers = roll_out(run, state, predictor, batch, longest)
        said.append([judge.probabilities(frames) for frames in answers])
    answers = (np.concatenate(parts)[: len(classes)] for parts in zip(*said, strict=True))
    record = {"judge": judge.record, "steps": steps.tolist(), "num_clips": counted.sum(0).tolist()}
    for name, probabilities in zip(("model", "truth"), answers, strict=True):
        record[name] = scores_by_step(probabilities, classes, counted, config.seed)
    return record


def _clips(run: Run, num_frames: int) -> Clips:
    """Returns the test clips to continue, random ones where there are more than enough."""
    clips, most = run.source.all_clips("test", num_frames), run.config.evaluation.num_clips
    count = source_lib.num_clips(clips)
    if count <= most:
        return clips
    rng = prng.host_generator(prng.stream(run.key, "clips to judge"))
    rows = np.sort(rng.choice(count, most, replace=False))
    return source_lib.select(clips, rows)


def train(run: Run) -> ActionJudge:
    """Returns a judge of what clips show, of data of which that is known.

    It learns from random windows of real training clips, half of them mirrored.
    """
    num_steps = run.config.evaluation.judge_steps
    # No more than it will see.
    num_windows = min(NUM_TRAINING_WINDOWS, num_steps * classifier.BATCH_SIZE)
    pictures, classes, names = _training_windows(run, num_windows)
    net = classifier.Classifier(len(names))
    key = prng.stream(run.key, "action judge")
    variables = classifier.fit(net, pictures, classes, key, num_steps)

    @jax.jit
    def of_frames(frames: Array) -> jax.Array:
        windows = _windows(_shrink(frames))
        leading = windows.shape[:2]
        logits = net.apply(variables, windows.reshape(-1, *windows.shape[2:]), train=False)
        return nn.softmax(logits).reshape(*leading, len(names))

    def probabilities(frames: Array) -> np.ndarray:
        return np.asarray(of_frames(frames))

    record = {"names": names, "num_steps": num_steps, "num_training_windows": len(classes)}
    return ActionJudge(names, probabilities, record | _own_score(run, probabilities))


def scores_by_step(
    probabilities: np.ndarray, classes: np.ndarray, counted: np.ndarray, seed: int
) -> dict[str, dict[str, list[float]]]:
    """Returns the accuracy, the inception score and the entropies behind it at each step.

    Each has lists `mean`, `low` and `high`, the interval being over clips.

    Args:
      probabilities: `[clips, steps, actions]`.
      classes: what the clips show, int `[clips]`.
      counted: bool `[clips, steps]`.
      seed: of the intervals.
    """
    right = probabilities.argmax(axis=-1) == classes[:, None]
    sums = np.stack([right & counted, counted], axis=1)  # [clips, 2, steps]
    accuracy = metrics.bootstrap_statistic(
        lambda means: means[..., 0, :] / np.maximum(means[..., 1, :], 1e-12), sums, seed
    )
    inception = verdicts.inception(probabilities[:, :, None], counted[:, :, None], seed)
    return {"accuracy": accuracy} | inception


def _training_windows(run: Run, num_windows: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns pictures `[windows, SIDE, SIDE, channels]`, their classes, and the actions' names.

    Half of them are mirrored: who walks to the right may walk to the left as well.
    """
    parts = []
    for number in range(-(-num_windows // _CHUNK)):
        key = prng.stream(run.key, "windows of actions", number)
        clips = run.source.sample("train", key, min(_CHUNK, num_windows), num_frames=SPAN + 1)
        labels, names = run.source.truth.labels("train", clips)
        frames = run.source.frames("train", clips, np.array(WINDOW))
        parts.append((np.array(_as_pictures(_shrink(frames))), labels))
    pictures, classes = map(np.concatenate, zip(*parts, strict=True))
    pictures[::2] = pictures[::2, :, ::-1]
    return pictures, classes, names


def _shrink(frames: Array) -> jax.Array:
    """Returns gray pictures, float `[clips, time, SIDE, SIDE]`."""
    gray = jnp.mean(as_float(frames), axis=-1, keepdims=True)
    small = classifier.resize(gray.reshape(-1, *gray.shape[2:]), SIDE)
    return small.reshape(*gray.shape[:2], SIDE, SIDE)


def _windows(small: jax.Array) -> jax.Array:
    """Returns pictures `[clips, time - SPAN, SIDE, SIDE, channels]` of all windows."""
    times = np.arange(small.shape[1] - SPAN)[:, None] + np.array(WINDOW)
    return _as_pictures(small[:, times])


def _as_pictures(windows: jax.Array) -> jax.Array:
    """Returns `[..., SIDE, SIDE, channels]` of windows `[..., len(WINDOW), SIDE, SIDE]`.

    What does not move in a window is nothing there: the judge is to know people whom it has never
    seen, and places.
    """
    return jnp.moveaxis(windows - windows.mean(axis=-3, keepdims=True), -3, -1)


def _own_score(run: Run, probabilities: Callable) -> dict[str, Any]:
    """Returns the judge's accuracy on windows of all test clips, and how many these are."""
    clips = run.source.all_clips("test", SPAN + 1)
    classes, _ = run.source.truth.labels("test", clips)
    last = run.source.lengths("test", clips) - 1 - SPAN
    starts = np.linspace(0, last, NUM_TEST_WINDOWS, axis=1).astype(int).reshape(-1, 1)
    clips = source_lib.select(clips, np.arange(len(classes)).repeat(NUM_TEST_WINDOWS))
    times = starts + np.arange(SPAN + 1)
    said = []
    for begin in range(0, len(times), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        frames = run.source.frames("test", source_lib.select(clips, rows), times[rows])
        said.append(probabilities(frames)[:, 0].argmax(-1))
    right = np.concatenate(said).reshape(len(classes), -1) == classes[:, None]
    return {
        "accuracy": metrics.bootstrap(right.mean(axis=1), run.config.seed),
        "chance": float(np.bincount(classes).max() / len(classes)),
        "num_clips": len(classes),
        "num_windows": right.size,
    }
