"""The losses of DrNET. All are means, so their weights do not depend on sizes.

Source: Denton & Birodkar 2017, section 3 and Figure 1; drnet-py, train_drnet.py.
"""

import jax
import jax.numpy as jnp
import optax


def reconstruction(predicted: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the mean squared error of frames; both `[batch, height, width, channels]`."""
    return jnp.mean(jnp.square(predicted - target))


def similarity(content: jax.Array, other_content: jax.Array) -> jax.Array:
    """Returns the mean squared distance between two contents of a clip, `[batch, content_dim]`.

    `other_content` is a constant target: only one side is pulled, as in the authors' code. The
    loss is 0 for a model without content.
    """
    if not content.size:
        return jnp.zeros(())
    return jnp.mean(jnp.square(content - jax.lax.stop_gradient(other_content)))


def same_clip(logits: jax.Array, is_same: jax.Array) -> jax.Array:
    """Returns the discriminator's cross-entropy.

    Args:
      logits: `[batch]`, positive where the discriminator says "same clip".
      is_same: `[batch]`, 1.0 where both poses are of one clip, else 0.0.
    """
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, is_same))


def pose_confusion(logits: jax.Array) -> jax.Array:
    """Returns the pose encoder's adversarial loss, the cross-entropy of `logits` against 1/2.

    `logits` are `[batch]`. The minimum, log 2, is reached when the discriminator cannot decide
    (maximum entropy).
    """
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, 0.5)))


def pose_prediction(
    predicted: jax.Array,
    target: jax.Array,
    is_real: jax.Array | None = None,
    *,
    kind: str = "squared",
) -> jax.Array:
    """Returns the mean error of poses at each time step, `[time]`.

    Predictions with the least squared error are means of what may follow, those with the least
    absolute error are medians: a pose that now and then jumps does not move them.

    Args:
      predicted: `[batch, time, pose_dim]`.
      target: the same shape.
      is_real: bool `[batch, time]`, False for the padding after the end of a clip; None if there
        is none.
      kind: `squared` or `absolute`.
    """
    errors = {"squared": jnp.square, "absolute": jnp.abs}[kind](predicted - target)
    if is_real is None:
        return jnp.mean(errors, axis=(0, 2))
    counts = jnp.maximum(jnp.sum(is_real, axis=0), 1)
    return jnp.sum(jnp.mean(errors, axis=2) * is_real, axis=0) / counts
