"""Data sets of users' videos, by the folder that holds the videos."""

import numpy as np
import pytest

from drnet_jax.data.preparation.builder import UnreadableError
from drnet_jax.data.video_folder.builder import VideoFolder, VideoFolderConfig
from tests.helpers.videos import SIDE

SETTINGS = dict(colored=True, crop="center", frame_rate=0.0, min_frames=2, max_frames=300)
SETTINGS |= dict(background="white", bits=16)
SETTINGS |= dict(image_size=SIDE, test_fraction=0.15)


def create(folder, data_dir="unused", **settings) -> VideoFolder:
    config = VideoFolderConfig(**SETTINGS | {"folder": str(folder)} | settings)
    return VideoFolder(config=config, data_dir=data_dir, file_format="array_record")


def names_of(builder) -> dict[str, list[str]]:
    return {split: [job.name for job in jobs] for split, jobs in builder.jobs().items()}


def read(folder, name: str, **settings) -> np.ndarray:
    """Returns the frames of the only clip of the file `name`."""
    builder = create(folder, **settings)
    [job] = [job for jobs in builder.jobs().values() for job in jobs if job.name == name]
    [made] = builder.make(job)
    return made.frames


def refusal(folder, name: str, **settings) -> str:
    """Returns why the file `name` cannot be read: one line."""
    with pytest.raises(UnreadableError) as caught:
        read(folder, name, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)
