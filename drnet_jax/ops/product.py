"""Matrix products that are summed in float32, whatever their factors are."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax


def product(
    left: jax.Array, right: jax.Array, axes: tuple[int, int] | tuple[Sequence[int], Sequence[int]]
) -> jax.Array:
    """Returns the product over axis `axes[0]` of `left` and `axes[1]` of `right`, or several each.

    The sum and the result are float32 or wider; on CPUs this is also the faster way from bfloat16.
    """
    summed = tuple((axis,) if isinstance(axis, int) else axis for axis in axes)
    wide = jnp.promote_types(left.dtype, jnp.float32)
    return lax.dot_general(left, right, (summed, ((), ())), preferred_element_type=wide)
