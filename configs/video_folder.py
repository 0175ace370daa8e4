"""DrNET on your own videos: files, or folders of numbered pictures, below one folder.

  python -m drnet_jax.main --config=configs/video_folder.py --config.data.folder=VIDEOS

full: U-Net content, which suits cameras that stand still, and ResNet pose, for a GPU or TPU.
quick: the same idea in small networks, minutes on a CPU. smoke: everything once, for tests.
docs/data.md says what a folder may look like.
"""

import ml_collections

from drnet_jax.runs import defaults


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = defaults.settings()
    # Data.
    config.data = defaults.clips(
        name="video_folder",
        source="real",
        real=dict(
            crop="center",  # center: the square in the middle; none: all of a frame, squeezed.
            frame_rate=0.0,  # Frames per second that are used; 0: all.
            min_frames=2,  # Shorter videos are left out.
            max_frames=300,  # Longer videos are cut into clips of this length.
            test_fraction=0.15,  # Share of test files, where no folders train/ and test/ decide.
        ),
        image_size=64,  # Side of a frame in pixels.
        colored=True,  # False: the frames are made gray.
        background="white",  # Behind transparent parts: a name, or as in #80c0ff.
        bits=16,  # Of the values in pictures with 16 bits; cameras often use 10, 12 or 14.
    )
    # Networks.
    config.model.update(content_encoder="dcgan_unet", pose_encoder="resnet", decoder="dcgan_unet")
    config.model.pose_dim = 24  # Length of the pose vector.
    # First stage: encoders, decoder and discriminator.
    config.drnet.adversarial_weight = 1e-4  # beta.
    # Second stage: pose predictor, not trained as the paper's.
    defaults.train_for_long_rollouts(config)
    # Generated videos.
    config.rollout.num_steps = 100  # Generated frames of each video.
    return defaults.vary(config, variant, "configs/video_folder.py", quick=_quick, smoke=_smoke)


def _quick(config: ml_collections.ConfigDict) -> None:
    """Minutes: small networks."""
    defaults.quick(config)
    config.model.update(pose_encoder="dcgan", pose_dim=10)
    config.drnet.update(num_steps=1_500, learning_rate=0.003, adversarial_weight=0.002)


def _smoke(config: ml_collections.ConfigDict) -> None:
    """Seconds: everything once."""
    defaults.smoke(config)
    config.data.update(image_size=32)
    config.model.update(pose_encoder="dcgan")
    config.evaluation.update(num_clips=20, batch_size=20)
