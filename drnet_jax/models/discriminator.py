"""The scene discriminator: do two poses come from the same clip?"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from drnet_jax.models.blocks import at_least_float32
from drnet_jax.ops.conv import KERNEL_INIT, Dtype


class SceneDiscriminator(nn.Module):
    """Maps two poses `[batch, pose_dim]` to logits, float32 `[batch]`; positive: the same clip.

    Source: PyTorch release, models/classifiers.py, scene_discriminator. Its sigmoid is part of the
    loss here, which is exact for large logits.
    """

    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, pose_a: jax.Array, pose_b: jax.Array) -> jax.Array:
        x = jnp.concatenate([pose_a, pose_b], axis=-1)
        for layer, width in enumerate((self.width, self.width, 1)):
            dense = nn.Dense(width, dtype=self.dtype, kernel_init=KERNEL_INIT, name=f"layer{layer}")
            x = dense(x)
            if layer < 2:
                x = nn.relu(x)
        return at_least_float32(x[:, 0])
