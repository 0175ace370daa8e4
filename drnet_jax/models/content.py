"""The content of frames, between content encoder and decoder."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class Content:
    """The content of one frame.

    Attributes:
      vector: float32 `[batch, content_dim]`.
      skips: feature maps `[batch, height, width, channels]`, highest resolution first; empty for
        networks without U-Net connections.
    """

    vector: jax.Array
    skips: tuple[jax.Array, ...] = ()

    def __repr__(self) -> str:
        # In transformations the leaves may be anything, even None.
        vector, *skips = (getattr(x, "shape", x) for x in (self.vector, *self.skips))
        maps = ", ".join(map(str, skips)) or "none"
        return f"Content with a vector of shape {vector}\n  and feature maps of shapes: {maps}"


class NoContent(nn.Module):
    """Maps frames `[batch, height, width, channels]` to content without numbers: pose tells all.

    It turns DrNET into the autoencoder with an LSTM that the paper compares with.
    """

    def __call__(self, frames: jax.Array, *, train: bool) -> Content:
        del train
        return Content(jnp.zeros((frames.shape[0], 0)))
