"""DrNET on your own videos: files or folders of numbered pictures below one folder.

  python -m drnet_jax.main --config=configs/video_folder.py --config.data.folder=VIDEOS

`full` has U-Net content, which suits cameras that stand still, and a ResNet pose, 64 x 64 pixels;
`quick` is the same idea in small networks. docs/data.md says what a folder may look like.
"""

import ml_collections


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = ml_collections.ConfigDict()
    config.seed = 1
    config.dtype = "float32"  # Of the computation; bfloat16 on TPU or GPU.
    config.data = dict(
        name="video_folder",
        source="real",
        folder="",  # Your videos.
        real=dict(
            crop="centre",  # The square in the middle; none: the whole picture, squeezed.
            frame_rate=0.0,  # Frames per second that are taken; 0: all.
            min_frames=2,  # Shorter clips are left out.
            max_frames=300,  # Longer videos are cut into clips of this length.
            test_fraction=0.15,  # Of the files, where no folders train/ and test/ say so.
        ),
        image_size=64,
        coloured=True,
        max_step=20,  # K: two frames that are compared are at most this far apart.
        data_dir="~/tensorflow_datasets",  # Where prepared clips are kept.
        in_memory_gb=4.0,  # Splits up to this size are kept in memory.
        max_skipped=0.05,  # The largest share of raw files that may be unreadable.
        fingerprint="",  # Which prepared clips these are; filled in by the run.
    )
    config.model = dict(
        content_encoder="dcgan_unet",
        pose_encoder="resnet",
        decoder="dcgan_unet",
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
        adversarial_weight=1e-4,  # beta
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
            f"Unknown variant {variant!r} of configs/video_folder.py; known: full, quick, smoke."
        )
    return config


def _hasten(config: ml_collections.ConfigDict) -> None:
    """Small networks, and few clips to make."""
    config.model.update(content_encoder="dcgan_unet", pose_encoder="dcgan", decoder="dcgan_unet")
    config.model.update(width=16, content_dim=64, pose_dim=10)
    config.drnet.update(batch_size=32, num_steps=2_000, schedule="cosine", warmup_steps=100)
    # The paper's weights would let content collapse in a run as short as this.
    config.drnet.update(similarity_weight=0.01, adversarial_weight=0.01)
    config.predictor.update(batch_size=16, num_steps=600, hidden_dim=128, learning_rate=0.005)
    config.predictor.update(schedule="cosine", warmup_steps=50)
    config.update(sample_every_steps=1_000, checkpoint_every_steps=500)


def _shrink(config: ml_collections.ConfigDict) -> None:
    config.data.update(image_size=32)
    config.model.update(content_encoder="dcgan_unet", pose_encoder="dcgan", decoder="dcgan_unet")
    config.model.update(width=4, content_dim=8)
    config.drnet.update(batch_size=8, num_steps=20)
    config.predictor.update(batch_size=8, num_steps=20, hidden_dim=16)
    config.evaluation.update(num_clips=20, batch_size=20)
    config.evaluation.update(rollout_clips=4, rollout_steps=12, judge_steps=2, probe_clips=90)
    config.rollout.update(num_clips=4)
    config.update(log_every_steps=5, sample_every_steps=10, checkpoint_every_steps=5)
