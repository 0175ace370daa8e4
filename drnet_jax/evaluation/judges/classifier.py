"""A small classifier of pictures, and how it is trained: what all judges are made of."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array, Tree

BATCH_SIZE = 128
LEARNING_RATE = 0.003


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


def fit(net: Classifier, pictures: Array, classes: Array, key: jax.Array, num_steps: int) -> Tree:
    """Returns the averaged variables after `num_steps` on pictures that are distorted at random.

    `pictures` are float `[num, side, side, channels]`, `classes` int `[num]`.
    """
    pictures, classes = jnp.asarray(pictures), jnp.asarray(classes)
    schedule = optax.warmup_cosine_decay_schedule(0, LEARNING_RATE, num_steps // 20, num_steps + 1)
    tx = optax.adam(schedule)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, number: jax.Array, pictures: jax.Array, classes: jax.Array):
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
        weight = jnp.maximum(0.01, 1 / (number + 1))
        return params, opt_state, optax.incremental_update(params, average, weight)

    params = net.init(prng.stream(key, "init"), pictures[:1], train=False)
    state = (params, tx.init(params), jax.tree.map(jnp.copy, params))
    for number in range(num_steps):
        state = step(state, jnp.asarray(number), pictures, classes)
    return state[2]


def distort(pictures: jax.Array, key: jax.Array) -> jax.Array:
    """Returns pictures `[batch, side, side, channels]` shifted, turned, scaled, sheared a little.

    All channels of a picture in the same way.
    """
    side = pictures.shape[1]
    noise = jax.random.uniform(key, (len(pictures), 6), minval=-1, maxval=1)
    matrix = jnp.eye(2) + noise[:, :4].reshape(-1, 2, 2) * jnp.array([[0.15, 0.2], [0.2, 0.15]])
    middle = (side - 1) / 2
    grid = jnp.stack(jnp.meshgrid(*[jnp.arange(side) - middle] * 2, indexing="ij"))
    places = jnp.einsum("bij,jyx->biyx", matrix, grid) + middle + noise[:, 4:, None, None] * 1.5

    def sample(picture: jax.Array, places: jax.Array) -> jax.Array:
        def of_channel(channel: jax.Array) -> jax.Array:
            return jax.scipy.ndimage.map_coordinates(channel, places, order=1)

        return jax.vmap(of_channel, in_axes=-1, out_axes=-1)(picture)

    return jax.vmap(sample)(pictures, places)


def resize(pictures: Array, side: int) -> jax.Array:
    """Returns pictures `[batch, height, width, channels]` with `side` pixels on each side."""
    shape = (len(pictures), side, side, pictures.shape[-1])
    if pictures.shape == shape:
        return jnp.asarray(pictures)
    return jax.image.resize(pictures, shape, "linear")
