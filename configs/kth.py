"""DrNET on KTH: six actions of 25 persons, grey video.

Networks, sizes and weights as recalled from the paper, the rest as in the authors' code. They are
here for the networks and for imported checkpoints: this version has no pipeline for the data set,
and training refuses to start.
"""

import ml_collections


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings; the only variant is full."""
    if variant != "full":
        raise ValueError(f"Unknown variant {variant!r} of configs/kth.py; known: full.")
    config = ml_collections.ConfigDict()
    config.seed = 1
    config.dtype = "float32"  # Of the computation; bfloat16 on TPU or GPU.
    config.data = dict(name="kth", image_size=128, coloured=False, max_step=20)
    config.model = dict(
        content_encoder="vgg_unet",
        pose_encoder="resnet",
        decoder="vgg_unet",
        width=64,
        num_slots=1,  # Of attention networks; the paper's have none.
        content_dim=128,
        pose_dim=24,
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
        adversarial_weight=0.0001,  # beta
    )
    config.predictor = dict(
        num_observed=10,
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
