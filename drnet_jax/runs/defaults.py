"""The settings that the files in configs/ share.

Values are those of the authors' code, and of the paper as recalled.
"""

from collections.abc import Callable
from typing import Any

import ml_collections


def settings() -> ml_collections.ConfigDict:
    """Returns all settings except those of the data."""
    config = ml_collections.ConfigDict()
    config.seed = 1  # Seed of everything random; 0 to 2**32 - 1.
    config.dtype = "auto"  # Of the networks: float32, bfloat16; auto: bfloat16 on TPU and GPU.
    # Data.
    config.data = ml_collections.ConfigDict()
    # Networks.
    config.model = dict(
        content_encoder="dcgan",  # attention, dcgan, dcgan_unet, none, resnet, slots, vgg_unet.
        pose_encoder="dcgan",  # attention, dcgan, resnet, slots.
        decoder="dcgan",  # attention, dcgan, dcgan_unet, slots, vgg_unet; U-Nets as in the encoder.
        width=64,  # Channels of the first convolution.
        num_slots=1,  # Objects of the networks attention and slots; ignored by the paper's.
        content_dim=128,  # Length of the content vector.
        pose_dim=5,  # Length of the pose vector.
        normalize=False,  # True: poses are scaled to unit length.
        discriminator_width=100,  # Units of each hidden layer of the discriminator.
    )
    config.update(_stages())
    # Evaluation.
    config.evaluation = dict(
        num_clips=500,  # Test clips of the swap scores.
        batch_size=100,  # Clips that are scored at once.
        horizon=10,  # Steps between the frames of a swap; length of a short prediction.
        rollout_clips=100,  # Test clips of the rollout scores.
        rollout_steps=1_000,  # Greatest length of a scored rollout, in frames.
        judge_steps=1_600,  # Training steps of the classifiers that judge generated frames.
        pde_sep_clips=5_000,  # Test clips of PDE-sep's test, for data that it applies to.
        collapse_step=1_000,  # Pictures of the first stage warn of a collapse from this step on.
        probe_clips=3_000,  # Clips that probes learn from; 60 or more.
    )
    # Generated videos.
    config.rollout = dict(
        num_clips=10,  # Videos.
        num_steps=500,  # Generated frames of each video.
        frames_at_once=100,  # Frames that one program decodes.
    )
    # A loss or a weight that is not finite.
    config.on_nan = "stop"  # stop, rollback: to the newest checkpoint, then on with other batches.
    config.max_rollbacks = 3  # In the whole run; the next one stops it.
    config.rollback_learning_rate = 1.0  # Each multiplies the stage's learning rate by this factor.
    # Logs and checkpoints.
    config.steps_at_once = 0  # Most steps in one program; 0: 1 on CPUs, else 100.
    config.log_every_steps = 100
    config.sample_every_steps = 5_000  # 0: at the end only.
    config.checkpoint_every_steps = 1_000  # 0: at the end only.
    config.keep_checkpoints = 3  # Newest checkpoints that are kept.
    return config


def _stages() -> dict[str, Any]:
    """Returns the settings of both stages of training."""
    # Encoders, decoder and discriminator.
    drnet = dict(
        batch_size=100,  # Clips in a batch; 2 or more.
        num_steps=120_000,  # 200 epochs of 600 steps.
        learning_rate=0.002,  # Of Adam.
        schedule="constant",  # Of the learning rate: constant, cosine.
        warmup_steps=0,  # Steps in which the learning rate rises from 0.
        beta1=0.5,  # Of Adam; 0 or more, below 1.
        similarity_weight=1.0,  # alpha; 0 switches the similarity term off.
        adversarial_weight=0.1,  # beta; 0 switches the adversarial term off.
        batch_stats="global",  # Of BatchNorm: global, over the batch; per_device, over its share.
    )
    # Pose predictor.
    predictor = dict(
        num_observed=5,  # Frames that are seen before the first prediction.
        num_predicted=10,  # Frames that training predicts.
        hidden_dim=256,  # Units of an LSTM layer.
        num_layers=2,  # LSTM layers.
        use_content=True,  # False: the LSTM sees poses alone.
        residual=False,  # True: it predicts by how much a pose changes.
        loss="squared",  # Errors of poses: squared, absolute; the latter ignores poses that jump.
        batch_size=100,  # Clips in a batch.
        num_steps=60_000,
        learning_rate=0.002,  # Of Adam.
        schedule="constant",  # Of the learning rate: constant, cosine.
        warmup_steps=0,  # Steps in which the learning rate rises from 0.
        beta1=0.9,  # Of Adam; 0 or more, below 1.
        beta2=0.999,  # Of Adam; 0 or more, below 1.
        max_grad_norm=0.0,  # Longer gradients are scaled down to it; 0: none is.
        # Over this fraction of the steps, true poses among the LSTM's inputs give way to its own
        # predictions, except for those of the observed frames; 0: they never do.
        scheduled_sampling=0.0,
        # Endless clips are encoded in sets.
        batches_per_set=100,  # Batches in a set.
        passes_per_set=1,  # Times that training uses a set before it draws the next.
    )
    return dict(drnet=drnet, predictor=predictor)


def clips(**own: Any) -> dict[str, Any]:
    """Returns `config.data` of clips that are prepared on disk; `own` adds to it or overrides."""
    shared = dict(
        source="auto",  # real, stand_in; auto: real if the files are there.
        folder="",  # With the real files; empty: <data_dir>/downloads/manual/<name>.
        max_frame_gap=20,  # The paper's K: frames compared in training are at most this far apart.
        consecutive=False,  # True: they follow each other, as in the authors' PyTorch code.
        data_dir="~/tensorflow_datasets",  # Where prepared clips are kept.
        in_memory_gb=4.0,  # Splits up to this size are loaded into memory.
        max_skipped=0.05,  # Largest fraction of raw files that may be unreadable.
        fingerprint="",  # Identifies the prepared clips; filled in by the run.
    )
    return shared | own


def vary(
    config: ml_collections.ConfigDict,
    variant: str,
    file: str,
    **variants: Callable[[ml_collections.ConfigDict], None],
) -> ml_collections.ConfigDict:
    """Returns `config` changed to `variant`; `full` leaves it unchanged.

    Args:
      config: the settings of `full`.
      variant: `full` or a name in `variants`.
      file: the settings file, for error messages.
      **variants: functions that change `config` in place, by name.

    Raises:
      ValueError: for an unknown variant.
    """
    if variant != "full":
        if variant not in variants:
            known = ", ".join(["full", *variants])
            raise ValueError(f"Unknown variant {variant!r} of {file}; known: {known}.")
        variants[variant](config)
    return config


def train_for_long_rollouts(config: ml_collections.ConfigDict) -> None:
    """Makes the predictor keep track for hundreds of steps, rather than train as the paper's.

    It sees poses alone, predicts how they change, and learns more and more from its own
    predictions. docs/recipe.md has the evidence.
    """
    predictor = config.predictor
    predictor.update(num_predicted=55, use_content=False, residual=True, scheduled_sampling=0.7)
    predictor.update(schedule="cosine", warmup_steps=100, beta2=0.98, max_grad_norm=1.0)


def quick(config: ml_collections.ConfigDict) -> None:
    """Makes `config` a run of minutes on two CPU cores: DCGAN, a quarter of the paper's width."""
    config.dtype = "float32"  # bfloat16 is untested in runs this short.
    config.model.update(width=16, content_dim=64)
    config.drnet.update(batch_size=32, schedule="cosine", warmup_steps=100)
    # With the paper's weight, content collapses in a run this short.
    config.drnet.update(similarity_weight=0.01)
    config.predictor.update(batch_size=16, num_steps=1_800, hidden_dim=64, learning_rate=0.005)
    train_for_long_rollouts(config)
    config.update(sample_every_steps=1_000, checkpoint_every_steps=500)


def smoke(config: ml_collections.ConfigDict) -> None:
    """Makes `config` a run of seconds that exercises everything, for tests."""
    config.model.update(width=4, content_dim=8)
    config.drnet.update(batch_size=8, num_steps=20)
    config.predictor.update(batch_size=8, num_steps=20, hidden_dim=16)
    config.evaluation.update(rollout_clips=4, rollout_steps=12, judge_steps=2, probe_clips=90)
    config.rollout.update(num_clips=4)
    config.update(log_every_steps=5, sample_every_steps=10, checkpoint_every_steps=5)


hasten, shrink = quick, smoke
"""What these were called in version 0.1, for its settings files."""
