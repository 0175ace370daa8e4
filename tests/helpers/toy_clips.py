"""Data sets of tiny clips in which every pixel tells its clip and its frame."""

import dataclasses

import numpy as np

from drnet_jax.data.preparation import prepare
from drnet_jax.data.preparation.builder import Clip, ClipBuilder, ClipConfig, Job
from tests.helpers import squares


@dataclasses.dataclass(kw_only=True)
class ToyConfig(ClipConfig):
    """Settings of the toy data."""

    # Of the training clips, in frames; the three test clips are as long as the longest one.
    lengths: tuple[int, ...]


def read(frames):
    """Returns int `[batch, time]`: 100 for the test split, plus 20 for each clip, plus the time."""
    return np.asarray(frames)[..., 0, 0, 0].astype(int)


class Toy(ClipBuilder, skip_registration=True):
    """Clips that end."""

    CARD = dataclasses.replace(squares.Toy.CARD, title="Toy clips", stand_in=False)

    def factor_features(self):
        return {"object": np.int32}

    def jobs(self):
        lengths = self.builder_config.lengths
        train = [Job(f"train {i}", (i, length)) for i, length in enumerate(lengths)]
        test = [Job(f"test {i}", (5 + i, max(lengths))) for i in range(3)]
        return {"train": train, "test": test}

    def make(self, job):
        object, length = job.arguments
        size = self.builder_config.image_size
        frames = [np.full((size, size, 1), 20 * object + time, np.uint8) for time in range(length)]
        return [Clip(job.name, np.stack(frames), {"object": object})]


class ToyTurn(Toy, skip_registration=True):
    """Clips that go round, of objects that can be seen from any angle."""

    CARD = dataclasses.replace(Toy.CARD, periodic=True)


def create(folder, kind=Toy, lengths=(3, 5, 8, 4)):
    """Returns a data set of frames of 8 x 8 pixels that is prepared in `folder`."""
    name = f"toy_{'_'.join(map(str, lengths))}"
    builder = kind(config=ToyConfig(name=name, image_size=8, lengths=lengths), data_dir=folder)
    prepare.prepare_clips(builder, max_skipped=0)
    return builder
