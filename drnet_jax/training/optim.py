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
    learning_rate: float,
    *,
    beta1: float,
    schedule: str,
    warmup_steps: int,
    num_steps: int,
    beta2: float = 0.999,
    max_grad_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Returns Adam, which trains all networks of DrNET, with an epsilon of 1e-8.

    Args:
      learning_rate: the highest one; with `constant` and no warm-up, that of every step.
      beta1: decay of the gradient's running mean.
      schedule: `constant` (the paper's) or `cosine`, which ends at 0 after `num_steps`.
      warmup_steps: steps over which the learning rate rises linearly from 0; the paper has none.
      num_steps: length of the stage.
      beta2: decay of the gradient's running mean square.
      max_grad_norm: longer gradients are scaled down to this length; 0 leaves all as they are.

    Raises:
      ValueError: for an unknown schedule.

    Source: drnet-py, train_drnet.py and train_lstm.py.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"Unknown schedule {schedule!r}; known: {', '.join(SCHEDULES)}.")
    rate = optax.constant_schedule(learning_rate)
    if schedule == "cosine":
        rate = optax.cosine_decay_schedule(learning_rate, max(num_steps - warmup_steps, 1))
    if warmup_steps:
        warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
        rate = optax.join_schedules([warmup, rate], [warmup_steps])
    adam = optax.adam(rate, b1=beta1, b2=beta2)
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), adam) if max_grad_norm else adam
