"""DrNET on small NORB: toys on a turntable; a clip is one turn of 18 azimuths.

  python -m drnet_jax.main --config=configs/norb.py --config.data.folder=FILES  # GPU or TPU
  python -m drnet_jax.main --config=configs/norb.py:quick --workdir=runs/norb   # minutes on a CPU

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
        name="norb",
        real=dict(
            cameras="both",  # Cameras whose pictures are clips: both, left.
        ),
        stand_in=dict(
            instances_per_category=10,  # Toys: half of them train, half test; 2 or more.
            elevations=(30, 35, 40, 45, 50, 55, 60, 65, 70),  # Of the camera, in degrees: 0 to 80.
            num_lightings=6,  # 1 to 6.
            num_azimuths=18,  # Frames of a full turn; 2 or more.
            seed=0,  # Seed of the toys; 0 or more.
        ),
        image_size=64,  # Side of a frame in pixels.
        colored=False,  # The frames are gray.
    )
    # Networks.
    config.model.update(content_encoder="resnet", pose_encoder="resnet", decoder="dcgan")
    config.model.pose_dim = 10  # Length of the pose vector.
    # Generated videos.
    config.rollout.num_steps = 100  # Generated frames of each video.
    return defaults.vary(config, variant, "configs/norb.py", quick=_quick, smoke=_smoke)


def _quick(config: ml_collections.ConfigDict) -> None:
    """Minutes: small networks and fewer clips, of more toys."""
    defaults.quick(config)
    config.data.stand_in.update(instances_per_category=60, elevations=(40,), num_lightings=2)
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan")
    config.drnet.update(num_steps=2_500, learning_rate=0.004)


def _smoke(config: ml_collections.ConfigDict) -> None:
    """Seconds: everything once."""
    defaults.smoke(config)
    config.data.update(image_size=32)
    config.data.stand_in.update(instances_per_category=2, elevations=(30,), num_lightings=1)
    config.data.stand_in.update(num_azimuths=8)
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan")
    config.evaluation.update(num_clips=20, batch_size=20)
