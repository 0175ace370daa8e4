"""The judge of actions: a classifier of short windows of frames, trained on real clips."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array, as_float
from drnet_jax.data import source as source_lib
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import metrics
from drnet_jax.evaluation.held_out import roll_out
from drnet_jax.evaluation.judges import classifier, scores
from drnet_jax.evaluation.judges.classifier import Judge
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

MAX_STEPS = 100
"""The last generated step that is judged, if rollouts and clips are that long."""

SIDE = 32
"""Side of the judge's input pictures, for frames of any size."""

WINDOW = (0, 2, 4)
"""Times of the frames that the judge sees at once: a sixth of a second at 25 frames a second."""

SPAN = WINDOW[-1]

NUM_TRAINING_WINDOWS = 10_000
NUM_TEST_WINDOWS = 8
"""Windows of each test clip, evenly spaced from its beginning to its end."""

_CHUNK = 100
_CLIPS_AT_ONCE = 20


def score(run: Run, state: DrnetState, predictor: PredictorState) -> dict[str, Any] | None:
    """Returns what a judge says of generated and of real frames, step by step.

    None if the clips have no labels, or none is long enough. Test clips, at most `num_clips`, are
    continued from their beginning. The first scored step is the first whose whole window is
    generated. Each step counts the clips whose real frames have not ended, the same ones for both
    answers, because the inception score depends on their number.
    """
    config, source = run.config, run.source
    num_observed = config.predictor.num_observed
    longest = min(MAX_STEPS, config.evaluation.rollout_steps, source.max_frames - num_observed)
    steps = np.arange(SPAN + 1, longest + 1)
    if not len(steps) or not source.has_labels(num_observed + SPAN + 1):
        return None
    clips, judge = _clips(run, num_observed + SPAN + 1), train(run)
    classes, _ = source.truth.labels("test", clips)
    clusters = source.clusters("test", clips)
    counted = num_observed + steps <= source.lengths("test", clips)[:, None]
    parts = []
    for batch in source_lib.equal_batches(clips, _CLIPS_AT_ONCE):
        _, *answers = roll_out(run, state, predictor, batch, longest)
        parts.append([judge.probabilities(frames) for frames in answers])
    model, truth = (np.concatenate(part)[: len(classes)] for part in zip(*parts, strict=True))
    return {
        "judge": judge.record,
        "steps": steps.tolist(),
        "num_clips": counted.sum(axis=0).tolist(),
        "model": scores_by_step(model, classes, counted, config.seed, clusters),
        "truth": scores_by_step(truth, classes, counted, config.seed, clusters),
    }


def _clips(run: Run, num_frames: int) -> Clips:
    """Returns all test clips that are long enough, or `num_clips` random ones if there are more."""
    clips, most = run.source.all_clips("test", num_frames), run.config.evaluation.num_clips
    count = source_lib.num_clips(clips)
    if count <= most:
        return clips
    rng = prng.host_generator(prng.stream(run.key, "clips to judge"))
    return source_lib.select(clips, np.sort(rng.choice(count, most, replace=False)))


def train(run: Run) -> Judge:
    """Returns a judge of actions, which learns from random windows of real training clips.

    It maps clips `[clips, time, height, width, channels]` to probabilities
    `[clips, time - SPAN, actions]`: no window ends at one of the first `SPAN` frames.
    """
    num_steps = run.config.evaluation.judge_steps
    # No more windows than the judge will see.
    num_windows = min(NUM_TRAINING_WINDOWS, num_steps * classifier.BATCH_SIZE)
    pictures, classes, names = _training_windows(run, num_windows)
    key = prng.stream(run.key, "action judge")
    classify = classifier.fit(pictures, classes, len(names), key, num_steps)

    def probabilities(frames: Array) -> np.ndarray:
        return np.asarray(_classify(classify, frames))

    record = {"names": names, "num_steps": num_steps, "num_training_windows": len(classes)}
    return Judge(probabilities, record | _own_score(run, probabilities))


@jax.jit
def _classify(classify: Callable[[jax.Array], jax.Array], frames: Array) -> jax.Array:
    starts = np.arange(frames.shape[1] - SPAN)
    return classify(_pictures(frames, starts[:, None] + np.array(WINDOW), SIDE))


def scores_by_step(
    probabilities: np.ndarray,
    classes: np.ndarray,
    counted: np.ndarray,
    seed: int,
    clusters: np.ndarray | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Returns the accuracy, the inception score and the entropies behind it at each step.

    Args:
      probabilities: `[clips, steps, actions]`.
      classes: the true actions, int `[clips]`.
      counted: bool `[clips, steps]`, the clips that each step counts.
      seed: determines the intervals.
      clusters: int `[clips]`, as for `metrics.bootstrap`.
    """
    correct = probabilities.argmax(axis=-1) == classes[:, None]
    # A frame shows one action: the axis of objects has length 1.
    return {
        "accuracy": scores.share(correct[..., None], counted[..., None], seed, clusters)
    } | scores.inception(probabilities[:, :, None], counted[:, :, None], seed, clusters)


def _training_windows(run: Run, num_windows: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns pictures `[windows, SIDE, SIDE, channels]`, their classes, and the actions' names."""
    parts = []
    for number in range(-(-num_windows // _CHUNK)):
        key = prng.stream(run.key, "windows of actions", number)
        clips = run.source.sample("train", key, min(_CHUNK, num_windows), num_frames=SPAN + 1)
        labels, names = run.source.truth.labels("train", clips)
        frames = run.source.frames("train", clips, np.array(WINDOW))
        pictures = np.asarray(_pictures(frames, np.arange(len(WINDOW))[None], SIDE))
        parts.append((pictures[:, 0], labels))
    pictures, classes = map(np.concatenate, zip(*parts, strict=True))
    pictures[::2] = pictures[::2, :, ::-1]  # Half are mirrored: an action may go to either side.
    return pictures, classes, names


@functools.partial(jax.jit, static_argnums=2)
def _pictures(frames: Array, times: np.ndarray, side: int) -> jax.Array:
    """Returns pictures `[clips, windows, side, side, channels]` of windows at `times`.

    `frames` are `[clips, time, height, width, channels]`; `times` are int `[windows, len(WINDOW)]`.
    """
    gray = jnp.mean(as_float(frames), axis=-1, keepdims=True)
    small = classifier.resize(gray, side)[..., 0]
    windows = small[:, times]  # [clips, windows, len(WINDOW), side, side]
    # Subtracting the mean of a window removes everything that stands still, as the judge has to
    # cope with people and places that it has never seen. The frames become channels.
    return jnp.moveaxis(windows - windows.mean(axis=-3, keepdims=True), -3, -1)


def _own_score(run: Run, probabilities: Callable) -> dict[str, Any]:
    """Returns the judge's accuracy on windows of all test clips, and the number of these."""
    clips = run.source.all_clips("test", SPAN + 1)
    classes, _ = run.source.truth.labels("test", clips)
    last = run.source.lengths("test", clips) - 1 - SPAN
    starts = np.linspace(0, last, NUM_TEST_WINDOWS, axis=1).astype(int).reshape(-1, 1)
    times = starts + np.arange(SPAN + 1)  # [clips * windows, SPAN + 1]
    repeated = source_lib.select(clips, np.arange(len(classes)).repeat(NUM_TEST_WINDOWS))
    predicted = []
    for begin in range(0, len(times), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        frames = run.source.frames("test", source_lib.select(repeated, rows), times[rows])
        predicted.append(probabilities(frames)[:, 0].argmax(axis=-1))
    # [clips * windows] -> [clips, windows]
    correct = np.concatenate(predicted).reshape(len(classes), -1) == classes[:, None]
    clusters = run.source.clusters("test", clips)
    return {
        "accuracy": metrics.bootstrap(correct.mean(axis=1), run.config.seed, clusters=clusters),
        "chance": metrics.majority_share(classes),
        "num_clips": len(classes),
        "num_windows": correct.size,
    }
