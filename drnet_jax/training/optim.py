"""Optimizers and their learning rate schedules."""

import dataclasses

import optax

SCHEDULES = ("constant", "cosine")


@dataclasses.dataclass(frozen=True)
class DrnetOptimizers:
    """The two optimizers of the first stage.

    Attributes:
      autoencoder: for the two encoders and the decoder, which share one loss.
      discriminator: for the scene discriminator.
    """

    autoencoder: optax.GradientTransformation
    discriminator: optax.GradientTransformation


def make_adam(
    learning_rate: float, beta1: float, schedule: str, warmup_steps: int, num_steps: int
) -> optax.GradientTransformation:
    """Returns Adam, which trains all networks of DrNET.

    Args:
      learning_rate: the highest one; with `constant` and no warm-up, that of every step.
      beta1: decay of the gradient's running mean. beta2 is 0.999 and epsilon 1e-8.
      schedule: `constant` (the paper's) or `cosine`, which ends at 0 after `num_steps`.
      warmup_steps: steps over which the learning rate rises linearly from 0; the paper has none.
      num_steps: length of the stage.

    Raises:
      ValueError: for an unknown schedule.

    Source: drnet-py, train_drnet.py and train_lstm.py.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"Unknown schedule {schedule!r}; known: {', '.join(SCHEDULES)}.")
    decay = optax.constant_schedule(learning_rate)
    if schedule == "cosine":
        decay = optax.cosine_decay_schedule(learning_rate, max(num_steps - warmup_steps, 1))
    if not warmup_steps:
        return optax.adam(decay, b1=beta1)
    warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    return optax.adam(optax.join_schedules([warmup, decay], [warmup_steps]), b1=beta1)
