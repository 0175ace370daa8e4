"""What the page shows, computed from clips: pictures, videos and numbers, without Gradio."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from drnet_jax import api
from drnet_jax.base import wording
from drnet_jax.base.arrays import as_uint8
from drnet_jax.base.errors import first_line
from drnet_jax.pictures import drawing, grids, video

MOST_FRAMES = 20
"""The first frames of a clip, which are used. Shorter clips are padded to as many, so that one
compiled program serves all of them."""

MOST_STEPS = 10_000
"""The longest rollout, which takes a small model about a minute on a CPU."""

_STRIP_FRAMES = 8
_DENSE_STEPS, _MOST_PLAYED = 500, 1500
_FRAME_PIXELS = 256


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip to choose.

    Attributes:
      name: the name of a user's file; empty for a clip of the model's data set.
      frames: uint8 `[time, height, width, channels]`, as the model takes them.
    """

    name: str
    frames: np.ndarray

    @property
    def middle(self) -> int:
        """The number of the middle frame."""
        return len(self.frames) // 2


@dataclasses.dataclass(frozen=True)
class Shown:
    """A picture and the frames of a video, uint8 `[height, width, 3]` and `[time, ...]`."""

    picture: np.ndarray
    video: np.ndarray


class Playground:
    """A trained model, and the clips of its data set that can be chosen.

    Attributes:
      model: the model.
      name: what the page calls it.
      clips: held-out clips of its data set; empty if that cannot be opened.
      missing: why there are none; empty if there are.
    """

    def __init__(self, model: api.Model, name: str, num_clips: int):
        """Opens the data set of `model` to take `num_clips` clips from it."""
        self.model = model
        self.name = name
        self.missing = ""
        self.clips: list[Clip] = []
        try:
            found = model.held_out_clips(num_clips, MOST_FRAMES)
        except (ValueError, OSError) as error:
            self.missing = first_line(error)
        else:
            self.clips = [Clip("", frames) for frames in found]

    @property
    def note(self) -> str:
        """A sentence on the data that the model was scored on; empty if nothing is known."""
        try:
            data = (self.model.scores or {}).get("data")
        except (ValueError, OSError):  # A page can do without it.
            return ""
        if not isinstance(data, Mapping) or not data.get("note"):
            return ""
        kind = "Stand-in data" if data.get("stand_in") else "Data"
        return f"{kind}: {str(data['note']).rstrip('.')}."

    def read(self, path: str, name: str = "") -> Clip:
        """Returns the clip in a file of the user.

        Raises:
          FileNotFoundError, ValueError: it cannot be read.
        """
        frames = self.model.read(path, MOST_FRAMES)
        return Clip(name or pathlib.Path(path).name, frames)

    def thumbnail(self, clip: Clip) -> np.ndarray:
        """Returns the middle frame, uint8 `[height, width, 3]`, enlarged."""
        return _enlarged(clip.frames[clip.middle], 128)

    def swap(self, content: Clip, motion: Clip) -> Shown:
        """Returns the frames of `motion` with the content of `content`, beside their sources."""
        still, poses = content.frames[content.middle], self._poses(motion)
        swapped = self._frames(content, poses)
        animation = video.swap_animation(still, motion.frames, swapped)
        return Shown(self._strip(motion.frames, swapped, ("motion", "swap")), animation)

    def pose(self, clip: Clip) -> list[float]:
        """Returns the pose of the middle frame, `pose_dim` numbers."""
        return [round(float(x), 4) for x in self._poses(clip)[clip.middle]]

    def ranges(self, clips: Sequence[Clip]) -> list[tuple[float, float]]:
        """Returns the lowest and highest value of each number of the pose, with a margin.

        Over all frames of `clips`; without clips, from -1 to 1.
        """
        if not clips:
            return [(-1.0, 1.0)] * self.model.config.model.pose_dim
        poses = np.concatenate([self._poses(clip) for clip in clips])
        low, high = poses.min(axis=0), poses.max(axis=0)
        margin = np.maximum(0.25 * (high - low), 0.1)
        lows, highs = np.floor(10 * (low - margin)), np.ceil(10 * (high + margin))
        return [(int(a) / 10, int(b) / 10) for a, b in zip(lows, highs, strict=True)]

    def decode(self, content: Clip, pose: Sequence[float]) -> np.ndarray:
        """Returns the content of a clip in one pose, uint8 `[height, width, 3]`, enlarged."""
        return _enlarged(self._frames(content, np.float32([pose]))[0], _FRAME_PIXELS)

    def between(self, content: Clip, first: Clip, last: Clip) -> Shown:
        """Returns the content of a clip in poses on a straight line between those of two clips."""
        ends = (self._poses(clip)[clip.middle] for clip in (first, last))
        frames = self._frames(content, np.linspace(*ends, MOST_FRAMES))
        picture = self._strip(frames, None, ("between",))
        # There and back, so that it can repeat without a jump.
        played = np.concatenate([frames, frames[-2:0:-1]])
        return Shown(picture, np.stack([_enlarged(frame, _FRAME_PIXELS) for frame in played]))

    def rollout(self, clip: Clip, num_steps: int) -> np.ndarray:
        """Returns a video of the observed frames of a clip and the `num_steps` after them.

        Long rollouts skip steps after the first 500, which the counter in the video says.

        Raises:
          ValueError: the clip has too few frames to observe, `num_steps` is not a whole number from
            1 to `MOST_STEPS`, or the model has no predictor.
        """
        if not 1 <= num_steps <= MOST_STEPS or num_steps != int(num_steps):
            raise ValueError(f"{num_steps} steps; allowed: whole numbers from 1 to {MOST_STEPS:,}.")
        num_steps, num_observed = int(num_steps), self.model.config.predictor.num_observed
        if len(clip.frames) < num_observed:
            found = wording.count(len(clip.frames), "frame")
            raise ValueError(
                f"{clip.name or 'The clip'} has {found}; allowed: at least {num_observed}."
            )
        observed = clip.frames[:num_observed]
        # Never less than a chunk, so that one compiled program serves all lengths.
        computed = max(num_steps, self.model.config.rollout.frames_at_once)
        chunks = self.model.rollout_in_chunks(observed, computed)
        generated = np.concatenate([jax.device_get(chunk) for chunk in chunks])[:num_steps]
        last = num_observed + num_steps
        stride = max(1, math.ceil((last - _DENSE_STEPS) / (_MOST_PLAYED - _DENSE_STEPS)))
        steps = video.playback_steps(last, dense=_DENSE_STEPS, stride=stride)
        return video.rollout_animation(observed[None], generated[None], None, steps)

    def _poses(self, clip: Clip) -> np.ndarray:
        """Returns `[time, pose_dim]`."""
        padded = _padded(clip.frames, MOST_FRAMES)
        return np.asarray(self.model.pose(padded))[: len(clip.frames)]

    def _frames(self, content: Clip, poses: np.ndarray) -> np.ndarray:
        """Returns uint8 `[time, height, width, channels]`, the content in `poses` `[time, *]`."""
        encoded = self.model.content(content.frames[content.middle])
        # One pose alone, as a slider gives it, should not wait for twenty frames.
        padded = poses if len(poses) == 1 else _padded(poses, MOST_FRAMES)
        return np.asarray(as_uint8(self.model.decode(encoded, padded)))[: len(poses)]

    def _strip(
        self, first: np.ndarray, second: np.ndarray | None, labels: tuple[str, ...]
    ) -> np.ndarray:
        """Returns evenly spaced frames in a row for each label."""
        times = np.linspace(0, len(first) - 1, min(_STRIP_FRAMES, len(first))).round().astype(int)
        rows = [list(array[times]) for array in (first, second) if array is not None]
        headings = [str(time + 1) for time in times]
        groups = (("frames", drawing.GENERATED, len(times)),)
        return grids.labeled_rows(rows, labels, headings, groups=groups)


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    """Returns `array` `[time, ...]` with its last row repeated up to `length`."""
    missing = [(0, length - len(array)), *[(0, 0)] * (array.ndim - 1)]
    return np.pad(array, missing, mode="edge")


def _enlarged(frame: np.ndarray, pixels: int) -> np.ndarray:
    factor = drawing.enlargement(frame, at_least=pixels)
    return drawing.enlarge(drawing.to_rgb(frame), factor)
