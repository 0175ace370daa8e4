"""A classifier of real objects, trained here, that judges what a model paints."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array
from drnet_jax.evaluation import metrics
from drnet_jax.evaluation.judges import classifier
from drnet_jax.evaluation.judges.scores import IN_VIEW
from drnet_jax.runs.run import Run

SIDE = 20
"""Side of the pictures that the judge sees, whatever the size of the frames."""

NUM_TRAINING_CLIPS, NUM_TEST_CLIPS = 6_000, 1_000
_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Judge:
    """A trained judge.

    Attributes:
      num_classes: it tells apart.
      probabilities: maps frames `[..., height, width, channels]`, uint8 or float in [0, 1], to
        float `[..., objects, num_classes]`.
      record: its own score on real frames of unseen objects.
    """

    num_classes: int
    probabilities: Callable[[Array], jax.Array]
    record: dict


def train(run: Run) -> Judge | None:
    """Returns a judge of the objects of the data set; None where they are not known.

    It learns from real frames of the training split, each object cut out, however much of it
    another one hides; objects that are more than half hidden are left out. Its pictures are
    shifted, turned, scaled and sheared at random. What counts are its averaged weights.
    """
    num_steps = run.config.evaluation.judge_steps
    # No more than it will see.
    real = _real_objects(run, "train", min(NUM_TRAINING_CLIPS, num_steps * classifier.BATCH_SIZE))
    if real is None:
        return None
    pictures, classes, visible, num_classes = real
    objects = visible > 0.5
    net = classifier.Classifier(num_classes)
    key = prng.stream(run.key, "judge")
    variables = classifier.fit(net, pictures[objects], classes[objects], key, num_steps)

    @jax.jit
    def of_pictures(pictures: jax.Array) -> jax.Array:
        leading = pictures.shape[:-3]
        flat = classifier.resize(pictures.reshape(-1, *pictures.shape[-3:]), SIDE)
        logits = net.apply(variables, flat, train=False)
        return nn.softmax(logits).reshape(*leading, num_classes)

    def probabilities(frames: Array) -> jax.Array:
        return of_pictures(run.source.truth.cut_out(frames))

    record = _own_score(run, of_pictures, num_classes)
    return Judge(num_classes, probabilities, record)


def _real_objects(run: Run, split: str, num_clips: int):
    """Returns what is to be seen in a frame of each of some clips; None where it is not known.

    These are pictures `[n, SIDE, SIDE, 1]`, classes and visible `[n]`, and the number of classes.
    """
    source, parts = run.source, []
    for number in range(-(-num_clips // _CHUNK)):
        keys = jax.random.split(prng.stream(run.key, f"judge {split}", number))
        clips = source.sample(split, keys[0], min(_CHUNK, num_clips))
        times = source.random_times(split, clips, keys[1], 1)
        objects = source.truth.objects(split, clips, times)
        if objects is None:
            return None
        cut = source.truth.cut_out(source.frames(split, clips, times))[:, 0]
        parts.append((np.asarray(cut), objects.classes, objects.visible[:, 0]))
    cut, classes, visible = map(np.concatenate, zip(*parts, strict=True))
    pictures = classifier.resize(cut.reshape(-1, *cut.shape[2:]), SIDE)
    return pictures, classes.reshape(-1), visible.reshape(-1), objects.num_classes


def _own_score(run: Run, of_pictures, num_classes: int) -> dict:
    """Returns the judge's accuracy on real frames of the test split, in view or not."""
    pictures, classes, visible, _ = _real_objects(run, "test", NUM_TEST_CLIPS)
    right = np.argmax(of_pictures(pictures), axis=-1) == classes
    in_view = visible >= IN_VIEW
    chance = float(np.bincount(classes).max() / len(classes))
    return {
        "accuracy": metrics.bootstrap(right[in_view], run.config.seed),
        "accuracy_all": metrics.bootstrap(right, run.config.seed),
        "in_view": IN_VIEW,
        "share_in_view": float(in_view.mean()),
        "num_objects": int(in_view.sum()),
        "chance": chance,
        "num_classes": num_classes,
    }
