"""Which steps log, draw and save. Steps count what is finished, from 0."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Steps between two logs, two sample pictures and two checkpoints; 0 means only at the end."""

    log: int
    sample: int
    checkpoint: int

    def due(self, step: int, num_steps: int) -> list[bool]:
        """Returns whether a log, a sample and a checkpoint are due after `step` steps."""
        return [is_due(step, every, num_steps) for every in dataclasses.astuple(self)]


def is_due(step: int, every_steps: int, num_steps: int) -> bool:
    """Returns whether an action is due after `step` of `num_steps` steps.

    It is always due after the last step, and with an `every_steps` of 0 only then.
    """
    if step == num_steps:
        return True
    return every_steps > 0 and step > 0 and step % every_steps == 0


def steps_per_call(
    first: int, num_steps: int, intervals: Intervals, most: int, steps_per_input: int
) -> int:
    """Returns how many steps one program runs, from step `first` on: at most `most`.

    Nothing may fall due in the middle of a program, nor may its input change, so the number divides
    every interval, and `steps_per_input` (0 if inputs never change).
    """
    between = math.gcd(first, num_steps, steps_per_input, *dataclasses.astuple(intervals))
    return max(n for n in range(1, most + 1) if between % n == 0)
