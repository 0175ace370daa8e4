"""DrNET on KTH: people who walk, jog, run, box, clap and wave.

  python -m drnet_jax.main --config=configs/kth.py --config.data.folder=FILES  # GPU or TPU
  python -m drnet_jax.main --config=configs/kth.py:quick --workdir=runs/kth    # minutes

`full` has the paper's networks and weights, as recalled, and what else the authors' code says; it
has not been trained yet. `quick` is small networks on a small stand-in. Without the real files
(docs/data.md) both use the stand-in, and say so.
"""

import ml_collections

from drnet_jax.runs import defaults


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = defaults.settings()
    config.data = defaults.clips(
        name="kth",
        real=dict(persons="20/5"),
        stand_in=dict(num_people=25, num_repeats=1, clip_length=100, seed=0),
        image_size=128,
        colored=False,
    )
    config.model.update(content_encoder="vgg_unet", pose_encoder="resnet", decoder="vgg_unet")
    config.model.update(pose_dim=24)
    config.drnet.update(adversarial_weight=1e-4)
    config.predictor.update(num_observed=10)
    config.rollout.num_steps = 100
    return defaults.vary(config, variant, "configs/kth.py", quick=_hasten, smoke=_shrink)


def _hasten(config: ml_collections.ConfigDict) -> None:
    """Small networks, and few clips to make."""
    defaults.quick(config)
    config.data.update(image_size=64)
    config.data.stand_in.update(num_people=15, clip_length=50)
    config.model.update(content_encoder="dcgan_unet", pose_encoder="dcgan", decoder="dcgan_unet")
    config.model.pose_dim = 10
    config.evaluation.judge_steps = 500  # Of the judge of actions.
    config.drnet.update(num_steps=1_500, learning_rate=0.003, adversarial_weight=0.002)


def _shrink(config: ml_collections.ConfigDict) -> None:
    defaults.smoke(config)
    config.data.update(image_size=32)
    config.data.stand_in.update(num_people=2, clip_length=30)
    config.model.update(content_encoder="dcgan_unet", pose_encoder="dcgan", decoder="dcgan_unet")
    config.evaluation.update(num_clips=20, batch_size=20)
