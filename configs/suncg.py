"""DrNET on SUNCG chairs: a clip is one turn around a chair in 36 azimuths.

  python -m drnet_jax.main --config=configs/suncg.py --config.data.folder=FILES  # GPU or TPU
  python -m drnet_jax.main --config=configs/suncg.py:quick --workdir=runs/suncg  # minutes

The data set was withdrawn: who has its files can use them (docs/data.md), all others get the
stand-in, and are told. `full` has the paper's networks and weights, as
recalled, and what else the authors' code says; it has not been trained yet. `quick` is small
networks on a small stand-in.
"""

import ml_collections

from drnet_jax.runs import defaults


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = defaults.settings()
    config.data = defaults.clips(
        name="suncg",
        stand_in=dict(
            num_identities=300,
            elevations=(10, 18, 26, 34, 42),
            num_azimuths=36,
            seed=0,
        ),
        image_size=64,
        colored=True,
    )
    config.model.update(content_encoder="resnet", pose_encoder="resnet", pose_dim=10)
    config.rollout.num_steps = 100
    return defaults.vary(config, variant, "configs/suncg.py", quick=_hasten, smoke=_shrink)


def _hasten(config: ml_collections.ConfigDict) -> None:
    """Small networks, and few clips to make."""
    defaults.quick(config)
    config.data.stand_in.update(elevations=(26,))
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan")
    config.model.pose_dim = 4
    config.drnet.update(num_steps=3_000, learning_rate=0.003, adversarial_weight=0.01)


def _shrink(config: ml_collections.ConfigDict) -> None:
    defaults.smoke(config)
    config.data.update(image_size=32)
    config.data.stand_in.update(num_identities=4, elevations=(26,), num_azimuths=8)
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan")
    config.evaluation.update(num_clips=20, batch_size=20)
