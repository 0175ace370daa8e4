"""A warning where training would take days, as it does where JAX lacks its part for GPU or TPU."""

import pathlib
import shutil
import time
from typing import Any

import jax
from absl import logging

SLOW_HOURS = 6.0
"""Stages on a CPU that take longer than this are warned about."""

_PROGRAMS = 2  # That are timed, after the first, which is compiled.


class Pace:
    """Estimates early how long a stage will take, and warns once if that is long."""

    def __init__(self, stage: str, num_steps: int):
        """Starts before the first program of `stage`, which ends after `num_steps` steps."""
        self._stage, self._num_steps = stage, num_steps
        self._programs = 0
        self._started, self._first = 0.0, 0

    def add(self, step: int, metrics: Any) -> None:
        """Takes the steps finished after one more program, and something that it returned."""
        self._programs += 1
        if self._programs > 1 + _PROGRAMS or jax.default_backend() != "cpu":
            return
        if self._programs == 1:
            jax.block_until_ready(metrics)
            self._started, self._first = time.monotonic(), step
        elif self._programs == 1 + _PROGRAMS:
            jax.block_until_ready(metrics)
            seconds = (time.monotonic() - self._started) / (step - self._first)
            if text := warning(self._stage, seconds, self._num_steps - step):
                logging.warning(text)


def warning(stage: str, step_seconds: float, num_steps: int) -> str | None:
    """Returns what to say about `num_steps` steps that are left; None if that is not long."""
    hours = step_seconds * num_steps / 3600
    if hours <= SLOW_HOURS:
        return None
    left = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    return (
        f"{stage} will take about {left} on this CPU: {num_steps:,} steps of "
        f"{step_seconds:.2g} s. {_advice()}"
    )


def _advice() -> str:
    if shutil.which("nvidia-smi") or pathlib.Path("/proc/driver/nvidia/version").exists():
        return 'There is an NVIDIA GPU that JAX does not use: pip install -e ".[cuda]"'
    dev = pathlib.Path("/dev")
    if any(dev.glob("accel*")) or any(dev.glob("vfio/[0-9]*")):
        return 'There seems to be a TPU that JAX does not use: pip install -e ".[tpu]"'
    return (
        'The variants "quick" take minutes. On a machine with an NVIDIA GPU, '
        'pip install -e ".[cuda]"; on a Cloud TPU VM, pip install -e ".[tpu]"'
    )
