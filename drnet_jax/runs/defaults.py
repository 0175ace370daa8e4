"""What the settings files in configs/ begin with: all that is the same for several data sets.

Values are those of the authors' code, and of the paper as recalled.
"""

from collections.abc import Callable
from typing import Any

import ml_collections


def settings() -> ml_collections.ConfigDict:
    """Returns the settings of everything but the data."""
    config = ml_collections.ConfigDict()
    config.seed = 1
    config.dtype = "auto"  # Of the computation; auto: bfloat16 on TPU or GPU, else float32.
    config.data = ml_collections.ConfigDict()
    config.model = dict(
        content_encoder="dcgan",
        pose_encoder="dcgan",
        decoder="dcgan",
        width=64,
        num_slots=1,  # Of attention networks; the paper's have none.
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
    config.steps_at_once = 0  # Most steps in one program; 0: 1 on a CPU, else 100.
    config.log_every_steps = 100
    config.sample_every_steps = 5_000
    config.checkpoint_every_steps = 1_000
    config.keep_checkpoints = 3
    return config


def clips(**own: Any) -> dict[str, Any]:
    """Returns `config.data` of clips that are prepared on disk, with `own` settings first."""
    shared = dict(
        source="auto",  # real, stand_in; auto: real if its files are there.
        folder="",  # The real files; empty: <data_dir>/downloads/manual/<name>.
        max_frame_gap=20,  # K: two frames that are compared are at most this far apart.
        consecutive=False,  # True: they follow each other, as in the authors' PyTorch code.
        data_dir="~/tensorflow_datasets",  # Where prepared clips are kept.
        in_memory_gb=4.0,  # Splits up to this size are kept in memory.
        max_skipped=0.05,  # The largest share of raw files that may be unreadable.
        fingerprint="",  # Which prepared clips these are; filled in by the run.
    )
    return shared | own


def vary(
    config: ml_collections.ConfigDict,
    variant: str,
    file: str,
    **variants: Callable[[ml_collections.ConfigDict], None],
) -> ml_collections.ConfigDict:
    """Returns `config`, changed to `variant`; `full` leaves it as it is.

    Args:
      config: of the variant `full`.
      variant: `full` or a name in `variants`.
      file: the settings file, for errors.
      **variants: what changes `config`, by name.

    Raises:
      ValueError: for another variant.
    """
    if variant != "full":
        if variant not in variants:
            known = ", ".join(["full", *variants])
            raise ValueError(f"Unknown variant {variant!r} of {file}; known: {known}.")
        variants[variant](config)
    return config


def quick(config: ml_collections.ConfigDict) -> None:
    """Turns `config` into a run of minutes on two CPU cores: DCGAN of a quarter of the width."""
    config.dtype = "float32"  # bfloat16 has not been compared with it for runs as short as this.
    config.model.update(width=16, content_dim=64)
    config.drnet.update(batch_size=32, schedule="cosine", warmup_steps=100)
    # The paper's weight would let content collapse in a run as short as this.
    config.drnet.update(similarity_weight=0.01)
    config.predictor.update(batch_size=16, num_steps=600, hidden_dim=128, learning_rate=0.005)
    config.predictor.update(schedule="cosine", warmup_steps=50)
    config.update(sample_every_steps=1_000, checkpoint_every_steps=500)


def smoke(config: ml_collections.ConfigDict) -> None:
    """Turns `config` into a run of seconds, for tests of everything once."""
    config.model.update(width=4, content_dim=8)
    config.drnet.update(batch_size=8, num_steps=20)
    config.predictor.update(batch_size=8, num_steps=20, hidden_dim=16)
    config.evaluation.update(rollout_clips=4, rollout_steps=12, judge_steps=2, probe_clips=90)
    config.rollout.update(num_clips=4)
    config.update(log_every_steps=5, sample_every_steps=10, checkpoint_every_steps=5)
