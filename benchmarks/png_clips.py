"""Clips as folders of PNG files, read by Pillow: what authors of video models usually give out.

A map-style dataset of PyTorch, though it needs no PyTorch itself.
"""

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
            # One channel is no axis of a picture.
            Image.fromarray(frame.squeeze()).save(file)
        clips.append([str(file) for file in files])
    return clips


class PngClips:
    """Random frames of a clip, as `RecordedSource.train_frames` draws them."""

    def __init__(self, clips: Sequence[Sequence[str]], num_frames: int, max_frame_gap: int):
        """Keeps the names of files.

        Args:
          clips: the files of each clip, in order of time.
          num_frames: how many frames of a clip are read.
          max_frame_gap: the longest distance in time of two of them.
        """
        self._clips = clips
        self._num_frames, self._max_frame_gap = num_frames, max_frame_gap

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, clip: int) -> np.ndarray:
        """Returns uint8 `[num_frames, height, width, channels]` of random times."""
        length = len(self._clips[clip])
        reach = min(self._max_frame_gap, length - 1)
        # The chairs go round, so a window may lie across the end.
        start = random.randrange(length)
        times = [(start + random.randint(0, reach)) % length for _ in range(self._num_frames)]
        return self.read(clip, times)

    def read(self, clip: int, times: Sequence[int]) -> np.ndarray:
        """Returns uint8 `[len(times), height, width, channels]`."""
        frames = []
        for time in times:
            with Image.open(self._clips[clip][time]) as picture:
                frames.append(np.asarray(picture))
        stacked = np.stack(frames)
        return stacked if stacked.ndim == 4 else stacked[..., None]
