"""Times of one training step of the first stage, beside the same step in PyTorch.

  python -m benchmarks.train_step --config=configs/mnist.py --peer=torch

Both compute the same losses from the same weights, which is checked first, and then take turns. The
last line is JSON: `ours_s` and `peer_s` are medians, `ratio` is that of ours to the faster PyTorch.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import jax
import ml_collections
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from benchmarks import subject, timing
from benchmarks.subject import Subject
from drnet_jax import memory

# Relative; of the step that starts from the same weights, and of the next one, which shows the
# gradients. bfloat16 has three digits, and Adam's first step has the sign of the gradient only.
_TOLERANCES = {"float32": (1e-4, 2e-2), "bfloat16": (3e-2, 1e-1)}


class Ours:
    """Our compiled step, which gives its state away and keeps the new one."""

    def __init__(self, tested: Subject):
        self.state, self.batch = tested.init(), tested.batch()
        step = jax.jit(tested.step(), donate_argnums=0)
        started = time.perf_counter()
        self.program = step.lower(self.state, self.batch).compile()
        self.compile_s = time.perf_counter() - started

    def __call__(self) -> dict[str, float]:
        self.state, metrics = self.program(self.state, self.batch)
        jax.block_until_ready(self.state)
        return jax.device_get(metrics)


class Torch:
    """The same step in PyTorch, from the same weights."""

    def __init__(self, tested: Subject, *, compiled: bool):
        # Here, so that ours can be measured without PyTorch.
        from benchmarks.torch_peer import train_step

        stage = tested.stage
        self.step = train_step.TrainStep(
            tested.settings,
            tested.init(),
            learning_rate=stage.learning_rate,
            beta1=stage.beta1,
            similarity_weight=stage.similarity_weight,
            adversarial_weight=stage.adversarial_weight,
            compiled=compiled,
        )
        self.batch = train_step.Batch(tested.batch())

    def __call__(self) -> dict[str, float]:
        return {name: value.item() for name, value in self.step(self.batch).items()}

    def count_flops(self) -> int:
        """Returns the operations of one step, which it makes."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self()
        return counter.get_total_flops()


def create(name: str, tested: Subject) -> Ours | Torch:
    """Returns `ours`, `torch` or `torch_compile`, before its first step."""
    return Ours(tested) if name == "ours" else Torch(tested, compiled=name == "torch_compile")


def check_same_losses(name: str, ours: dict, peer: dict, tolerance: float) -> None:
    """Raises ValueError unless all losses of `peer` are within the relative `tolerance` of ours."""
    for loss, value in peer.items():
        if not np.isclose(ours[loss], value, rtol=tolerance, atol=tolerance * 1e-2):
            raise ValueError(
                f"The {loss} loss of {name} is {value:.6g}, ours {ours[loss]:.6g}; "
                f"allowed: {tolerance:g} apart."
            )


def measure(tested: Subject, names: list[str], repeats: int) -> dict[str, float]:
    """Returns times and ratios of `names`, the first of which is `ours`."""
    contenders = {name: create(name, tested) for name in names}
    for tolerance in _TOLERANCES[tested.settings["dtype"]]:
        losses = {name: step() for name, step in contenders.items()}
        for name in names[1:]:
            check_same_losses(name, losses["ours"], losses[name], tolerance)
    times = timing.alternate(contenders, repeats)
    for name, found in times.items():
        print(
            f"{name:14} median {found.median:.4f} s, least {min(found.wall):.4f} s, "
            f"all cores {statistics.median(found.cpu):.4f} s"
        )
    ours = contenders["ours"]
    result = {"ours_s": times["ours"].median, "compile_s": ours.compile_s}
    result |= _executed(ours.program)
    for name in names[1:]:
        result[f"{name}_s"] = times[name].median
    if names[1:]:
        peer = min(names[1:], key=lambda name: times[name].median)
        result |= {"peer": peer, "peer_s": times[peer].median}
        result |= timing.ratio(times["ours"], times[peer])
        result["direct_flops"] = contenders["torch"].count_flops()
    return result


def _executed(program: jax.stages.Compiled) -> dict[str, float]:
    """Returns what the compiler counts in its program."""
    costs = program.cost_analysis()
    return {
        "executed_flops": costs["flops"],
        "executed_bytes": costs["bytes accessed"],
        "temporary_bytes": program.memory_analysis().temp_size_in_bytes,
    }


def peaks(names: list[str]) -> dict[str, float]:
    """Returns the peak memory and the time to the first step of each, in a process of its own.

    Ours runs twice: compiled programs are kept, and only the first process needs the memory and the
    time of the compiler (`ours_compiling_*`).
    """
    result = {}
    with tempfile.TemporaryDirectory() as programs:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": programs}
        for label, name in [("ours_compiling", "ours"), *((name, name) for name in names)]:
            command = [sys.executable, "-m", "benchmarks.train_step", *sys.argv[1:]]
            output = subprocess.run(
                [*command, f"--only={name}"],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            ).stdout
            found = json.loads(output.splitlines()[-1])
            result |= {f"{label}_{key}": value for key, value in found.items()}
    return result


def run_only(name: str, tested: Subject) -> dict[str, float]:
    """Returns the growth of this process's peak by three steps, and the time to the first."""
    started = time.perf_counter()
    before = _peak_bytes()
    step = create(name, tested)
    step()
    first = time.perf_counter() - started
    for _ in range(2):
        step()
    return {"first_step_s": first, "peak_bytes": _peak_bytes() - before}


def _peak_bytes() -> int:
    # Not `getrusage`, whose peak begins with that of the process that started this one.
    status = pathlib.Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _print_achieved(result: dict[str, float], limits: dict[str, float]) -> None:
    seconds = result["ours_s"]
    for kind, flops in (("executed", "executed_flops"), ("as direct convolutions", "direct_flops")):
        if flops in result:
            achieved = result[flops] / seconds
            share = achieved / limits["matmul_flops_per_s"]
            print(f"{kind}: {achieved / 1e9:.0f} GFLOP/s, {share:.0%} of a matrix product's")
    achieved = result["executed_bytes"] / seconds
    share = achieved / limits["copy_bytes_per_s"]
    print(f"bytes accessed: {achieved / 1e9:.1f} GB/s, {share:.0%} of a copy's")


def _configured() -> ml_collections.ConfigDict:
    config = flags.FLAGS.config
    if flags.FLAGS.batch_size:
        config.drnet.batch_size = flags.FLAGS.batch_size
    if flags.FLAGS.dtype:
        config.dtype = flags.FLAGS.dtype
    return config


def define_flags() -> None:
    """Declares the command line; not on import, as the benchmarks share names."""
    config_flags.DEFINE_config_file("config", "configs/mnist.py", "A file of configs/.")
    flags.DEFINE_enum("peer", "none", ["none", "torch"], "What ours is compared with.")
    flags.DEFINE_integer("batch_size", None, "In place of the config's.", lower_bound=2)
    flags.DEFINE_enum("dtype", None, ["float32", "bfloat16"], "In place of the config's.")
    flags.DEFINE_integer("repeats", 7, "Rounds that are timed.", lower_bound=1)
    flags.DEFINE_bool("torch_compile", True, "Whether torch.compile takes part too.")
    flags.DEFINE_bool("memory", True, "Whether peaks are measured, each in a process.")
    flags.DEFINE_string("profile", None, "A folder for a trace of three steps of ours.")
    flags.DEFINE_enum("only", None, ["ours", "torch", "torch_compile"], "One, for its peak.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    memory.keep_freed()
    tested = subject.create(_configured())
    if flags.FLAGS.only:
        print(json.dumps(run_only(flags.FLAGS.only, tested)))
        return
    names = ["ours"]
    if flags.FLAGS.peer == "torch":
        names += ["torch", "torch_compile"] if flags.FLAGS.torch_compile else ["torch"]
    device = jax.devices()[0]
    print(f"{device.device_kind}, {os.cpu_count()} cores, jax {jax.__version__}, {tested.settings}")
    result = measure(tested, names, flags.FLAGS.repeats)
    if flags.FLAGS.profile:
        ours = create("ours", tested)
        ours()
        with jax.profiler.trace(flags.FLAGS.profile):
            for _ in range(3):
                ours()
    if flags.FLAGS.memory:
        result |= peaks(names)
        for name in names[1:]:
            result[f"{name}_peak_ratio"] = result["ours_peak_bytes"] / result[f"{name}_peak_bytes"]
    limits = timing.ceilings(tested.settings["dtype"])
    _print_achieved(result, limits)
    print(json.dumps(result | limits))


if __name__ == "__main__":
    define_flags()
    app.run(main)
