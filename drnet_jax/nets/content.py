"""What a content encoder returns and a decoder takes."""

import flax.struct
import jax


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
