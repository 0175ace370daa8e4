"""Times of functions that are called in turn, and the machine's limits."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of each call, by the clock and of all cores together."""

    wall: list[float]
    cpu: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.wall)


def alternate(
    functions: Mapping[str, Callable[[], None]], repeats: int, num_steps: int = 1
) -> dict[str, Times]:
    """Calls every function `repeats` times, in turn: a machine's slow minute slows all of them.

    Each call makes `num_steps` steps, and returns when they are done; times are those of one step.
    The functions must have compiled their programs before.
    """
    times = {name: Times([], []) for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            times[name].wall.append((time.perf_counter() - wall) / num_steps)
            times[name].cpu.append((time.process_time() - cpu) / num_steps)
    return times


def ratio(ours: Times, peer: Times) -> dict[str, float]:
    """Returns ours / peer: the median over rounds, and that of the least times, clock and cores.

    The two calls of a round are neighbors in time.
    """
    pairs = [a / b for a, b in zip(ours.wall, peer.wall, strict=True)]
    return {
        "ratio": statistics.median(pairs),
        "ratio_of_least": min(ours.wall) / min(peer.wall),
        "ratio_of_least_cpu": min(ours.cpu) / max(min(peer.cpu), 1e-9),
    }


def ceilings(dtype: str) -> dict[str, float]:
    """Returns the FLOP/s of a large matrix product in `dtype` and the bytes/s of a large copy."""
    side = 2048 if jax.default_backend() == "cpu" else 8192
    matrix = jnp.ones((side, side), dtype)
    values = jnp.ones(side * side * 8, jnp.float32)
    product, copy = jax.jit(lambda a: a @ a), jax.jit(lambda a: a + 1)
    functions = {
        "product": lambda: jax.block_until_ready(product(matrix)),
        "copy": lambda: jax.block_until_ready(copy(values)),
    }
    alternate(functions, 2)
    times = alternate(functions, 5)
    return {
        "matmul_flops_per_s": 2 * side**3 / min(times["product"].wall),
        "copy_bytes_per_s": 2 * values.nbytes / min(times["copy"].wall),
    }
