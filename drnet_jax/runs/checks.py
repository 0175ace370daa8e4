"""Checks of settings, made before anything is built or written."""

from collections.abc import Mapping
from typing import Any

import ml_collections

from drnet_jax.data.source import Source

MIN_IMAGE_SIZE = 11
"""The window of the SSIM score, which every run reports."""

POSITIVE = (
    "data.max_frame_gap",
    "model.num_slots",
    "model.width",
    "model.pose_dim",
    "drnet.num_steps",
    "drnet.learning_rate",
    "predictor.num_observed",
    "predictor.num_predicted",
    "predictor.batch_size",
    "predictor.num_layers",
    "predictor.num_steps",
    "predictor.learning_rate",
    "predictor.batches_per_set",
    "predictor.passes_per_set",
    "evaluation.num_clips",
    "evaluation.batch_size",
    "evaluation.horizon",
    "evaluation.rollout_clips",
    "evaluation.rollout_steps",
    "evaluation.judge_steps",
    "rollout.num_clips",
    "rollout.num_steps",
    "rollout.frames_at_once",
    "log_every_steps",
    "keep_checkpoints",
)
MAY_BE_ABSENT = ("model.discriminator_width", "predictor.hidden_dim")
"""Sizes of networks that an imported model may lack; they are 0 then."""

NOT_NEGATIVE = (
    *MAY_BE_ABSENT,
    "seed",
    "model.content_dim",
    "drnet.similarity_weight",
    "drnet.adversarial_weight",
    "drnet.warmup_steps",
    "predictor.warmup_steps",
    "predictor.max_grad_norm",
    "steps_at_once",
    "sample_every_steps",
    "checkpoint_every_steps",
)
BELOW_ONE = ("drnet.beta1", "predictor.beta1", "predictor.beta2")
CHOICES = {
    "dtype": ("auto", "float32", "bfloat16"),
    "drnet.schedule": ("constant", "cosine"),
    "predictor.schedule": ("constant", "cosine"),
}
MOVING_MNIST_CHOICES = {
    "data.digits": ("auto", "full", "embedded"),
    "data.motion": ("clamp", "reflect"),
    "data.blending": ("occlude", "add"),
}

OPEN = {"dtype": "auto", "data.digits": "auto", "data.source": "auto", "data.fingerprint": ""}
"""Settings that may be left open, by the value that does so; a run stores what was decided."""

FREE = (
    *("evaluation.", "rollout.", "data.data_dir", "data.folder"),
    *("data.in_memory_gb", "data.max_skipped"),
    *("log_every_steps", "sample_every_steps", "checkpoint_every_steps", "keep_checkpoints"),
    "steps_at_once",
)
"""Settings that do not change what is learned, so a run may go on with other values. (On TPUs and
GPUs the intervals decide how many steps make one program, which may change rounding.)"""


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested settings by dotted name, with tuples as lists, as JSON stores them."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


def check(config: Mapping[str, Any]) -> None:
    """Raises ValueError for the first impossible setting, with its value and the allowed ones."""
    flat = flatten(config)

    def require(names: tuple[str, ...], holds, allowed: str) -> None:
        for name in names:
            if name not in flat:
                raise ValueError(f"The settings have no {name}.")
            if not holds(flat[name]):
                raise ValueError(f"config.{name}={flat[name]!r}; allowed: {allowed}.")

    def require_choices(by_name: Mapping[str, tuple[str, ...]]) -> None:
        for name, choices in by_name.items():
            require((name,), lambda value, choices=choices: value in choices, ", ".join(choices))

    require_choices(CHOICES)
    require(
        ("data.image_size",),
        lambda value: value >= MIN_IMAGE_SIZE,
        f"{MIN_IMAGE_SIZE} and above, the window of the SSIM score",
    )
    require(POSITIVE, lambda value: value > 0, "above 0")
    require(NOT_NEGATIVE, lambda value: value >= 0, "0 and above")
    require(("predictor.scheduled_sampling",), lambda value: 0 <= value <= 1, "0 to 1")
    require(BELOW_ONE, lambda value: 0 <= value < 1, "0 up to, not including, 1")
    require(("drnet.batch_size",), lambda value: value >= 2, "2 and above, to pair clips")
    require(("seed",), lambda value: value < 2**32, "below 2**32")
    require(
        ("evaluation.pde_sep_clips",), lambda value: 0 < value <= 5_000, "1 to 5,000, all clips"
    )
    require(("evaluation.probe_clips",), lambda value: value >= 60, "60 and above, to fit probes")
    switches = ("data.consecutive", "predictor.use_content", "predictor.residual")
    require(switches, lambda value: isinstance(value, bool), "True, False")
    if flat["data.name"] == "moving_mnist":
        require_choices(MOVING_MNIST_CHOICES)
        require(("data.validation",), lambda value: isinstance(value, bool), "True, False")
        require(("data.digit_size", "data.num_digits"), lambda value: value > 0, "above 0")
        require(
            ("data.speeds",),
            lambda value: isinstance(value, list) and [type(v) for v in value] == [int, int],
            "a pair of integers (least, greatest)",
        )
    else:
        require_choices({"data.source": ("auto", "real", "stand_in")})
        require(("data.in_memory_gb",), lambda value: value >= 0, "0 and above")
        require(("data.max_skipped",), lambda value: 0 <= value < 1, "0 up to, not including, 1")


def check_trainable(config: Mapping[str, Any]) -> None:
    """Raises ValueError when a network is missing, which is allowed in imported models only."""
    flat = flatten(config)
    for name in MAY_BE_ABSENT:
        if not flat[name]:
            raise ValueError(f"config.{name}=0; allowed in training: above 0.")


def difference(stored: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Returns a line on the first setting in which two runs differ, or None."""
    stored, given = flatten(stored), flatten(given)
    for name in sorted(stored.keys() | given.keys()):
        if name.startswith(FREE):
            continue
        old, new = stored.get(name, "no such setting"), given.get(name, "no such setting")
        if old != new and new != OPEN.get(name, old):
            return f"config.{name} is {old!r} there and {new!r} here"
    return None


def check_lengths(config: ml_collections.ConfigDict, source: Source) -> None:
    """Raises ValueError where more frames of a clip are needed than clips have."""
    observed = config.predictor.num_observed
    names = ["evaluation.horizon"]
    if not source.clips_end:
        # Where clips end, scores and losses leave out the frames that are missing.
        names += ["predictor.num_predicted", "rollout.num_steps", "data.max_frame_gap"]
    flat = flatten(config.to_dict())
    for name in names:
        if observed + flat[name] > source.max_frames:
            raise ValueError(
                f"config.predictor.num_observed={observed} and config.{name}={flat[name]} are "
                f"together longer than a clip; allowed: {source.max_frames:,} frames."
            )
