"""One training step on 1, 2, 4 and 8 fake devices of a CPU: losses, time, collectives.

  python -m benchmarks.scaling --config=configs/mnist.py --config.model.width=8

Fake devices share the cores, so the times show the cost of splitting and not the gain. The last
line is JSON, by number of devices: `losses`, `step_s`, `overhead_s` (beyond one device) and
`collectives`, the operations between devices in the compiled step by kind, with their bytes.
"""

import json

import jax
import numpy as np
from absl import app, flags
from jax.sharding import Mesh
from ml_collections import config_flags

from benchmarks import collectives, subject, timing
from drnet_jax.base import sharding

COUNTS = (1, 2, 4, 8)


class Split:
    """The step with its batch split over `num_devices` devices."""

    def __init__(self, tested: subject.Subject, num_devices: int):
        mesh = Mesh(np.array(jax.devices()[:num_devices]), ("data",))
        self.state = jax.device_put(tested.init(), sharding.replicated(mesh))
        self.batch = jax.device_put(tested.batch(), sharding.batch_split(mesh))
        step = jax.jit(tested.step(), donate_argnums=0, out_shardings=sharding.replicated(mesh))
        self.program = step.lower(self.state, self.batch).compile()

    def __call__(self) -> dict[str, float]:
        self.state, metrics = self.program(self.state, self.batch)
        jax.block_until_ready(self.state)
        return {name: float(value) for name, value in metrics.items()}


def check_equal_losses(losses: dict[int, dict[str, float]], tolerance: float) -> None:
    """Raises ValueError if losses differ from those of the first number of devices, relatively."""
    expected = next(iter(losses.values()))
    for num_devices, found in losses.items():
        for name, value in found.items():
            if not np.isclose(value, expected[name], rtol=tolerance):
                raise ValueError(
                    f"The {name} loss on {num_devices} devices is {value:.8g}, on one "
                    f"{expected[name]:.8g}; allowed: {tolerance:g} apart."
                )


def measure(tested: subject.Subject, counts: tuple[int, ...], repeats: int) -> dict[int, dict]:
    """Returns the figures of every number of devices in `counts`, which begins with 1."""
    splits = {count: Split(tested, count) for count in counts}
    losses = {count: split() for count, split in splits.items()}
    check_equal_losses(losses, 1e-4)
    times = timing.alternate(splits, repeats)
    alone = times[1].median
    return {
        count: {
            "losses": losses[count],
            "step_s": times[count].median,
            "overhead_s": times[count].median - alone,
            "collectives": collectives.summarize(collectives.find(split.program.as_text())),
        }
        for count, split in splits.items()
    }


def define_flags() -> None:
    """Declares the command line; not on import, because benchmarks share names of flags."""
    config_flags.DEFINE_config_file("config", "configs/mnist.py:smoke", "A file of configs/.")
    flags.DEFINE_integer("repeats", 10, "Timed steps.", lower_bound=1)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    jax.config.update("jax_num_cpu_devices", max(COUNTS))
    result = measure(subject.create(flags.FLAGS.config), COUNTS, flags.FLAGS.repeats)
    for count, found in result.items():
        print(count, found)
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    app.run(main)
