"""A data set of tiny clips for the tests, and a process that gets stuck preparing it."""

import dataclasses
import itertools
import sys

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation import prepare
from drnet_jax.data.preparation.builder import (
    SPLITS,
    Card,
    Clip,
    ClipBuilder,
    ClipConfig,
    Job,
    UnreadableError,
)

SIZE = 16
ACTIONS = ("walking", "running", "waving")


@dataclasses.dataclass(kw_only=True)
class ToyConfig(ClipConfig):
    """Settings of the toy data."""

    num_jobs: int = 4  # Of each split.
    num_clips: int = 2  # Of each job.

    def __post_init__(self):
        self.name = f"toy_{self.image_size}_{self.num_jobs}_{self.num_clips}"


class Toy(ClipBuilder, skip_registration=True):
    """A square that moves to the right; everything about a clip follows from its name.

    Lists in `made` the jobs it made; jobs with arguments in `unreadable` have bad input.
    """

    CARD = Card(
        title="Moving squares",
        description="A square on gray that moves to the right.",
        license="CC0",
        stand_in=True,
    )

    def __init__(self, *, unreadable=(), **settings):
        super().__init__(**settings)
        self.unreadable = frozenset(unreadable)
        self.made = []

    def factor_features(self):
        return {
            "action": tfds.features.ClassLabel(names=ACTIONS),
            "height": np.int32,
            "brightness": np.float32,
            "person": tfds.features.Text(),
            "position": tfds.features.Tensor(shape=(None,), dtype=np.float32),
        }

    def jobs(self):
        numbers = range(self.builder_config.num_jobs)
        return {split: [Job(f"{split} é {i}.avi", (split, i)) for i in numbers] for split in SPLITS}

    def make(self, job):
        if job.arguments in self.unreadable:
            raise UnreadableError(f"{job.name} has no video\nin it.")
        self.made.append(job.name)
        split, i = job.arguments
        numbers = range(self.builder_config.num_clips)
        return [self._clip(f"{split}_{i}_{number}", i, number) for number in numbers]

    def _clip(self, name, i, number):
        length = 3 + 2 * i + number
        size = self.builder_config.image_size
        frames = np.full((length, size, size, 1), 90, np.uint8)
        side, top = size // 4, (i + 3 * number) % (size // 2)
        positions = np.linspace(0, size - side, length, dtype=np.float32)
        for frame, left in zip(frames, positions.astype(int), strict=True):
            frame[top : top + side, left : left + side] = 150 + 20 * (i % 5)
        factors = {
            "action": ACTIONS[(i + number) % 3],
            "height": top,
            "brightness": 0.5 + 0.1 * (i % 5),
            "person": f"Zoë {i}",
            "position": positions,
        }
        return Clip(name, frames, factors)


def create(folder, unreadable=(), **settings):
    """Returns the toy data set in `folder`."""
    config = ToyConfig(name="", image_size=SIZE, **settings)
    return Toy(config=config, data_dir=folder, unreadable=unreadable)


def prepared(folder, **settings):
    """Returns the toy data set in `folder`, prepared."""
    builder = create(folder, **settings)
    prepare.prepare_clips(builder, max_skipped=0)
    return builder


def stuck_after(count, iterator):
    """Yields `count` items, then says so and waits to be killed."""
    yield from itertools.islice(iterator, count)
    print("Stuck.", flush=True)
    sys.stdin.read()


def main(folder, stage):
    """Prepares the toy data on one thread until it gets stuck while `making` or `writing`."""
    builder = create(folder)
    if stage == "making":
        jobs = stuck_after(3, itertools.repeat(Toy.make))
        Toy.make = lambda self, job, make=Toy.make: next(jobs) and make(self, job)
    else:
        load = prepare._load_records
        prepare._load_records = lambda *arguments: stuck_after(5, load(*arguments))
    prepare.prepare_clips(builder, max_skipped=0, workers=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
