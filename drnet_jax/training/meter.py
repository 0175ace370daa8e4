"""What a stage did since its last log: its metrics, and how fast it was."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from drnet_jax.base.arrays import Metrics


class Meter:
    """Collects the metrics of steps, still on the device, and measures speed."""

    def __init__(
        self,
        stage: str,
        first: int,
        since_log: Mapping[str, Sequence[float]],
        *,
        measure_waiting: bool,
    ):
        """Starts at step `first`; `since_log` is what the method of that name returned there.

        `measure_waiting` is for inputs that are made on the host. Where the devices make them,
        waiting for a batch is waiting for the steps before it.
        """
        self._stage, self._measure_waiting = stage, measure_waiting
        self.restart(first)
        if since_log:
            self.add({name: np.float32(values) for name, values in since_log.items()})

    def restart(self, step: int) -> None:
        """Forgets everything before `step`."""
        self._first, self._started = step, time.monotonic()
        self._waited, self._pending = 0.0, []

    def next(self, inputs: Iterator[Any]) -> Any:
        """Returns the next inputs, and adds up how long they took to arrive."""
        asked = time.monotonic()
        value = next(inputs)
        self._waited += time.monotonic() - asked
        return value

    def add(self, metrics: Metrics) -> None:
        """Takes the metrics of some steps, `[num_steps]` each, without waiting for them."""
        self._pending.append(metrics)

    def seconds(self) -> float:
        """Returns the time since the start, after waiting for all steps added so far."""
        jax.block_until_ready(self._pending)
        return time.monotonic() - self._started

    def since_log(self) -> dict[str, list[float]]:
        """Returns the metrics of every step since the last log, by name; empty right after one."""
        return {name: values.tolist() for name, values in self._values().items()}

    def speeds(self, step: int) -> dict[str, float]:
        """Returns steps per second, and the fraction of the time spent waiting for inputs."""
        passed = time.monotonic() - self._started
        speeds = {"steps_per_second": (step - self._first) / passed}
        return speeds | ({"input_wait": self._waited / passed} if self._measure_waiting else {})

    def finite_means(self, step: int) -> dict[str, float]:
        """Returns the mean of every metric; only here do they leave the device.

        Raises:
          FloatingPointError: for a metric that is not finite; names it and its step.
        """
        values = self._values()
        bad = {name: ~np.isfinite(x) for name, x in values.items()}
        any_bad = np.any(list(bad.values()), axis=0)
        if any_bad.any():
            i = np.argmax(any_bad)
            names = ", ".join(name for name in bad if bad[name][i])
            at = step - len(any_bad) + 1 + i
            verb = "are" if "," in names else "is"
            raise FloatingPointError(f"{names} of {self._stage} {verb} not finite at step {at:,}.")
        return {name: float(np.mean(x)) for name, x in values.items()}

    def _values(self) -> dict[str, np.ndarray]:
        pending = jax.device_get(self._pending)
        names = pending[0] if pending else ()
        return {name: np.concatenate([metrics[name] for metrics in pending]) for name in names}
