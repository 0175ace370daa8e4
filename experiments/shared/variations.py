"""Baselines: changes to the settings of a preset, so that the same loop trains all of them."""

from collections.abc import Callable

import ml_collections

Variation = Callable[[ml_collections.ConfigDict], None]


def without_adversary(config: ml_collections.ConfigDict) -> None:
    """Removes the adversarial term, so that nothing keeps content out of the pose."""
    config.drnet.adversarial_weight = 0.0


def consecutive_frames(config: ml_collections.ConfigDict) -> None:
    """Trains on four consecutive frames, as the authors' PyTorch code does."""
    config.data.consecutive = True


def one_encoder(config: ml_collections.ConfigDict) -> None:
    """Turns DrNET into the paper's autoencoder with an LSTM: one code, as long as both together.

    It has no U-Net connections, which are a second path for content, and none of the networks that
    model objects at places.
    """
    model = config.model
    model.update(content_encoder="none", pose_dim=model.content_dim + model.pose_dim, content_dim=0)
    model.update(decoder="dcgan")
    if model.pose_encoder == "attention":
        model.pose_encoder = "dcgan"
    # With one code there is nothing to separate: reconstruction is the only loss.
    config.drnet.update(similarity_weight=0.0, adversarial_weight=0.0)


_PRESET: dict[str, Variation | None] = {"": None}
ADVERSARY = _PRESET | {"_no_adversary": without_adversary}
ENCODERS = _PRESET | {"_one_encoder": one_encoder}
ALL = ADVERSARY | {"_consecutive": consecutive_frames} | ENCODERS
"""The runs that scripts compare: the suffix of --workdir, and the change to the settings."""
