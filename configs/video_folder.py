"""DrNET on your own videos: files or folders of numbered pictures below one folder.

  python -m drnet_jax.main --config=configs/video_folder.py --config.data.folder=VIDEOS

`full` has U-Net content, which suits cameras that stand still, and a ResNet pose, 64 x 64 pixels;
`quick` is the same idea in small networks. docs/data.md says what a folder may look like.
"""

import ml_collections

from drnet_jax.runs import defaults


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """Returns the settings of a variant: full, quick or smoke."""
    config = defaults.settings()
    config.data = defaults.clips(
        name="video_folder",
        source="real",
        real=dict(
            crop="center",  # The square in the middle; none: the whole picture, squeezed.
            frame_rate=0.0,  # Frames per second that are taken; 0: all.
            min_frames=2,  # Shorter clips are left out.
            max_frames=300,  # Longer videos are cut into clips of this length.
            test_fraction=0.15,  # Of the files, where no folders train/ and test/ say so.
        ),
        image_size=64,
        colored=True,
    )
    config.model.update(content_encoder="dcgan_unet", pose_encoder="resnet", decoder="dcgan_unet")
    config.model.update(pose_dim=24)
    config.drnet.update(adversarial_weight=1e-4)
    config.rollout.num_steps = 100
    return defaults.vary(config, variant, "configs/video_folder.py", quick=_hasten, smoke=_shrink)


def _hasten(config: ml_collections.ConfigDict) -> None:
    """Small networks."""
    defaults.quick(config)
    config.model.update(pose_encoder="dcgan")
    config.model.pose_dim = 10
    config.drnet.update(num_steps=1_500, learning_rate=0.003, adversarial_weight=0.002)


def _shrink(config: ml_collections.ConfigDict) -> None:
    defaults.smoke(config)
    config.data.update(image_size=32)
    config.model.update(pose_encoder="dcgan")
    config.evaluation.update(num_clips=20, batch_size=20)
