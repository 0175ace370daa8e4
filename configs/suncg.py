"""DrNET on SUNCG chairs: a clip is one turn around a chair in 36 azimuths.

  python -m drnet_jax.main --config=configs/suncg.py --config.data.folder=FILES  # GPU or TPU
  python -m drnet_jax.main --config=configs/suncg.py:quick --workdir=runs/suncg  # minutes on a CPU

full: the paper's networks and weights, as recalled, with the rest as in the authors' code; not
trained yet. quick: small networks on few rendered clips. smoke: everything once, for tests.
The data set was withdrawn. Without its files (docs/data.md), every variant uses rendered
stand-ins, and says so.
"""

import ml_collections

from drnet_jax.runs import defaults


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = defaults.settings()
    # Data.
    config.data = defaults.clips(
        name="suncg",
        stand_in=dict(
            num_identities=300,  # Chairs: 85 % of them train, the others test; 2 or more.
            elevations=(10, 18, 26, 34, 42),  # Of the camera, in degrees: 0 to 80.
            num_azimuths=36,  # Frames of a full turn; 2 or more.
            seed=0,  # Seed of the chairs; 0 or more.
        ),
        image_size=64,  # Side of a frame in pixels.
        colored=True,  # The frames are colored.
    )
    # Networks.
    config.model.update(content_encoder="resnet", pose_encoder="resnet", decoder="dcgan")
    config.model.pose_dim = 10  # Length of the pose vector.
    # Generated videos.
    config.rollout.num_steps = 100  # Generated frames of each video.
    return defaults.vary(config, variant, "configs/suncg.py", quick=_quick, smoke=_smoke)


def _quick(config: ml_collections.ConfigDict) -> None:
    """Minutes: small networks and fewer clips."""
    defaults.quick(config)
    config.data.stand_in.update(elevations=(26,))
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan")
    config.model.pose_dim = 4
    config.drnet.update(num_steps=3_000, learning_rate=0.003, adversarial_weight=0.01)


def _smoke(config: ml_collections.ConfigDict) -> None:
    """Seconds: everything once."""
    defaults.smoke(config)
    config.data.update(image_size=32)
    config.data.stand_in.update(num_identities=4, elevations=(26,), num_azimuths=8)
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan")
    config.evaluation.update(num_clips=20, batch_size=20)
