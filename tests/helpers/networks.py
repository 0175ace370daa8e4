"""Small networks, and variables for them without initializers, which take long to compile."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.models import registry

SETTINGS = {
    "content_encoder": "dcgan",
    "pose_encoder": "dcgan",
    "decoder": "dcgan",
    "image_size": 16,
    "channels": 2,
    "width": 4,
    "num_slots": 1,
    "content_dim": 6,
    "pose_dim": 3,
    "normalize": False,
    "discriminator_width": 5,
    "dtype": jnp.float32,
}


def create_networks(**changes):
    """Returns the networks of `SETTINGS` with `changes`."""
    return registry.create_networks(**(SETTINGS | changes))


def draw_variables(module, *inputs, **mode):
    """Returns random variables of `module`; variances are positive."""
    init = functools.partial(module.init, **mode)
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        values = 0.3 * rng.standard_normal(leaf.shape).astype(np.float32)
        return np.abs(values) + 0.5 if path[-1].key == "var" else values

    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(init, jax.random.key(0), *inputs))
