"""Settings to optimizers."""

import optax

SCHEDULES = ("constant", "cosine")


def make_adam(
    learning_rate: float, beta1: float, schedule: str, num_steps: int
) -> optax.GradientTransformation:
    """Returns Adam, as both of DrNET's players and its predictor use it.

    Args:
      learning_rate: the first step's.
      beta1: decay of the gradient's mean; beta2 is 0.999 and epsilon 1e-8 as everywhere.
      schedule: `constant` (the paper's) or `cosine`, which ends at 0 after `num_steps`.
      num_steps: length of the stage.

    Raises:
      ValueError: for an unknown schedule.

    Source: drnet-py, train_drnet.py and train_lstm.py.
    """
    if schedule == "cosine":
        return optax.adam(optax.cosine_decay_schedule(learning_rate, num_steps), b1=beta1)
    if schedule != "constant":
        raise ValueError(f"Unknown schedule {schedule!r}; known: {', '.join(SCHEDULES)}.")
    return optax.adam(learning_rate, b1=beta1)
