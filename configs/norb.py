"""DrNET on small NORB: toys on a turntable, a clip is a sweep over azimuths.

Networks, sizes and weights as recalled from the paper, the rest as in the authors' code. They are
here for the networks and for imported checkpoints: this version has no pipeline for the data set,
and training refuses to start.
"""

import ml_collections


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings; the only variant is full."""
    if variant != "full":
        raise ValueError(f"Unknown variant {variant!r} of configs/norb.py; known: full.")
    config = ml_collections.ConfigDict()
    config.seed = 1
    config.dtype = "float32"  # Of the computation; bfloat16 on TPU or GPU.
    config.data = dict(name="norb", image_size=64, coloured=False, max_step=20)
    config.model = dict(
        content_encoder="resnet",
        pose_encoder="resnet",
        decoder="dcgan",
        width=64,
        num_slots=1,  # Of attention networks; the paper's have none.
        content_dim=128,
        pose_dim=10,
        normalize=False,
        discriminator_width=100,
    )
    config.drnet = dict(
        batch_size=100,
        num_steps=120_000,
        learning_rate=0.002,
        schedule="constant",
        warmup_steps=0,
        beta1=0.5,
        similarity_weight=1.0,  # alpha
        adversarial_weight=0.1,  # beta
    )
    config.predictor = dict(
        num_observed=5,
        num_predicted=10,
        hidden_dim=256,
        num_layers=2,
        batch_size=100,
        num_steps=60_000,
        learning_rate=0.002,
        schedule="constant",
        warmup_steps=0,
        beta1=0.9,
    )
    return config
