"""The settings that the files in configs/ share.

Values are those of the authors' code, and of the paper as recalled.
"""

from collections.abc import Callable
from typing import Any

import ml_collections


def settings() -> ml_collections.ConfigDict:
    """Returns all settings except those of the data."""
    config = ml_collections.ConfigDict()
    config.seed = 1
    config.dtype = "auto"  # Of computation: float32, bfloat16; auto: bfloat16 on TPU and GPU.
    config.data = ml_collections.ConfigDict()
    config.model = dict(
        content_encoder="dcgan",
        pose_encoder="dcgan",
        decoder="dcgan",
        width=64,
        num_slots=1,  # Of attention networks only.
        content_dim=128,
        pose_dim=5,
        normalize=False,
        discriminator_width=100,
    )
    config.drnet = dict(
        batch_size=100,
        num_steps=120_000,  # 200 epochs of 600 steps.
        learning_rate=0.002,
        schedule="constant",
        warmup_steps=0,
        beta1=0.5,
        similarity_weight=1.0,  # alpha
        adversarial_weight=0.1,  # beta; 0 switches the adversarial term off.
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
    config.rollout = dict(num_clips=10, num_steps=500, frames_at_once=100)
    config.steps_at_once = 0  # Most steps in one program; 0: 1 on CPUs, else 100.
    config.log_every_steps = 100
    config.sample_every_steps = 5_000
    config.checkpoint_every_steps = 1_000
    config.keep_checkpoints = 3
    return config


def clips(**own: Any) -> dict[str, Any]:
    """Returns `config.data` of clips that are prepared on disk; `own` adds to it or overrides."""
    shared = dict(
        source="auto",  # real, stand_in; auto: real if the files are there.
        folder="",  # With the real files; empty: <data_dir>/downloads/manual/<name>.
        max_frame_gap=20,  # The paper's K: the farthest that two frames of a pair are apart.
        consecutive=False,  # True: they are consecutive, as in the authors' PyTorch code.
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


def quick(config: ml_collections.ConfigDict) -> None:
    """Makes `config` a run of minutes on two CPU cores: DCGAN, a quarter of the paper's width."""
    config.dtype = "float32"  # bfloat16 is untested in runs this short.
    config.model.update(width=16, content_dim=64)
    config.drnet.update(batch_size=32, schedule="cosine", warmup_steps=100)
    # With the paper's weight, content collapses in a run this short.
    config.drnet.update(similarity_weight=0.01)
    config.predictor.update(batch_size=16, num_steps=600, hidden_dim=128, learning_rate=0.005)
    config.predictor.update(schedule="cosine", warmup_steps=50)
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
