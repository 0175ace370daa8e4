"""Settings to optimizers."""

import optax

SCHEDULES = ("constant", "cosine")


def make_adam(
    learning_rate: float, beta1: float, schedule: str, warmup_steps: int, num_steps: int
) -> optax.GradientTransformation:
    """Returns Adam, as both of DrNET's players and its predictor use it.

    Args:
      learning_rate: the highest, which is all steps' under `constant` without a warm-up.
      beta1: decay of the gradient's mean; beta2 is 0.999 and epsilon 1e-8 as everywhere.
      schedule: `constant` (the paper's) or `cosine`, which ends at 0 after `num_steps`.
      warmup_steps: over how many steps the learning rate climbs from 0; the paper has none.
      num_steps: length of the stage.

    Raises:
      ValueError: for an unknown schedule.

    Source: drnet-py, train_drnet.py and train_lstm.py.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"Unknown schedule {schedule!r}; known: {', '.join(SCHEDULES)}.")
    after = optax.constant_schedule(learning_rate)
    if schedule == "cosine":
        after = optax.cosine_decay_schedule(learning_rate, max(num_steps - warmup_steps, 1))
    if not warmup_steps:
        return optax.adam(after, b1=beta1)
    climb = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    return optax.adam(optax.join_schedules([climb, after], [warmup_steps]), b1=beta1)
