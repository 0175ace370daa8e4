"""How fast batches of clips arrive, beside PyTorch's DataLoader on the same clips.

  python -m benchmarks.input --peer=torch

A batch is four frames of each of some random clips of the stand-in for SUNCG chairs, 64 x 64. Ours
go the whole way from prepared clips, in memory or on disk, to device arrays; the peer's are PNG
folders read by Pillow, as the authors' code reads them, in a DataLoader with the number of worker
processes that is fastest here. Both are checked to give the same pixels for the same times, and then
take turns. The last line is JSON: `ratio` and `disk_ratio` are medians of ours / theirs in clips per
second; `waiting_fraction` is the part of its time that training waited for input.
"""

import contextlib
import importlib.util
import itertools
import json
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import jax
import ml_collections
import numpy as np
from absl import app, flags

from benchmarks import subject, timing
from drnet_jax import sharding, steps
from drnet_jax.data import prepare
from drnet_jax.data.procedural_chairs import ProceduralChairs, ProceduralChairsConfig
from drnet_jax.data.recorded import RecordedSource

_PEER = flags.DEFINE_enum("peer", "none", ["none", "torch"], "What ours is compared with.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Rounds that are timed.", lower_bound=1)
_CHAIRS = flags.DEFINE_integer("chairs", 40, "How many are rendered.", lower_bound=2)
_BATCHES = flags.DEFINE_integer("batches", 20, "Of a round.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Clips of a batch.", lower_bound=1)
_TRAIN_STEPS = flags.DEFINE_integer("train_steps", 40, "In which waiting is timed.", lower_bound=0)

_CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
_WORKERS = (0, 1, 2)
_MAX_STEP = 20
_IN_MEMORY, _ON_DISK = 1e10, 0


class Rounds:
    """Takes the next few batches of an endless stream, which begins with its first call."""

    def __init__(self, batches: Iterator, count: int):
        self._batches, self._count = batches, count

    def __call__(self) -> None:
        for batch in itertools.islice(self._batches, self._count):
            jax.block_until_ready(batch)

    def close(self) -> None:
        self._batches.close()


def make_builder(folder: str, num_chairs: int) -> ProceduralChairs:
    """Returns the builder of the clips, 64 x 64 pixels, two turns of each chair."""
    config = ProceduralChairsConfig(num_identities=num_chairs, elevations=(10, 34))
    return ProceduralChairs(config=config, data_dir=folder)


def render_speed(builder: ProceduralChairs) -> float:
    """Prepares the clips; returns how many frames were rendered and written per second."""
    first = builder.jobs()["train"][0]
    builder.make(first)  # Compiles.
    started = time.perf_counter()
    prepare.prepare(builder)
    passed = time.perf_counter() - started
    config = builder.builder_config
    frames = config.num_identities * len(config.elevations) * config.num_azimuths
    return frames / passed


def open_source(builder: ProceduralChairs, max_bytes: float) -> RecordedSource:
    """Returns the prepared clips, in memory if they fit into `max_bytes`."""
    mesh = sharding.data_mesh()
    return RecordedSource(builder, max_step=_MAX_STEP, max_bytes=max_bytes, seed=0, mesh=mesh)


def waiting(source: RecordedSource, config: ml_collections.ConfigDict, num_steps: int) -> dict:
    """Returns steps per second of the first stage of `config`, and how much of it was waiting."""
    tested = subject.create(config)
    state, step = tested.init(), jax.jit(tested.step(), donate_argnums=0)
    size = config.drnet.batch_size
    pairs = steps.sample_pairs(jax.random.key(0), size)
    waited = 0.0
    with contextlib.closing(source.train_frames(0, size, steps.NUM_FRAMES)) as batches:
        for number in range(num_steps + 2):
            if number == 2:  # The first ones compile.
                jax.block_until_ready(state)
                started, waited = time.perf_counter(), 0.0
            asked = time.perf_counter()
            frames = next(batches)
            waited += time.perf_counter() - asked
            state, _ = step(state, steps.DrnetBatch(frames, pairs))
        jax.block_until_ready(state)
    passed = time.perf_counter() - started
    return {"waiting_fraction": waited / passed, "steps_per_s": num_steps / passed}


def check_same_frames(source: RecordedSource, peer: Callable, num_times: int = 4) -> None:
    """Raises ValueError unless `peer(clip, times)` is what `source` has, for every training clip.

    Args:
      source: ours.
      peer: number of a clip and int `[time]` to uint8 frames `[time, height, width, channels]`.
      num_times: how many frames of each clip are compared.
    """
    store = source.stores["train"]
    rng = np.random.default_rng(0)
    for clip, length in enumerate(store.lengths):
        times = rng.integers(0, length, num_times)
        ours = store.gather(np.array([clip]), times[None])[0]
        if not np.array_equal(ours, peer(clip, times)):
            raise ValueError(f"{store.names[clip]} differs from the peer's at {times.tolist()}.")


def load_quick() -> ml_collections.ConfigDict:
    """Returns `configs/suncg.py:quick`."""
    spec = importlib.util.spec_from_file_location("suncg", _CONFIGS / "suncg.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config("quick")


def compare(ours: dict[str, RecordedSource], folder: pathlib.Path) -> dict[str, float]:
    """Returns clips per second of `ours` and, when wanted, of the peer on PNGs in `folder`."""
    size, count = _BATCH_SIZE.value, _BATCHES.value
    rounds = {
        name: Rounds(source.train_frames(0, size, 4), count) for name, source in ours.items()
    }
    if _PEER.value == "torch":
        # Here, so that ours can be measured without PyTorch.
        from benchmarks.torch_peer import input as torch_input

        store = ours["ours"].stores["train"]
        folders = torch_input.write_folders(store, folder)
        dataset = torch_input.PngClips(folders, num_frames=4, max_step=_MAX_STEP)
        check_same_frames(ours["ours"], dataset.read)
        for workers in _WORKERS:
            batches = torch_input.batches(dataset, size, workers)
            rounds[f"peer_{workers}"] = Rounds(batches, max(1, count // 4))
    for take in rounds.values():  # Starts threads and processes, fills what is made ahead.
        take()
    times = timing.alternate(rounds, _REPEATS.value)
    for take in rounds.values():
        take.close()
    return _speeds(times, size, count)
