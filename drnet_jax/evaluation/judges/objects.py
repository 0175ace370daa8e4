"""The judge of objects: a classifier trained on real ones, which then looks at generated frames."""

from collections.abc import Callable

import jax
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array
from drnet_jax.evaluation import metrics
from drnet_jax.evaluation.judges import classifier
from drnet_jax.evaluation.judges.classifier import Judge
from drnet_jax.evaluation.judges.scores import IN_VIEW
from drnet_jax.runs.run import Run

SIDE = 20
"""Side of the judge's input pictures, for frames of any size."""

NUM_TRAINING_CLIPS, NUM_TEST_CLIPS = 6_000, 1_000
_CHUNK = 500


def train(run: Run) -> Judge | None:
    """Returns a judge of the objects in frames; None if the objects of the data are unknown.

    It maps frames `[..., height, width, channels]` to probabilities `[..., objects, classes]`. It
    learns from objects cut out of real training frames, except those that are at least half hidden;
    its own score is on objects that do not occur in training.
    """
    num_steps = run.config.evaluation.judge_steps
    # No more clips than the judge will see.
    real = _real_objects(run, "train", min(NUM_TRAINING_CLIPS, num_steps * classifier.BATCH_SIZE))
    if real is None:
        return None
    pictures, classes, visible, num_classes = real
    kept = visible > 0.5
    key = prng.stream(run.key, "judge")
    classify = classifier.fit(pictures[kept], classes[kept], num_classes, key, num_steps)

    def of_pictures(pictures: Array) -> np.ndarray:
        return np.asarray(_classify(classify, pictures))

    def probabilities(frames: Array) -> np.ndarray:
        return of_pictures(run.source.truth.cut_out(frames))

    return Judge(probabilities, _own_score(run, of_pictures, num_classes))


@jax.jit
def _classify(classify: Callable[[jax.Array], jax.Array], pictures: Array) -> jax.Array:
    return classify(classifier.resize(pictures, SIDE))


def _real_objects(
    run: Run, split: str, num_clips: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int] | None:
    """Returns the objects in one random frame of each clip; None if they are unknown.

    Returns pictures `[n, SIDE, SIDE, 1]`, classes and visible shares, both `[n]`, and the number of
    classes.
    """
    source, truth, parts = run.source, run.source.truth, []
    for number in range(-(-num_clips // _CHUNK)):
        keys = jax.random.split(prng.stream(run.key, f"judge {split}", number))
        clips = source.sample(split, keys[0], min(_CHUNK, num_clips))
        times = source.random_times(split, clips, keys[1], 1)
        objects = truth.objects(split, clips, times)
        if objects is None:
            return None
        cut = truth.cut_out(source.frames(split, clips, times)[:, 0])
        parts.append((np.asarray(cut), objects.classes, objects.visible[:, 0]))
    joined = map(np.concatenate, zip(*parts, strict=True))
    # [clips, objects, ...] -> [clips * objects, ...]
    cut, classes, visible = (array.reshape(-1, *array.shape[2:]) for array in joined)
    pictures = np.asarray(classifier.resize(cut, SIDE))
    return pictures, classes, visible, objects.num_classes


def _own_score(run: Run, of_pictures: Callable, num_classes: int) -> dict:
    """Returns the judge's accuracy on real test frames: on objects in view, and on all."""
    pictures, classes, visible, _ = _real_objects(run, "test", NUM_TEST_CLIPS)
    correct = of_pictures(pictures).argmax(axis=-1) == classes
    in_view = visible >= IN_VIEW
    return {
        "accuracy": metrics.bootstrap(correct[in_view], run.config.seed),
        "accuracy_all": metrics.bootstrap(correct, run.config.seed),
        "in_view": IN_VIEW,
        "share_in_view": float(in_view.mean()),
        "num_objects": int(in_view.sum()),
        "chance": metrics.majority_share(classes),
        "num_classes": num_classes,
    }
