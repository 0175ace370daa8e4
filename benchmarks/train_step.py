"""Times of one training step of the first stage, beside the same step in PyTorch.

  python -m benchmarks.train_step --config=configs/mnist.py --peer=torch

Both compute the same losses from the same weights, which is checked first, and then take turns. The
last line is JSON: `ours_s` and `peer_s` are medians, `ratio` is ours to the fastest PyTorch.
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
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from benchmarks import subject, timing
from benchmarks.subject import Subject
from drnet_jax.runs import runtime

PEERS = {"torch": None, "torch_compile": "default", "torch_graphs": "reduce-overhead"}
"""Modes of `torch.compile`; `torch_graphs` replays CUDA graphs and needs a GPU."""


def _tolerances(dtype: str) -> tuple[float, float]:
    """Returns how far apart losses may be, relatively, in the first and in the second step.

    The second step shows the gradients, though Adam's first update only has their signs. bfloat16
    has three digits, and so do products of float32 on a GPU.
    """
    exact = dtype == "float32" and jax.default_backend() == "cpu"
    return (1e-4, 2e-2) if exact else (3e-2, 1e-1)


class Ours:
    """Our compiled step, which donates its state and keeps the new one.

    Several steps are one program, as in training on a GPU or TPU.
    """

    def __init__(self, tested: Subject, num_steps: int):
        self.state, self.batch = tested.init(), tested.batch()
        step = tested.step()

        def advance(state, batch):
            if num_steps == 1:
                state, metrics = step(state, batch)
                return state, jax.tree.map(lambda x: x[None], metrics)

            def one(state, _):
                # The barrier keeps XLA from computing anything of the batch once for all steps.
                return step(*jax.lax.optimization_barrier((state, batch)))

            return jax.lax.scan(one, state, length=num_steps)

        started = time.perf_counter()
        program = jax.jit(advance, donate_argnums=0)
        self.program = program.lower(self.state, self.batch).compile()
        self.compile_s = time.perf_counter() - started

    def __call__(self) -> dict[str, np.ndarray]:
        """Makes the steps; returns the losses of each."""
        self.state, metrics = self.program(self.state, self.batch)
        jax.block_until_ready(self.state)
        return jax.device_get(metrics)

    def peak_bytes(self) -> int:
        """Returns the peak of the device's own memory."""
        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]


class Torch:
    """The same step in PyTorch, from the same weights."""

    def __init__(self, tested: Subject, num_steps: int, *, mode: str | None):
        # Imported here, so that ours can be measured without PyTorch.
        from benchmarks.torch_peer import train_step

        stage = tested.stage
        self.step = train_step.TrainStep(
            tested.settings,
            tested.init(),
            learning_rate=stage.learning_rate,
            beta1=stage.beta1,
            similarity_weight=stage.similarity_weight,
            adversarial_weight=stage.adversarial_weight,
            compile_mode=mode,
        )
        self.batch = train_step.Batch(tested.batch())
        self.num_steps = num_steps

    def __call__(self) -> dict[str, np.ndarray]:
        losses = [self.step(self.batch) for _ in range(self.num_steps)]
        # `item` waits for the device.
        return {name: np.array([row[name].item() for row in losses]) for name in losses[0]}

    def peak_bytes(self) -> int:
        import torch

        return torch.cuda.max_memory_allocated()

    def count_flops(self) -> int:
        """Makes one step; returns its number of operations."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self.step(self.batch)
        return counter.get_total_flops()


def create(name: str, tested: Subject, num_steps: int) -> Ours | Torch:
    """Returns `ours` or a key of `PEERS`, before its first step."""
    if name == "ours":
        return Ours(tested, num_steps)
    return Torch(tested, num_steps, mode=PEERS[name])


def check_same_losses(name: str, ours: dict, peer: dict, tolerance: float) -> None:
    """Raises ValueError unless all losses of `peer` are within the relative `tolerance` of ours."""
    for loss, value in peer.items():
        if not np.isclose(ours[loss], value, rtol=tolerance, atol=tolerance * 1e-2):
            raise ValueError(
                f"The {loss} loss of {name} is {value:.6g}, ours {ours[loss]:.6g}; "
                f"allowed: {tolerance:g} apart."
            )


def _first_losses(contender: Ours | Torch, num: int) -> list[dict[str, float]]:
    """Returns the losses of the first `num` steps; may make more."""
    rows: list[dict[str, float]] = []
    while len(rows) < num:
        found = contender()
        columns = zip(*found.values(), strict=True)
        rows += [dict(zip(found, values, strict=True)) for values in columns]
    return rows[:num]


def measure(
    tested: Subject, names: list[str], repeats: int, num_steps: int, profile: str | None = None
) -> dict[str, float]:
    """Returns times of a step and ratios of the contenders `names`, beginning with `ours`.

    Each timed call makes `num_steps` steps. A trace of one call of ours is written to the folder
    `profile`. What runs through `torch.compile` is left out if it fails.
    """
    tolerances = _tolerances(tested.settings["dtype"])
    contenders, losses = {}, {}
    for name in names:
        contender = create(name, tested, num_steps)
        try:
            losses[name] = _first_losses(contender, len(tolerances))
        except Exception as error:  # PyTorch's compiler raises errors of any kind.
            if not PEERS.get(name):
                raise
            print(f"{name} does not take part: {error!r}")
            continue
        contenders[name] = contender
    names = list(contenders)
    for name in names[1:]:
        for ours, peer, tolerance in zip(losses["ours"], losses[name], tolerances, strict=True):
            check_same_losses(name, ours, peer, tolerance)
    times = timing.alternate(contenders, repeats, num_steps)
    for name, found in times.items():
        print(
            f"{name:14} median {found.median:.4g} s, least {min(found.wall):.4g} s, "
            f"all cores {statistics.median(found.cpu):.4g} s"
        )
    ours = contenders["ours"]
    if profile:
        with jax.profiler.trace(profile):
            ours()
    result = {"ours_s": times["ours"].median, "compile_s": ours.compile_s}
    result |= _executed(ours.program)
    for name in names[1:]:
        result[f"{name}_s"] = times[name].median
        result[f"{name}_ratio"] = timing.ratio(times["ours"], times[name])["ratio"]
    if names[1:]:
        peer = min(names[1:], key=lambda name: times[name].median)
        result |= {"peer": peer, "peer_s": times[peer].median}
        result |= timing.ratio(times["ours"], times[peer])
        result["direct_flops"] = contenders["torch"].count_flops()
    return result


def _executed(program: jax.stages.Compiled) -> dict[str, float]:
    """Returns operations, memory traffic and memory as the compiler counts them."""
    costs = program.cost_analysis()
    return {
        "executed_flops": costs["flops"],
        "executed_bytes": costs["bytes accessed"],
        "temporary_bytes": program.memory_analysis().temp_size_in_bytes,
    }


def peaks(names: list[str]) -> dict[str, float]:
    """Returns peak memory and time to the first step of each, measured in separate processes.

    Ours runs twice: compiled programs are kept, so that only the first process needs memory and
    time to compile (`ours_compiling_*`).
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
    """Returns the time to the first step, and the peak of memory after three steps.

    On a CPU the peak is the growth of the process.
    """
    started = time.perf_counter()
    before = _peak_bytes()
    step = create(name, tested, 1)
    step()
    first = time.perf_counter() - started
    for _ in range(2):
        step()
    grown = _peak_bytes() - before
    peak = grown if jax.default_backend() == "cpu" else step.peak_bytes()
    return {"first_step_s": first, "peak_bytes": peak}


def _peak_bytes() -> int:
    # Not `getrusage`, whose peak starts from that of the parent process.
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


def _peers() -> list[str]:
    """Returns which of `PEERS` the command line asks for and this machine can run."""
    if flags.FLAGS.peer == "none":
        return []
    if not flags.FLAGS.torch_compile:
        return ["torch"]
    return [name for name in PEERS if name != "torch_graphs" or jax.default_backend() == "gpu"]


def define_flags() -> None:
    """Declares the command line; not on import, because benchmarks share names of flags."""
    config_flags.DEFINE_config_file("config", "configs/mnist.py", "A file of configs/.")
    flags.DEFINE_enum("peer", "none", ["none", "torch"], "What to compare with.")
    flags.DEFINE_integer("batch_size", None, "Replaces that of the config.", lower_bound=2)
    flags.DEFINE_enum("dtype", None, ["float32", "bfloat16"], "Replaces that of the config.")
    flags.DEFINE_integer("repeats", 7, "Timed rounds.", lower_bound=1)
    flags.DEFINE_integer(
        "steps_per_call", 0, "Steps in each timed call; 0: 1 on a CPU, else 50.", lower_bound=0
    )
    flags.DEFINE_bool(
        "torch_compile",
        True,
        "Whether torch.compile, with CUDA graphs or without, also takes part.",
    )
    flags.DEFINE_bool("memory", True, "Whether to measure peaks of memory, each in its process.")
    flags.DEFINE_string("profile", None, "Folder for a trace of our step.")
    contenders = ["ours", *PEERS]
    flags.DEFINE_enum("only", None, contenders, "Measures the peak of this one.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    # Both frameworks need memory of the GPU.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    runtime.keep_freed_memory()
    config = flags.FLAGS.config
    config.drnet.batch_size = flags.FLAGS.batch_size or config.drnet.batch_size
    config.dtype = flags.FLAGS.dtype or config.dtype
    tested = subject.create(config)
    if flags.FLAGS.only:
        print(json.dumps(run_only(flags.FLAGS.only, tested)))
        return
    num_steps = flags.FLAGS.steps_per_call
    if not num_steps:
        num_steps = 1 if jax.default_backend() == "cpu" else 50
    names = ["ours", *_peers()]
    device = jax.devices()[0]
    print(f"{device.device_kind}, {os.cpu_count()} cores, jax {jax.__version__}, {tested.settings}")
    result = measure(tested, names, flags.FLAGS.repeats, num_steps, flags.FLAGS.profile)
    names = [name for name in names if f"{name}_s" in result]  # Without those that failed.
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
