"""Clips as folders of PNG files read with Pillow, the way video models are usually released.

`PngClips` is a map-style dataset for PyTorch, without importing it.
"""

import dataclasses
import pathlib
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image

from drnet_jax.data.clip_store import ClipStore


def write_folders(store: ClipStore, folder: pathlib.Path) -> list[list[str]]:
    """Writes each clip of `store` to a folder below `folder`; returns the files of each."""
    clips = []
    for number, length in enumerate(store.lengths):
        times = np.arange(length)
        files = [folder / f"{number:05d}" / f"{time:04d}.png" for time in times]
        files[0].parent.mkdir(parents=True)
        frames = store.gather(np.array([number]), times[None])[0]
        for frame, file in zip(frames, files, strict=True):
            # Pillow has no axis for a single channel.
            Image.fromarray(frame.squeeze()).save(file)
        clips.append([str(file) for file in files])
    return clips


@dataclasses.dataclass(frozen=True)
class PngClips:
    """Random frames of a clip, as `RecordedSource.train_frames` draws them.

    Attributes:
      clips: the files of each clip, in order of time.
      num_frames: frames to read of each clip.
      max_frame_gap: largest distance in time between two of them.
    """

    clips: Sequence[Sequence[str]]
    num_frames: int
    max_frame_gap: int

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, clip: int) -> np.ndarray:
        """Returns uint8 `[num_frames, height, width, channels]` of random times."""
        length = len(self.clips[clip])
        reach = min(self.max_frame_gap, length - 1)
        # The chairs turn full circle, so a window may cross the end of a clip.
        start = random.randrange(length)
        times = [(start + random.randint(0, reach)) % length for _ in range(self.num_frames)]
        return self.read(clip, times)

    def read(self, clip: int, times: Sequence[int]) -> np.ndarray:
        """Returns uint8 `[len(times), height, width, channels]`."""
        frames = []
        for time in times:
            with Image.open(self.clips[clip][time]) as picture:
                frames.append(np.asarray(picture))
        stacked = np.stack(frames)
        return stacked if stacked.ndim == 4 else stacked[..., None]
