"""What each setting may be, as tables: all that can be known from the settings alone."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from drnet_jax.data import own_class, registry
from drnet_jax.data.recorded import ENDLESS
from drnet_jax.models.registry import CONTENT_ENCODERS, DECODERS, POSE_ENCODERS

MIN_IMAGE_SIZE = 11
"""The window of the SSIM score, which every run reports."""

MAX_STEPS = 2 * 10**9
"""Steps are counted in int32, and batches after the last step have numbers as well: those that
recompute statistics of BatchNorm, and the rest of a set of the predictor's."""

MAX_BATCH = 100_000
"""Far above any batch that a machine of today could train on."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a setting may be.

    Attributes:
      holds: whether a value is allowed; takes a value of any type.
      allowed: the allowed values in words.
    """

    holds: Callable[[Any], bool]
    allowed: str


def whole(least: int, most: int = MAX_STEPS, why: str = "") -> Rule:
    """Returns the rule of whole numbers from `least` to `most`."""
    return Rule(
        lambda value: type(value) is int and least <= value <= most,
        f"whole numbers from {least:,} to {most:,}{why}",
    )


def one_of(*choices: Any) -> Rule:
    """Returns the rule of a setting that has few values."""
    # 1 equals True, and is none of the choices.
    return Rule(
        lambda value: any(type(value) is type(c) and value == c for c in choices),
        ", ".join(map(str, choices)),
    )


def is_finite(value: Any) -> bool:
    """Returns whether `value` is a number, and neither infinite nor NaN."""
    # Not math.isfinite, which refuses whole numbers that no float can hold.
    return isinstance(value, int | float) and type(value) is not bool and abs(value) < math.inf


ABOVE_ZERO = Rule(lambda value: is_finite(value) and value > 0, "finite numbers above 0")
NOT_NEGATIVE = Rule(lambda value: is_finite(value) and value >= 0, "finite numbers, 0 and above")
BELOW_ONE = Rule(lambda value: is_finite(value) and 0 <= value < 1, "0 up to, not including, 1")
FACTOR = Rule(lambda value: is_finite(value) and 0 < value <= 1, "above 0, up to 1")
SHARE = Rule(lambda value: is_finite(value) and 0 <= value <= 1, "0 to 1")
SWITCH = one_of(True, False)
TEXT = Rule(lambda value: isinstance(value, str), "text")
SCHEDULE = one_of("constant", "cosine")
STEPS, STEPS_OR_NONE = whole(1), whole(0)
FRAMES = whole(1, ENDLESS)
CLIPS = whole(1, 10**6)
SIZE, SIZE_OR_NONE = whole(1, 2**16), whole(0, 2**16)

MAY_BE_ABSENT = ("model.discriminator_width", "predictor.hidden_dim")
"""Sizes of networks that an imported model may lack; they are 0 then."""

SHARED: Mapping[str, Rule] = {
    "data.name": Rule(
        lambda value: (
            isinstance(value, str) and (value in registry.NAMES or own_class.is_own(value))
        ),
        f"{', '.join(registry.NAMES)}, or {own_class.FORM}",
    ),
    "seed": whole(0, 2**32 - 1),
    "dtype": one_of("auto", "float32", "bfloat16"),
    "data.image_size": whole(MIN_IMAGE_SIZE, 1024, ", from the window of the SSIM score"),
    "data.colored": SWITCH,
    "data.data_dir": TEXT,
    "data.max_frame_gap": FRAMES,
    "data.consecutive": SWITCH,
    "model.content_encoder": one_of(*sorted(CONTENT_ENCODERS)),
    "model.pose_encoder": one_of(*sorted(POSE_ENCODERS)),
    "model.decoder": one_of(*sorted(DECODERS)),
    "model.width": SIZE,
    "model.num_slots": SIZE,
    "model.content_dim": SIZE_OR_NONE,
    "model.pose_dim": SIZE,
    "model.normalize": SWITCH,
    "model.discriminator_width": SIZE_OR_NONE,
    "drnet.batch_size": whole(2, MAX_BATCH, ", to pair clips"),
    "drnet.num_steps": STEPS,
    "drnet.learning_rate": ABOVE_ZERO,
    "drnet.schedule": SCHEDULE,
    "drnet.warmup_steps": STEPS_OR_NONE,
    "drnet.beta1": BELOW_ONE,
    "drnet.similarity_weight": NOT_NEGATIVE,
    "drnet.adversarial_weight": NOT_NEGATIVE,
    "drnet.batch_stats": one_of("global", "per_device"),
    "predictor.num_observed": FRAMES,
    "predictor.num_predicted": FRAMES,
    "predictor.hidden_dim": SIZE_OR_NONE,
    "predictor.num_layers": whole(1, 100),
    "predictor.use_content": SWITCH,
    "predictor.residual": SWITCH,
    "predictor.loss": one_of("squared", "absolute"),
    "predictor.batch_size": whole(1, MAX_BATCH),
    "predictor.num_steps": STEPS,
    "predictor.learning_rate": ABOVE_ZERO,
    "predictor.schedule": SCHEDULE,
    "predictor.warmup_steps": STEPS_OR_NONE,
    "predictor.beta1": BELOW_ONE,
    "predictor.beta2": BELOW_ONE,
    "predictor.max_grad_norm": NOT_NEGATIVE,
    "predictor.scheduled_sampling": SHARE,
    "predictor.batches_per_set": CLIPS,
    "predictor.passes_per_set": CLIPS,
    "evaluation.num_clips": CLIPS,
    "evaluation.batch_size": whole(1, MAX_BATCH),
    "evaluation.horizon": FRAMES,
    "evaluation.rollout_clips": CLIPS,
    "evaluation.rollout_steps": FRAMES,
    "evaluation.judge_steps": STEPS,
    "evaluation.pde_sep_clips": whole(1, 5_000, ", all clips"),
    "evaluation.collapse_step": STEPS_OR_NONE,
    "evaluation.probe_clips": whole(60, 10**6, ", to fit probes"),
    "rollout.num_clips": CLIPS,
    "rollout.num_steps": FRAMES,
    "rollout.frames_at_once": CLIPS,
    "on_nan": one_of("stop", "rollback"),
    "max_rollbacks": STEPS_OR_NONE,
    "rollback_learning_rate": FACTOR,
    "steps_at_once": STEPS_OR_NONE,
    "log_every_steps": STEPS,
    "sample_every_steps": STEPS_OR_NONE,
    "checkpoint_every_steps": STEPS_OR_NONE,
    "keep_checkpoints": STEPS,
}
"""Settings that every run has. The name of the data is first: others depend on it."""

MOVING_MNIST: Mapping[str, Rule] = {
    "data.digits": one_of("auto", "full", "embedded"),
    "data.digits_dir": TEXT,
    "data.validation": SWITCH,
    "data.digit_size": whole(1, 1024),
    "data.num_digits": whole(1, 100),
    "data.speeds": Rule(
        lambda value: isinstance(value, list) and [type(v) for v in value] == [int, int],
        "a pair of integers (least, greatest)",
    ),
    "data.zero_speeds": SWITCH,
    "data.motion": one_of("clamp", "reflect"),
    "data.blending": one_of("occlude", "add"),
}
RECORDED: Mapping[str, Rule] = {
    "data.source": one_of("auto", "real", "stand_in"),
    "data.folder": TEXT,
    "data.in_memory_gb": NOT_NEGATIVE,
    "data.max_skipped": BELOW_ONE,
}
STAND_INS: Mapping[str, Rule] = {
    "data.stand_in.num_people": whole(2, 100_000),
    "data.stand_in.num_repeats": whole(1, 1_000),
    "data.stand_in.clip_length": whole(2, 100_000),
    "data.stand_in.num_identities": whole(2, 100_000),
    "data.stand_in.instances_per_category": whole(2, 100_000),
    "data.stand_in.num_azimuths": whole(2, 100_000),
    "data.stand_in.seed": STEPS_OR_NONE,
}
"""Settings that only some stand-ins have."""


def rules(flat: Mapping[str, Any]) -> dict[str, Rule]:
    """Returns the rule of each setting that `flat`, settings by dotted name, must have."""
    own = MOVING_MNIST if flat.get("data.name") == registry.MOVING_MNIST else RECORDED
    return {**SHARED, **own} | {name: STAND_INS[name] for name in STAND_INS.keys() & flat.keys()}
