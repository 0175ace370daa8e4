"""DrNET on small NORB: toys on a turntable, a clip is one turn of 18 azimuths.

  python -m drnet_jax.main --config=configs/norb.py --config.data.folder=FILES  # GPU or TPU
  python -m drnet_jax.main --config=configs/norb.py:quick --workdir=runs/norb   # minutes

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
        name="norb",
        real=dict(cameras="both"),
        stand_in=dict(
            instances_per_category=10,
            elevations=(30, 35, 40, 45, 50, 55, 60, 65, 70),
            num_lightings=6,
            num_azimuths=18,
            seed=0,
        ),
        image_size=64,
        colored=False,
    )
    config.model.update(content_encoder="resnet", pose_encoder="resnet", pose_dim=10)
    config.rollout.num_steps = 100
    return defaults.vary(config, variant, "configs/norb.py", quick=_hasten, smoke=_shrink)


def _hasten(config: ml_collections.ConfigDict) -> None:
    """Small networks, and few clips to make, of many toys."""
    defaults.quick(config)
    config.data.stand_in.update(instances_per_category=60, elevations=(40,), num_lightings=2)
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan")
    config.drnet.update(num_steps=2_500, learning_rate=0.004)


def _shrink(config: ml_collections.ConfigDict) -> None:
    defaults.smoke(config)
    config.data.update(image_size=32)
    config.data.stand_in.update(instances_per_category=2, elevations=(30,), num_lightings=1)
    config.data.stand_in.update(num_azimuths=8)
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan")
    config.evaluation.update(num_clips=20, batch_size=20)
