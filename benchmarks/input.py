"""How fast batches of clips arrive, beside PyTorch's DataLoader on the same clips.

  python -m benchmarks.input --peer=torch

A batch is four frames of each of some random clips of the stand-in for SUNCG chairs, 64 x 64. Ours
go all the way from prepared clips, in memory and on disk, to device arrays. The peer reads folders
of PNG files with Pillow, in a DataLoader with 0, 1 and 2 worker processes; the fastest counts. Both
must give the same pixels for the same times, and then take turns. The last line is JSON: `ratio`
and `disk_ratio` are medians of ours / theirs in clips per second, `waiting_fraction` is the share
of its time that training waits for input.
"""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import jax
import ml_collections
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from benchmarks import subject
from benchmarks.png_clips import PngClips, write_folders
from drnet_jax.base import sharding
from drnet_jax.data.preparation import prepare
from drnet_jax.data.recorded import RecordedSource
from drnet_jax.data.suncg.stand_in import StandInChairs, StandInChairsConfig
from drnet_jax.training import steps

_PEER = flags.DEFINE_enum("peer", "none", ["none", "torch"], "What to compare with.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Timed rounds.", lower_bound=1)
_CHAIRS = flags.DEFINE_integer("chairs", 40, "Chairs to render.", lower_bound=2)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Clips in a batch.", lower_bound=1)
_BATCHES = flags.DEFINE_integer("batches", 10, "Batches of the peer in a round.", lower_bound=1)
_TRAIN_STEPS = flags.DEFINE_integer(
    "train_steps", 40, "Steps in which waiting is timed.", lower_bound=1
)

_MAX_STEP = 20
_WORKERS = (0, 1, 2)
# Batches before the clock starts: more than are ever made ahead, so that no timed one is ready.
_NUM_AHEAD = 8
# Bytes that may be in memory, and batches for each of the peer's: from memory ours is so fast that
# a round of as many would be too short to time.
_OURS = {"ours": (1e10, 20), "disk": (0, 1)}

Stream = Callable[[], Iterator]


def open_source(builder: StandInChairs, max_bytes: float) -> RecordedSource:
    """Returns the prepared clips, in memory if they fit into `max_bytes`."""
    mesh = sharding.data_mesh()
    return RecordedSource(builder, max_frame_gap=_MAX_STEP, max_bytes=max_bytes, seed=0, mesh=mesh)


def render_speed(builder: StandInChairs) -> float:
    """Prepares the clips; returns frames rendered and written per second."""
    builder.make(builder.jobs()["train"][0])  # Compiles.
    started = time.perf_counter()
    prepare.prepare_clips(builder, max_skipped=0)
    passed = time.perf_counter() - started
    frames = sum(split.num_examples for split in builder.info.splits.values())
    return frames * builder.builder_config.num_azimuths / passed


def check_same_frames(source: RecordedSource, peer: PngClips, num_times: int = 4) -> None:
    """Raises ValueError unless both have the same pixels at random times of every clip."""
    store = source.stores["train"]
    rng = np.random.default_rng(0)
    for clip, length in enumerate(store.lengths):
        times = rng.integers(0, length, num_times)
        ours = store.gather(np.array([clip]), times[None])[0]
        if not np.array_equal(ours, peer.read(clip, times)):
            raise ValueError(f"{store.names[clip]} differs from the peer's at {times.tolist()}.")


def torch_stream(dataset: PngClips, batch_size: int, num_batches: int, workers: int) -> Stream:
    """Returns a stream of `num_batches` batches, from worker processes that are kept."""
    # Imported here, so that ours can be measured without PyTorch.
    import torch.utils.data

    # Exactly the clips of a round, so that nothing is made ahead when it is over.
    sampler = torch.utils.data.RandomSampler(
        dataset, replacement=True, num_samples=batch_size * num_batches
    )
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        # The threads of JAX do not survive a fork.
        multiprocessing_context="spawn" if workers else None,
    )
    return lambda: (batch for batch in loader)


def clips_per_second(stream: Stream, batch_size: int, num_batches: int) -> float:
    """Returns how fast `num_batches` batches of `stream` arrive after the first ones."""
    with contextlib.closing(stream()) as batches:
        jax.block_until_ready(list(itertools.islice(batches, _NUM_AHEAD)))
        started = time.perf_counter()
        for batch in itertools.islice(batches, num_batches):
            jax.block_until_ready(batch)
        return batch_size * num_batches / (time.perf_counter() - started)


def measure_waiting(
    source: RecordedSource, config: ml_collections.ConfigDict, num_steps: int
) -> float:
    """Returns the share of the time of `num_steps` training steps that was waiting for frames."""
    tested = subject.create(config)
    state, step = tested.init(), jax.jit(tested.step(), donate_argnums=0)
    size = config.drnet.batch_size
    pairs = steps.sample_pairs(jax.random.key(0), size)
    waited = started = 0.0
    with contextlib.closing(source.train_frames(0, size, steps.NUM_FRAMES)) as batches:
        for number in range(_NUM_AHEAD + num_steps):
            if number == _NUM_AHEAD:
                jax.block_until_ready(state)
                started, waited = time.perf_counter(), 0.0
            asked = time.perf_counter()
            frames = next(batches)
            waited += time.perf_counter() - asked
            state, _ = step(state, steps.DrnetBatch(frames, pairs))
        jax.block_until_ready(state)
    return waited / (time.perf_counter() - started)


def compare(streams: dict[str, tuple[Stream, int]], batch_size: int, repeats: int) -> dict:
    """Returns clips per second of `streams`, which take turns, and ratios to the fastest peer.

    Args:
      streams: by name a stream and its number of timed batches; the fastest of those whose names
        begin with `peer` is the peer.
      batch_size: clips in a batch.
      repeats: turns of each.
    """
    speeds = {name: [] for name in streams}
    for _ in range(repeats):
        for name, (stream, num_batches) in streams.items():
            speeds[name].append(clips_per_second(stream, batch_size, num_batches))
    result = {f"{name}_clips_per_s": statistics.median(found) for name, found in speeds.items()}
    peers = {name: found for name, found in speeds.items() if name.startswith("peer")}
    if not peers:
        return result
    best = max(peers, key=lambda name: statistics.median(peers[name]))
    result |= {"peer_clips_per_s": result[f"{best}_clips_per_s"], "peer": best}
    for name, ratio in {"ours": "ratio", "disk": "disk_ratio"}.items():
        pairs = [a / b for a, b in zip(speeds[name], speeds[best], strict=True)]
        result[ratio] = statistics.median(pairs)
    return result


def measure(folder: pathlib.Path) -> dict:
    """Returns all figures, of clips that are rendered into `folder`: two turns of each chair."""
    config = StandInChairsConfig(
        image_size=64, num_identities=_CHAIRS.value, elevations=(10, 34), num_azimuths=36, seed=0
    )
    builder = StandInChairs(config=config, data_dir=folder / "prepared")
    result = {"render_fps": render_speed(builder)}
    size, count = _BATCH_SIZE.value, _BATCHES.value
    sources = {name: open_source(builder, max_bytes) for name, (max_bytes, _) in _OURS.items()}
    streams = {}
    for name, source in sources.items():
        stream = functools.partial(source.train_frames, 0, size, steps.NUM_FRAMES)
        streams[name] = stream, count * _OURS[name][1]
    if _PEER.value == "torch":
        clips = write_folders(sources["ours"].stores["train"], folder / "png")
        dataset = PngClips(clips, steps.NUM_FRAMES, _MAX_STEP)
        check_same_frames(sources["ours"], dataset)
        for workers in _WORKERS:
            stream = torch_stream(dataset, size, _NUM_AHEAD + count, workers)
            streams[f"peer_{workers}_workers"] = stream, count
    result |= compare(streams, size, _REPEATS.value)
    for name, key in {"ours": "waiting_fraction", "disk": "disk_waiting_fraction"}.items():
        result[key] = measure_waiting(sources[name], flags.FLAGS.config, _TRAIN_STEPS.value)
    return result


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    print(f"{jax.devices()[0].device_kind}, {cores} cores, jax {jax.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        result = measure(pathlib.Path(folder))
    for name, value in result.items():
        print(f"{name}: {value if isinstance(value, str) else format(value, '.4g')}")
    print(json.dumps(result))


if __name__ == "__main__":
    # Not on import: it reads the settings file.
    config_flags.DEFINE_config_file(
        "config", "configs/suncg.py:quick", "What to train while waiting is timed."
    )
    app.run(main)
