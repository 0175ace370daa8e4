"""The small classifier of pictures behind both judges, and its training."""

import contextlib
import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

import flax
import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax

from drnet_jax.base import files, local_copy, prng
from drnet_jax.base.arrays import Array, Tree

BATCH_SIZE = 128
LEARNING_RATE = 0.003


@dataclasses.dataclass(frozen=True)
class Judge:
    """A trained judge.

    Attributes:
      probabilities: maps frames, uint8 or float in [0, 1], to class probabilities.
      record: the judge's own score on real frames of the test split.
    """

    probabilities: Callable[[Array], np.ndarray]
    record: dict[str, Any]


class Classifier(nn.Module):
    """Maps pictures, float `[batch, side, side, channels]`, to logits `[batch, classes]`."""

    num_classes: int

    @nn.compact
    def __call__(self, pictures: jax.Array, *, train: bool) -> jax.Array:
        x = nn.relu(nn.Conv(32, (5, 5), strides=2)(pictures))
        x = nn.relu(nn.Conv(64, (3, 3), strides=2)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x.reshape(len(x), -1))
        x = nn.relu(nn.Dense(128)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x)


def fit(
    pictures: Array, classes: Array, num_classes: int, key: jax.Array, num_steps: int
) -> Callable[[jax.Array], jax.Array]:
    """Returns a classifier trained on randomly distorted pictures, its weights averaged over steps.

    Its weights are kept in the user's cache, and read from there for the same arguments.

    Args:
      pictures: float `[num, side, side, channels]`.
      classes: int `[num]`, from 0 on.
      num_classes: the number of classes.
      key: determines weights, batches and distortions.
      num_steps: the number of training steps.

    Returns:
      A function from pictures `[..., side, side, channels]` to class probabilities
      `[..., num_classes]`. JAX can trace it, and programs can take it as an argument.
    """
    net = Classifier(num_classes)
    pictures, classes = np.asarray(pictures), np.asarray(classes)

    def probabilities(variables: Tree, pictures: jax.Array) -> jax.Array:
        leading, picture = pictures.shape[:-3], pictures.shape[-3:]
        logits = net.apply(variables, pictures.reshape(-1, *picture), train=False)
        return nn.softmax(logits).reshape(*leading, num_classes)

    path = local_copy.cache_folder() / "judges" / _digest(net, pictures, classes, key, num_steps)
    if kept := files.read_checked(path):
        return jax.tree_util.Partial(probabilities, flax.serialization.msgpack_restore(kept[0]))
    variables = jax.device_get(_train(net, pictures, classes, key, num_steps))
    with contextlib.suppress(OSError):  # A cache that cannot be written to costs time only.
        files.write_checked(path, [flax.serialization.msgpack_serialize(variables)])
    return jax.tree_util.Partial(probabilities, variables)


def _digest(
    net: Classifier, pictures: np.ndarray, classes: np.ndarray, key: jax.Array, num_steps: int
) -> str:
    """Returns a name that changes with anything that determines the weights.

    That includes this file, the platform and the libraries that compute them.
    """
    versions = [module.__version__ for module in (jax, flax, optax)]
    settings = (net, num_steps, BATCH_SIZE, LEARNING_RATE, jax.default_backend(), versions)
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes() + repr(settings).encode())
    for array in (pictures, classes, jax.random.key_data(key)):
        digest.update(f"{array.shape} {array.dtype}".encode() + np.asarray(array).tobytes())
    return digest.hexdigest()


def _train(
    net: Classifier, pictures: np.ndarray, classes: np.ndarray, key: jax.Array, num_steps: int
) -> Tree:
    """Returns the weights of `net` after `num_steps`; the arguments are those of `fit`."""
    pictures, classes = jnp.asarray(pictures), jnp.asarray(classes)
    schedule = optax.warmup_cosine_decay_schedule(0, LEARNING_RATE, num_steps // 20, num_steps + 1)
    tx = optax.adam(schedule)

    # Pictures are arguments, as otherwise they would become constants of the program.
    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, number: int, pictures: jax.Array, classes: jax.Array):
        params, opt_state, average = state
        keys = jax.random.split(prng.stream(key, "step", number), 3)
        rows = jax.random.randint(keys[0], (BATCH_SIZE,), 0, len(pictures))
        batch = distort(pictures[rows], keys[1])

        def loss(params):
            logits = net.apply(params, batch, train=True, rngs={"dropout": keys[2]})
            targets = optax.smooth_labels(jax.nn.one_hot(classes[rows], net.num_classes), 0.05)
            return jnp.mean(optax.softmax_cross_entropy(logits, targets))

        updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
        params = optax.apply_updates(params, updates)
        # The plain mean of the first 100 steps, an exponential moving average after them.
        weight = jnp.maximum(0.01, 1 / (number + 1))
        return params, opt_state, optax.incremental_update(params, average, weight)

    @jax.jit
    def init(pictures: jax.Array):
        params = net.init(prng.stream(key, "init"), pictures[:1], train=False)
        return params, tx.init(params), params

    state = init(pictures)
    for number in range(num_steps):
        state = step(state, number, pictures, classes)
    return state[2]


def distort(pictures: jax.Array, key: jax.Array) -> jax.Array:
    """Returns pictures `[batch, side, side, channels]`, slightly moved, turned, scaled and sheared.

    All channels of a picture are distorted alike.
    """
    side = pictures.shape[1]
    noise = jax.random.uniform(key, (len(pictures), 6), minval=-1, maxval=1)
    matrix = jnp.eye(2) + noise[:, :4].reshape(-1, 2, 2) * jnp.array([[0.15, 0.2], [0.2, 0.15]])
    middle = (side - 1) / 2
    grid = jnp.stack(jnp.meshgrid(*[jnp.arange(side) - middle] * 2, indexing="ij"))
    places = jnp.einsum("bij,jyx->biyx", matrix, grid) + middle + noise[:, 4:, None, None] * 1.5

    # One channel of one picture at a time; all channels of a picture share its places.
    sample = functools.partial(jax.scipy.ndimage.map_coordinates, order=1)
    return jax.vmap(jax.vmap(sample, in_axes=(-1, None), out_axes=-1))(pictures, places)


def resize(pictures: Array, side: int) -> jax.Array:
    """Returns pictures `[..., height, width, channels]` with `side` pixels on each side."""
    *leading, _, _, channels = pictures.shape
    return jax.image.resize(pictures, (*leading, side, side, channels), "linear")
