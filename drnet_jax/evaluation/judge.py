"""A classifier of real things, trained here, that judges what a model paints."""

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from drnet_jax import metrics, prng
from drnet_jax.arrays import Array
from drnet_jax.evaluation.verdicts import IN_VIEW
from drnet_jax.run import Run

SIDE = 20
"""Side of the pictures that the judge sees, whatever the size of the frames."""

NUM_TRAINING_CLIPS, NUM_TEST_CLIPS = 6_000, 1_000
BATCH_SIZE = 128
LEARNING_RATE = 0.003
_CHUNK = 500


class JudgeNet(nn.Module):
    """Maps pictures, float `[batch, SIDE, SIDE, 1]` in [0, 1], to logits `[batch, classes]`."""

    num_classes: int

    @nn.compact
    def __call__(self, pictures: jax.Array, *, train: bool) -> jax.Array:
        x = nn.relu(nn.Conv(32, (5, 5), strides=2)(pictures))
        x = nn.relu(nn.Conv(64, (3, 3), strides=2)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x.reshape(len(x), -1))
        x = nn.relu(nn.Dense(128)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x)


@dataclasses.dataclass(frozen=True)
class Judge:
    """A trained judge.

    Attributes:
      num_classes: it tells apart.
      probabilities: maps frames `[..., height, width, channels]`, uint8 or float in [0, 1], to
        float `[..., things, num_classes]`.
      record: its own score on real frames of unseen things.
    """

    num_classes: int
    probabilities: Callable[[Array], jax.Array]
    record: dict


def train(run: Run) -> Judge | None:
    """Returns a judge of the things of the data set; None where they are not known.

    It learns from real frames of the training split, each thing cut out, however much of it another
    one hides; only of things hidden for more than half nothing is learned. Its pictures are
    shifted, turned, scaled and sheared at random. What counts are its averaged weights.
    """
    num_steps = run.config.evaluation.judge_steps
    # No more than it will see.
    real = _real_things(run, "train", min(NUM_TRAINING_CLIPS, num_steps * BATCH_SIZE))
    if real is None:
        return None
    pictures, classes, visible, num_classes = real
    things = visible > 0.5
    net = JudgeNet(num_classes)
    key = prng.stream(run.key, "judge")
    variables = _fit(net, pictures[things], classes[things], key, num_steps)

    @jax.jit
    def of_pictures(pictures: jax.Array) -> jax.Array:
        leading = pictures.shape[:-3]
        logits = net.apply(
            variables, _resize(pictures.reshape(-1, *pictures.shape[-3:])), train=False
        )
        return nn.softmax(logits).reshape(*leading, num_classes)

    def probabilities(frames: Array) -> jax.Array:
        return of_pictures(run.source.cut_out(frames))

    record = _own_score(run, of_pictures, num_classes)
    return Judge(num_classes, probabilities, record)


def _real_things(run: Run, split: str, num_clips: int):
    """Returns what is to be seen in a frame of each of some clips; None where it is not known.

    These are pictures `[n, SIDE, SIDE, 1]`, classes and visible `[n]`, and the number of classes.
    """
    source, parts = run.source, []
    for number in range(-(-num_clips // _CHUNK)):
        keys = jax.random.split(prng.stream(run.key, f"judge {split}", number))
        clips = source.sample(split, keys[0], min(_CHUNK, num_clips))
        times = source.random_times(split, clips, keys[1], 1)
        things = source.things(split, clips, times)
        if things is None:
            return None
        cut = source.cut_out(source.frames(split, clips, times))[:, 0]
        parts.append((np.asarray(cut), things.classes, things.visible[:, 0]))
    cut, classes, visible = map(np.concatenate, zip(*parts, strict=True))
    pictures = _resize(cut.reshape(-1, *cut.shape[2:]))
    return pictures, classes.reshape(-1), visible.reshape(-1), things.num_classes


def _resize(pictures: Array) -> jax.Array:
    shape = (len(pictures), SIDE, SIDE, 1)
    return (
        jnp.asarray(pictures)
        if pictures.shape == shape
        else jax.image.resize(pictures, shape, "linear")
    )


def _fit(net: JudgeNet, pictures: Array, classes: Array, key: jax.Array, num_steps: int):
    """Returns the averaged variables after `num_steps`."""
    pictures, classes = jnp.asarray(pictures), jnp.asarray(classes)
    schedule = optax.warmup_cosine_decay_schedule(0, LEARNING_RATE, num_steps // 20, num_steps + 1)
    tx = optax.adam(schedule)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, number: jax.Array):
        params, opt_state, average = state
        keys = jax.random.split(prng.stream(key, "step", number), 3)
        rows = jax.random.randint(keys[0], (BATCH_SIZE,), 0, len(pictures))
        batch = _distort(pictures[rows], keys[1])

        def loss(params):
            logits = net.apply(params, batch, train=True, rngs={"dropout": keys[2]})
            targets = optax.smooth_labels(jax.nn.one_hot(classes[rows], net.num_classes), 0.05)
            return jnp.mean(optax.softmax_cross_entropy(logits, targets))

        updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
        params = optax.apply_updates(params, updates)
        weight = jnp.maximum(0.01, 1 / (number + 1))
        return params, opt_state, optax.incremental_update(params, average, weight)

    params = net.init(prng.stream(key, "init"), pictures[:1], train=False)
    state = (params, tx.init(params), jax.tree.map(jnp.copy, params))
    for number in range(num_steps):
        state = step(state, jnp.asarray(number))
    return state[2]


def _distort(pictures: jax.Array, key: jax.Array) -> jax.Array:
    """Returns pictures `[batch, side, side, 1]` shifted, turned, scaled and sheared a little."""
    side = pictures.shape[1]
    noise = jax.random.uniform(key, (len(pictures), 6), minval=-1, maxval=1)
    matrix = jnp.eye(2) + noise[:, :4].reshape(-1, 2, 2) * jnp.array([[0.15, 0.2], [0.2, 0.15]])
    middle = (side - 1) / 2
    grid = jnp.stack(jnp.meshgrid(*[jnp.arange(side) - middle] * 2, indexing="ij"))
    places = jnp.einsum("bij,jyx->biyx", matrix, grid) + middle + noise[:, 4:, None, None] * 1.5
    sample = functools.partial(jax.scipy.ndimage.map_coordinates, order=1)
    return jax.vmap(sample)(pictures[..., 0], places)[..., None]


def _own_score(run: Run, of_pictures, num_classes: int) -> dict:
    """Returns the judge's accuracy on real frames of the test split, in view or not."""
    pictures, classes, visible, _ = _real_things(run, "test", NUM_TEST_CLIPS)
    right = np.argmax(of_pictures(pictures), axis=-1) == classes
    in_view = visible >= IN_VIEW
    chance = float(np.bincount(classes).max() / len(classes))
    return {
        "accuracy": metrics.bootstrap(right[in_view], run.config.seed),
        "accuracy_all": metrics.bootstrap(right, run.config.seed),
        "in_view": IN_VIEW,
        "share_in_view": float(in_view.mean()),
        "num_things": int(in_view.sum()),
        "chance": chance,
        "num_classes": num_classes,
    }
