"""What is known about clips besides their pixels, to score what a model makes of them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from drnet_jax.base.arrays import Array


@dataclasses.dataclass(frozen=True)
class Factors:
    """The factors of variation of some frames of a batch of clips, by name."""

    content: Mapping[str, np.ndarray]  # int `[batch]`, classes from 0 on, constant within a clip.
    num_classes: Mapping[str, int]  # The number of classes of each factor of content.
    # float `[batch, time, dims]`: changes within a clip. An angle is given as cosine and sine.
    pose: Mapping[str, np.ndarray]
    # int `[batch]`, equal for rows of the same clip; None if all rows are different clips.
    clips: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects in some frames of a batch of clips, always in the same order."""

    classes: np.ndarray  # int `[batch, objects]`, from 0 on.
    num_classes: int
    # float `[batch, time, objects, 2]`, (row, column) of the upper left corner in pixels, at least
    # 0 and below `span`.
    positions: np.ndarray
    visible: np.ndarray  # float `[batch, time, objects]`, the visible share of each, 0 to 1.
    size: int  # Side of an object in pixels.
    span: int  # Number of positions on an axis.


class GroundTruth:
    """What is known about the clips of a source. A method returns None if it is unknown.

    This class knows nothing; each source overrides the methods that it can answer. Clips are what
    `Source.sample` returns; `times` are int `[batch, time]`.
    """

    def factors(self, split: str, clips: Any, times: np.ndarray) -> Factors | None:
        """Returns the factors of variation of the frames at `times`."""

    def labels(self, split: str, clips: Any) -> tuple[np.ndarray, list[str]] | None:
        """Returns the class of motion that each clip shows, and the names of all classes.

        The classes are int `[batch]`, from 0 on.
        """

    def swap_targets(self, split: str, content: Any, pose: Any, time: int) -> np.ndarray | None:
        """Returns what the decoder should draw from the content of one clip and another's pose.

        The targets are uint8 `[batch, assignments, height, width, channels]`; `content` and `pose`
        are the same number of clips, and the poses are those at `time`. There is one target for
        each way to pair the objects of the two clips, because nothing determines which object
        takes which pose.
        """

    def turn_length(self, split: str) -> int | None:
        """Returns the number of frames of a turn, if every clip of `split` is one full turn.

        Frames then repeat after so many times, and `azimuths` answers.
        """

    def azimuths(self, split: str, clips: Any, times: np.ndarray) -> np.ndarray | None:
        """Returns the azimuth in each frame, float `[batch, time]` in degrees, if clips are turns.

        `times` may be int `[time]` as well, the same for every clip.
        """

    def objects(self, split: str, clips: Any, times: np.ndarray) -> Objects | None:
        """Returns the objects at `times`; if known, `locate` and `cut_out` answer as well."""

    def locate(self, split: str, clips: Any, frames: Array) -> Array | None:
        """Returns the positions of the clips' objects in generated frames, as `Objects.positions`.

        `frames` are `[batch, time, height, width, channels]`, uint8 or float in [0, 1].
        """

    def cut_out(self, frames: Array) -> Array | None:
        """Returns a picture of each object alone, wherever it is in the frame.

        `frames` are `[..., height, width, channels]`, uint8 or float in [0, 1]; the pictures are
        float `[..., objects, side, side, 1]` in [0, 1].
        """

    def recombine(self, appearance: Any, motion: Any) -> Any | None:
        """Returns clips with the objects of `appearance` on the trajectories of `motion`."""
