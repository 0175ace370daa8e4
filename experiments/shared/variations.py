"""Baselines: what is changed in the settings of a preset, so that the same loop trains them."""

from collections.abc import Callable

import ml_collections

Variation = Callable[[ml_collections.ConfigDict], None]


def without_adversary(config: ml_collections.ConfigDict) -> None:
    """Takes the adversarial term away: nothing keeps content out of the pose."""
    config.drnet.adversarial_weight = 0.0


def consecutive_frames(config: ml_collections.ConfigDict) -> None:
    """Trains on four frames that follow each other, as the authors' PyTorch code does."""
    config.data.consecutive = True


def one_encoder(config: ml_collections.ConfigDict) -> None:
    """Turns DrNET into the paper's autoencoder with an LSTM: one code, as long as both together.

    Its networks have no U-Net connections, which are a second way for content, and are not made for
    objects at places.
    """
    model = config.model
    model.update(content_encoder="none", pose_dim=model.content_dim + model.pose_dim, content_dim=0)
    model.update(decoder="dcgan")
    if model.pose_encoder == "attention":
        model.pose_encoder = "dcgan"
    config.drnet.update(similarity_weight=0.0, adversarial_weight=0.0)


_PRESET: dict[str, Variation | None] = {"": None}
ADVERSARY = _PRESET | {"_no_adversary": without_adversary}
ENCODERS = _PRESET | {"_one_encoder": one_encoder}
ALL = ADVERSARY | {"_consecutive": consecutive_frames} | ENCODERS
"""Runs that scripts compare: what is added to --workdir, and what changes the preset's settings."""
