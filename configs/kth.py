"""DrNET on KTH: people who walk, jog, run, box, clap and wave.

  python -m drnet_jax.main --config=configs/kth.py --config.data.folder=FILES  # GPU or TPU
  python -m drnet_jax.main --config=configs/kth.py:quick --workdir=runs/kth    # minutes on a CPU

full: the paper's networks and weights, as recalled, with the rest as in the authors' code; not
trained yet. quick: small networks on few rendered clips. smoke: everything once, for tests.
Without the real files (docs/data.md), every variant uses rendered stand-ins, and says so.
"""

import ml_collections

from drnet_jax.runs import defaults


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = defaults.settings()
    # Data.
    config.data = defaults.clips(
        name="kth",
        real=dict(
            persons="20/5",  # Training and test persons: 20/5, as in the paper, or 16/9.
        ),
        stand_in=dict(
            num_people=25,  # Four fifths train, the others test; 2 or more.
            num_repeats=1,  # Clips of each person, action and scenario; 1 or more.
            clip_length=100,  # Greatest length of a clip in frames; 2 or more.
            seed=0,  # Seed of people and places; 0 or more.
        ),
        image_size=128,  # Side of a frame in pixels.
        colored=False,  # The frames are gray.
    )
    # Networks.
    config.model.update(content_encoder="vgg_unet", pose_encoder="resnet", decoder="vgg_unet")
    config.model.pose_dim = 24  # Length of the pose vector.
    # First stage: encoders, decoder and discriminator.
    config.drnet.adversarial_weight = 1e-4  # beta.
    # Second stage: pose predictor.
    config.predictor.num_observed = 10  # Frames that are seen before the first prediction.
    # Generated videos.
    config.rollout.num_steps = 100  # Generated frames of each video.
    return defaults.vary(config, variant, "configs/kth.py", quick=_quick, smoke=_smoke)


def _quick(config: ml_collections.ConfigDict) -> None:
    """Minutes: small networks and fewer clips."""
    defaults.quick(config)
    config.data.update(image_size=64)
    config.data.stand_in.update(num_people=15, clip_length=50)
    config.model.update(content_encoder="dcgan_unet", pose_encoder="dcgan", decoder="dcgan_unet")
    config.model.pose_dim = 10
    config.drnet.update(num_steps=1_500, learning_rate=0.003, adversarial_weight=0.002)
    config.evaluation.judge_steps = 500  # Few clips: the classifier of actions learns them sooner.


def _smoke(config: ml_collections.ConfigDict) -> None:
    """Seconds: everything once."""
    defaults.smoke(config)
    config.data.update(image_size=32)
    config.data.stand_in.update(num_people=2, clip_length=30)
    config.model.update(content_encoder="dcgan_unet", pose_encoder="dcgan", decoder="dcgan_unet")
    config.evaluation.update(num_clips=20, batch_size=20)
