"""Predicts how the training step of the first stage scales on slices of TPU v5e, without a TPU.

  pip install -e '.[tpu]'
  python -m benchmarks.predicted_scaling --config=configs/mnist.py --clips_per_device=16

XLA compiles the step for each slice, which takes minutes and libtpu (Linux, x86), but no TPU. A
model turns its operations, bytes and messages between chips into times; docs/scaling.md has its
assumptions. The last line is JSON.
"""

import dataclasses
import json
import math
import os
import re

import jax
import numpy as np
from absl import app, flags
from jax.experimental import topologies
from jax.sharding import Mesh
from ml_collections import config_flags

from benchmarks import collectives, subject
from benchmarks.collectives import Collective
from drnet_jax.base import sharding

FLOPS_PER_S = 197e12
"""bfloat16 peak of a chip. Source, as for the next two: Cloud TPU documentation, TPU v5e."""
MEMORY_BYTES_PER_S = 819e9
LINK_BYTES_PER_S = 50e9
"""Each way, of each of a chip's four links: 400 GB/s in both directions together."""
RING_SIDE = 16
"""Only sides of this length close to rings. Source: Austin et al. 2025, "How to Scale Your Model",
section 3; its "typically around 1us" for a hop is the default of `--hop_us`."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """A rectangle of chips, each linked to its neighbors.

    Attributes:
      sides: chips along both axes.
      hop_s: seconds that the smallest message takes from a chip to its neighbor.
    """

    sides: tuple[int, int]
    hop_s: float

    @property
    def num_chips(self) -> int:
        return math.prod(self.sides)

    def seconds(self, found: Collective) -> float:
        """Returns how long an operation between all chips takes: latency, then bandwidth.

        A gather reaches the farthest chip, along one axis after the other, and takes in everything
        but what the chip already has through all links. A sum of all chips does so twice: sums of
        parts on their way there, the total on the way back.
        """
        hops = sum(side // 2 if side == RING_SIDE else side - 1 for side in self.sides)
        links = sum((side > 1) * (2 if side == RING_SIDE else 1) for side in self.sides)
        if not links:
            return 0.0
        passes = 2 if found.kind == "all-reduce" else 1
        num_bytes = found.num_bytes * (self.num_chips - 1) / self.num_chips
        return passes * (hops * self.hop_s + num_bytes / (links * LINK_BYTES_PER_S))


@dataclasses.dataclass(frozen=True)
class Step:
    """What the compiled step does on each chip.

    Attributes:
      flops: operations of arithmetic.
      memory_bytes: bytes that its operations read and write.
      collectives: its operations between chips.
    """

    flops: float
    memory_bytes: float
    collectives: list[Collective]


def predict(step: Step, chips: Slice, batch_size: int) -> dict[str, float]:
    """Returns seconds of the parts of a step, which follow one another, and its efficiency.

    `efficiency` is the share of the time in which chips compute; `without_statistics` is what it
    would be if BatchNorm sent nothing.
    """
    compute = max(step.flops / FLOPS_PER_S, step.memory_bytes / MEMORY_BYTES_PER_S)
    parts = {True: 0.0, False: 0.0}
    for found in step.collectives:
        parts[found.is_of_statistics] += chips.seconds(found)
    total = compute + sum(parts.values())
    return {
        "compute_s": compute,
        "statistics_s": parts[True],
        "other_messages_s": parts[False],
        "step_s": total,
        "clips_per_s": batch_size / total,
        "efficiency": compute / total,
        "without_statistics": compute / (total - parts[True]),
    }


def compile_step(tested: subject.Subject, mesh: Mesh, *, per_device: bool) -> Step:
    """Compiles the step for the devices of `mesh`, which need not be here; runs nothing."""

    def abstract(make, placed):
        like = jax.eval_shape(make)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placed), like)

    everywhere = sharding.replicated(mesh)
    state = abstract(tested.init, everywhere)
    batch = abstract(tested.batch, sharding.batch_split(mesh))
    step = tested.step(mesh if per_device else None)
    step = jax.jit(step, donate_argnums=0, out_shardings=everywhere)
    program = step.lower(state, batch).compile()
    cost = program.cost_analysis()
    found = collectives.find(program.as_text())
    return Step(cost["flops"], cost["bytes accessed"], found)


def batch_size_for(num_chips: int, clips_per_device: int, batch_size: int) -> int:
    """Returns `clips_per_device` for each chip; for 0, `batch_size` rounded up to a multiple."""
    return num_chips * (clips_per_device or math.ceil(batch_size / num_chips))


def slice_sides(name: str) -> tuple[int, int]:
    """Returns (8, 16) for "8x16"; raises ValueError if `name` is not of this form."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", name):
        raise ValueError(f"--slices has {name!r}; allowed: sides such as 8x8.")
    return tuple(int(side) for side in name.split("x"))


def describe(name: str) -> list[jax.Device]:
    """Returns the devices of a slice of v5e; raises ValueError if there is no compiler for it."""
    try:
        return topologies.get_topology_desc(f"v5e:{name}", platform="tpu").devices
    except Exception as error:  # Of JAX without libtpu, or of libtpu for a slice that none has.
        raise ValueError(f"No compiler for a slice v5e:{name} (extra 'tpu'): {error}") from None


def define_flags() -> None:
    """Declares the command line; not on import, because benchmarks share names of flags."""
    config_flags.DEFINE_config_file("config", "configs/mnist.py", "A file of configs/.")
    flags.DEFINE_list("slices", ["2x4", "8x8", "16x16"], "Sides of slices of TPU v5e.")
    flags.DEFINE_integer(
        "clips_per_device", 0, "0: the batch of the config, rounded up.", lower_bound=0
    )
    flags.DEFINE_float("hop_us", 1.0, "Latency between neighbors in microseconds.", lower_bound=0.0)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    # The programs are for TPUs, but nothing here may look for one.
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    # Otherwise libtpu reports as errors what it cannot find out about this machine.
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    options, config, results = flags.FLAGS, flags.FLAGS.config, {}
    if config.dtype == "auto":
        config.dtype = "bfloat16"  # As on a TPU.
    configured, per_device = config.drnet.batch_size, config.drnet.batch_stats == "per_device"
    sides = {name: slice_sides(name) for name in options.slices}
    for name in options.slices:
        chips = Slice(sides[name], options.hop_us * 1e-6)
        size = batch_size_for(chips.num_chips, options.clips_per_device, configured)
        config.drnet.batch_size = size
        mesh = Mesh(np.array(describe(name)), ("data",))
        step = compile_step(subject.create(config), mesh, per_device=per_device)
        results[name] = {
            "batch_size": size,
            "flops": step.flops,
            "memory_bytes": step.memory_bytes,
            "collectives": collectives.summarize(step.collectives),
            **predict(step, chips, size),
        }
        print(name, results[name], flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    define_flags()
    app.run(main)
