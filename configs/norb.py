"""DrNET on small NORB: toys on a turntable, a clip is one turn of 18 azimuths.

  python -m drnet_jax.main --config=configs/norb.py --config.data.folder=FILES  # GPU or TPU
  python -m drnet_jax.main --config=configs/norb.py:quick --workdir=runs/norb   # minutes

`full` has the paper's networks and weights, as recalled, and what else the authors' code says; it
has not been trained yet. `quick` is small networks on a small stand-in. Without the real files
(docs/data.md) both use the stand-in `procedural_norb`, and say so.
"""

import ml_collections


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = ml_collections.ConfigDict()
    config.seed = 1
    config.dtype = "float32"  # Of the computation; bfloat16 on TPU or GPU.
    config.data = dict(
        name="norb",
        source="auto",  # real, procedural (the stand-in); auto: real if its files are there.
        folder="",  # The real files; empty: <data_dir>/downloads/manual/norb.
        real=dict(cameras="both"),
        procedural=dict(
            instances_per_category=10,
            elevations=(30, 35, 40, 45, 50, 55, 60, 65, 70),
            num_lightings=6,
            num_azimuths=18,
            seed=0,
        ),
        image_size=64,
        coloured=False,
        max_step=20,  # K: two frames that are compared are at most this far apart.
        data_dir="~/tensorflow_datasets",  # Where prepared clips are kept.
        in_memory_gb=4.0,  # Splits up to this size are kept in memory.
        max_skipped=0.05,  # The largest share of raw files that may be unreadable.
        fingerprint="",  # Which prepared clips these are; filled in by the run.
    )
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
    config.evaluation = dict(
        num_clips=500,
        batch_size=100,
        horizon=10,
        rollout_clips=100,
        rollout_steps=1_000,
        judge_steps=1_600,
        probe_clips=3_000,
    )
    config.rollout = dict(num_clips=10, num_steps=100, chunk_size=50)
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
            f"Unknown variant {variant!r} of configs/norb.py; known: full, quick, smoke."
        )
    return config


def _hasten(config: ml_collections.ConfigDict) -> None:
    """Small networks, and few clips to make."""
    config.data.procedural.update(instances_per_category=20, elevations=(30, 50), num_lightings=2)
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan", decoder="dcgan")
    config.model.update(width=16, content_dim=64, pose_dim=4)
    config.drnet.update(batch_size=32, num_steps=3_000, schedule="cosine", warmup_steps=100)
    # The paper's weights would let content collapse in a run as short as this.
    config.drnet.update(similarity_weight=0.01, adversarial_weight=0.01)
    config.predictor.update(batch_size=16, num_steps=600, hidden_dim=128, learning_rate=0.005)
    config.predictor.update(schedule="cosine", warmup_steps=50)
    config.update(sample_every_steps=1_000, checkpoint_every_steps=500)


def _shrink(config: ml_collections.ConfigDict) -> None:
    config.data.update(image_size=32)
    config.data.procedural.update(instances_per_category=2, elevations=(30,), num_lightings=1)
    config.data.procedural.update(num_azimuths=8)
    config.model.update(content_encoder="dcgan", pose_encoder="dcgan", decoder="dcgan")
    config.model.update(width=4, content_dim=8)
    config.drnet.update(batch_size=8, num_steps=20)
    config.predictor.update(batch_size=8, num_steps=20, hidden_dim=16)
    config.evaluation.update(num_clips=20, batch_size=20)
    config.evaluation.update(rollout_clips=4, rollout_steps=12, judge_steps=2, probe_clips=90)
    config.rollout.update(num_clips=4)
    config.update(log_every_steps=5, sample_every_steps=10, checkpoint_every_steps=5)
