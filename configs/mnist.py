"""DrNET on Moving MNIST: two coloured digits that bounce in a 64 x 64 frame.

  python -m drnet_jax.main --config=configs/mnist.py            full: as in the paper
  python -m drnet_jax.main --config=configs/mnist.py:quick      minutes on two CPU cores
  python -m drnet_jax.main --config=configs/mnist.py:smoke      everything once, for tests

full: networks, batch, optimizer, lengths and K are those of the authors' code; dimensions, alpha
and beta are the paper's as recalled. 120,000 steps; neither its hours nor its score are known yet.
quick: 24.7 dB swap PSNR, 5 dB above the best trivial answer (docs/recipe.md).
"""

import ml_collections


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = ml_collections.ConfigDict()
    config.seed = 1
    config.dtype = "float32"  # Of the computation; bfloat16 on TPU or GPU.
    config.data = dict(
        name="moving_mnist",
        digits="auto",  # full: 70,000 digits; embedded: the 5,000 that ship; auto: full if it can.
        digits_dir="",  # A folder with the four MNIST files; empty: downloaded.
        data_dir="~/tensorflow_datasets",  # Where prepared digits are kept.
        image_size=64,
        digit_size=32,
        num_digits=2,
        coloured=True,
        speeds=(-4, 3),  # Least and greatest, in pixels per step.
        zero_speeds=True,
        max_step=20,  # K: two frames that are compared are at most this far apart.
    )
    config.model = dict(
        content_encoder="dcgan",
        pose_encoder="dcgan",
        decoder="dcgan",
        width=64,
        num_slots=2,  # Of attention networks; the paper's have none.
        content_dim=128,
        pose_dim=5,
        normalize=False,
        discriminator_width=100,
    )
    config.drnet = dict(
        batch_size=100,
        num_steps=120_000,  # 200 epochs of 600 steps.
        learning_rate=0.002,
        schedule="constant",
        warmup_steps=0,
        beta1=0.5,
        similarity_weight=1.0,  # alpha
        adversarial_weight=0.1,  # beta; 0 switches the adversarial term off.
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
    config.evaluation = dict(
        num_clips=500,
        batch_size=100,
        horizon=10,
        rollout_clips=100,
        rollout_steps=1_000,
        judge_steps=1_600,
        probe_clips=3_000,
    )
    config.rollout = dict(num_clips=10, num_steps=500, chunk_size=50)
    config.log_every_steps = 100
    config.sample_every_steps = 5_000
    config.checkpoint_every_steps = 1_000
    config.keep_checkpoints = 3
    if variant == "smoke":
        _shrink(config)
    elif variant == "quick":
        _hasten(config)
    elif variant != "full":
        raise ValueError(
            f"Unknown variant {variant!r} of configs/mnist.py; known: full, quick, smoke."
        )
    return config


def _hasten(config: ml_collections.ConfigDict) -> None:
    """Small frames, and networks that need minutes where the paper's need days."""
    config.data.update(digits="embedded", image_size=32, digit_size=16)
    # Frames far apart, and no digit that stands still: else two frames of a clip look alike in
    # position, and the adversarial term works against what the pose has to carry.
    config.data.update(speeds=(-2, 2), zero_speeds=False, max_step=500)
    config.model.update(content_encoder="attention", pose_encoder="attention", decoder="attention")
    config.model.update(width=32)
    config.drnet.update(batch_size=32, num_steps=5_000, learning_rate=0.005, beta1=0.9)
    config.drnet.update(schedule="cosine", warmup_steps=100)
    # A frame is mostly black and its reconstruction error small: the paper's weights would let
    # the other terms win, and content collapse.
    config.drnet.update(similarity_weight=1e-4, adversarial_weight=0.05)
    config.predictor.update(batch_size=32, num_steps=1_500, hidden_dim=128, learning_rate=0.01)
    config.predictor.update(num_predicted=15, schedule="cosine", warmup_steps=100)
    config.update(sample_every_steps=1_000, checkpoint_every_steps=500)


def _shrink(config: ml_collections.ConfigDict) -> None:
    config.data.update(digits="embedded", image_size=32, digit_size=16)
    config.model.update(width=4, content_dim=8)
    config.drnet.update(batch_size=8, num_steps=20)
    config.predictor.update(batch_size=8, num_steps=20, hidden_dim=16)
    config.evaluation.update(batch_size=250)
    config.evaluation.update(rollout_clips=4, rollout_steps=12, judge_steps=2, probe_clips=90)
    config.rollout.update(num_clips=4)
    config.update(log_every_steps=5, sample_every_steps=10, checkpoint_every_steps=5)
