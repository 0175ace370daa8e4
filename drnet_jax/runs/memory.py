"""Whether a run can fit into memory, by shapes alone, and what to lower when it did not.

Estimates are lower bounds: what must be in memory at the same moment, whatever XLA does. A run
that is refused cannot fit; one that is not refused may still need several times the estimate.
"""

import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.base.arrays import Tree
from drnet_jax.data.source import DeviceSource
from drnet_jax.runs.run import Run
from drnet_jax.training.steps import NUM_FRAMES

KEPT = 0.5
"""Of the outputs of all layers, this share at least is kept for the backward pass; XLA computes
those of norms and activations again."""

_ROLLOUT_COPIES = 4  # Generated and true frames, and both once more behind the observed ones.


@dataclasses.dataclass(frozen=True)
class Need:
    """Memory that some part of a run needs at least.

    Attributes:
      what: the part, for people.
      setting: the one to lower.
      device: bytes on a device.
      host: bytes on the host besides.
      everywhere: whether all devices need as much, rather than only the first.
    """

    what: str
    setting: str
    device: float = 0.0
    host: float = 0.0
    everywhere: bool = False


def check(run: Run, *parts: Callable[[Run], Iterator[Need]]) -> None:
    """Raises ValueError if the machine has less memory than `parts` of `run` need at least.

    They are `training_needs`, `scoring_needs` and `rollout_needs`.
    """
    memory, device = machine_memory(), device_memory()
    for need in (need for part in parts for need in part(run)):
        if device is None:  # Devices are cores, which share the memory of the host.
            num_devices = jax.local_device_count() if need.everywhere else 1
            places = [(need.device * num_devices + need.host, memory, "this machine")]
        else:
            places = [(need.host, memory, "this machine"), (need.device, device, "each device")]
        for needed, there, where in places:
            if there is not None and needed > there:
                section, _, name = need.setting.partition(".")
                raise ValueError(
                    f"{need.what} needs at least {_gigabytes(needed)} of memory, and {where} has "
                    f"{_gigabytes(there)}; lower config.{need.setting}="
                    f"{run.config[section][name]}."
                )


def training_needs(run: Run) -> Iterator[Need]:
    """Yields what a step of each stage needs."""
    config, shares = run.config, run.mesh.size
    frame = math.prod(run.frame_shape)
    layers = layer_bytes(run)
    state = _size(jax.eval_shape(run._init_drnet, run.key))
    # Every clip passes once through each network at least.
    kept = KEPT * sum(map(sum, layers.values()))
    clip = NUM_FRAMES * frame + kept
    yield Need(
        "A step of drnet",
        "drnet.batch_size",
        state + config.drnet.batch_size * clip / shares,
        everywhere=True,
    )
    if run.predictor is None or not isinstance(run.source, DeviceSource):
        return
    predictor = config.predictor
    num_frames = predictor.num_observed + predictor.num_predicted
    # All frames of a batch are encoded at once.
    drawn = predictor.batch_size * num_frames * (frame + max(layers["pose_encoder"])) / shares
    yield Need("A batch of predictor", "predictor.batch_size", drawn, everywhere=True)
    batches = min(predictor.batches_per_set, predictor.num_steps)
    floats = batches * predictor.batch_size * num_frames * config.model.pose_dim
    stored = 4 * floats / shares
    yield Need("A set of batches", "predictor.batches_per_set", stored, everywhere=True)


def scoring_needs(run: Run) -> Iterator[Need]:
    """Yields what a batch of scores needs, whose frames are decoded at once."""
    config = run.config.evaluation
    size = math.prod(run.frame_shape) + max(layer_bytes(run)["decoder"])
    yield Need("Scoring", "evaluation.batch_size", config.batch_size * config.horizon * size)


def rollout_needs(run: Run) -> Iterator[Need]:
    """Yields what the final rollouts need."""
    if run.predictor is None:
        return
    rollout = run.config.rollout
    frame, decoded = math.prod(run.frame_shape), max(layer_bytes(run)["decoder"])
    frames = rollout.num_clips * rollout.num_steps * frame
    yield Need("Generating", "rollout.num_clips", frames, (_ROLLOUT_COPIES - 1) * frames)
    # At least one frame of every clip is decoded at once.
    chunk = min(max(1, rollout.frames_at_once // rollout.num_clips), rollout.num_steps)
    yield Need(
        "A chunk of a rollout", "rollout.frames_at_once", chunk * rollout.num_clips * decoded
    )


@functools.lru_cache(maxsize=2)  # Tracing takes a second.
def layer_bytes(run: Run) -> dict[str, list[int]]:
    """Returns the bytes that each layer of each network returns for one frame, by network."""
    networks = run.networks

    def outputs(key: jax.Array) -> dict[str, Tree]:
        def layers(module, *inputs):
            result, variables = module.init_with_output(
                key, *inputs, train=False, mutable=True, capture_intermediates=True
            )
            return result, variables.get("intermediates", {})

        frames = jnp.zeros((1, *run.frame_shape))
        content, content_layers = layers(networks.content_encoder, frames)
        pose, pose_layers = layers(networks.pose_encoder, frames)
        _, decoder_layers = layers(networks.decoder, content, pose)
        return {
            "content_encoder": content_layers,
            "pose_encoder": pose_layers,
            "decoder": decoder_layers,
        }

    captured = jax.eval_shape(outputs, run.key)
    # A network without layers, such as that of no content, returns nothing.
    return {name: list(map(_size, _leaves(tree))) or [0] for name, tree in captured.items()}


def _leaves(intermediates: Any) -> Iterator[Tree]:
    """Yields what modules without modules inside have returned."""
    inner = [value for value in intermediates.values() if isinstance(value, dict)]
    for value in inner:
        yield from _leaves(value)
    if not inner and "__call__" in intermediates:
        yield intermediates["__call__"]


def _size(tree: Tree) -> int:
    """Returns the bytes of the arrays, or of their shapes, in `tree`."""
    arrays: Iterable[Any] = jax.tree.leaves(tree)
    return sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in arrays)


def machine_memory() -> int | None:
    """Returns the bytes of memory and swap space that this process may use; None if unknown."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows.
        return None
    # A container may have less, if its limit is below the memory of the machine.
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    memory = min(memory, int(limit)) if limit.isdigit() else memory
    swap = [line.split()[1] for line in _read("/proc/meminfo").splitlines() if "SwapTotal" in line]
    return memory + (int(swap[0]) * 1024 if swap else 0)


def device_memory() -> int | None:
    """Returns the bytes of memory of a GPU or TPU; None on CPUs, and where JAX does not know."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") if jax.default_backend() != "cpu" else None


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def _gigabytes(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.3g} GB"


def out_of_memory(error: Exception, doing: str) -> str | None:
    """Returns a line on `error` while `doing`, as in `stopping.doing`; None for other errors."""
    text = str(error)
    if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in text:
        return None
    settings = {
        "training drnet": "config.drnet.batch_size",
        "training predictor": "config.predictor.batch_size or config.predictor.batches_per_set",
        "scoring": "config.evaluation.batch_size",
        "generating": "config.rollout.frames_at_once or config.rollout.num_clips",
        "opening the data": "config.data.in_memory_gb",
    }
    lower = settings.get(doing.partition(":")[0], "batch sizes")  # As in `scoring: swaps`.
    return f"Out of memory while {doing}: lower {lower}, and use the same command again."
