"""Training whose loss is not finite for some batches; run with `-m`, it is like `only_train`."""

import dataclasses

import jax
import numpy as np

from drnet_jax import main
from drnet_jax.base import prng
from drnet_jax.commands import train
from drnet_jax.training.stages import Stage


def order(run) -> int:
    """Returns how many rollbacks of its stage the order of batches of `run` comes after."""
    root = prng.root(run.config.seed)
    keys = [root, *(prng.stream(root, "reordered", number) for number in range(1, 5))]
    return [jax.random.key_data(key).tolist() for key in keys].index(
        jax.random.key_data(run.key).tolist()
    )


def break_losses(stage: Stage, bad_step: int | None) -> Stage:
    """Returns `stage` with losses that are NaN in `bad_step`, if it is not None."""

    def step(num_steps, state, inputs):
        state, metrics = stage.step(num_steps, state, inputs)
        steps = int(state.step) - np.arange(num_steps)[::-1]
        bad = np.where(steps == bad_step, np.float32(np.nan), np.float32(0))
        return state, {name: value + bad for name, value in metrics.items()}

    return dataclasses.replace(stage, step=step)


def diverge(patch, name: str, bad_steps: dict[int, int]) -> None:
    """Has the losses of a stage be NaN at `bad_steps`, by the number of rollbacks before."""
    make = getattr(train, f"{name}_stage")

    def make_broken(run, *arguments):
        return break_losses(make(run, *arguments), bad_steps.get(order(run)))

    patch(train, f"{name}_stage", make_broken)


if __name__ == "__main__":
    train.evaluate.write = train.generate.write = train.generate.write_sample = lambda *args: None
    train.score.begin = lambda *args: None
    diverge(setattr, "drnet", {0: 23})
    main.run()
