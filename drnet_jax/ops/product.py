"""Matrix products that are summed in float32, whatever their factors are."""

import jax
import jax.numpy as jnp
from jax import lax


def product(left: jax.Array, right: jax.Array, axes: tuple[int, int]) -> jax.Array:
    """Returns the product over axis `axes[0]` of `left` and `axes[1]` of `right`.

    It is summed in at least float32, and comes so; from bfloat16 this is faster on CPUs, too.
    """
    (one, other), wide = axes, jnp.promote_types(left.dtype, jnp.float32)
    return lax.dot_general(left, right, (((one,), (other,)), ((), ())), preferred_element_type=wide)
