"""What is known about a frame besides its pixels, to score what a model makes of it."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Factors:
    """The factors of variation of frames of a batch of clips.

    Attributes:
      content: int `[batch]` by name, classes from 0 on: what stays the same in a clip.
      num_classes: of each of them.
      pose: float `[batch, time, dims]` by name: what changes; an angle is its cosine and sine.
      clips: int `[batch]`, equal for frames of one clip; None where each is of another one.
    """

    content: Mapping[str, np.ndarray]
    num_classes: Mapping[str, int]
    pose: Mapping[str, np.ndarray]
    clips: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects to be seen in frames of a batch of clips, always in the same order.

    Attributes:
      classes: int `[batch, objects]`, from 0 on.
      num_classes: how many there are.
      positions: float `[batch, time, objects, 2]`, (row, column) of the upper left corner, pixels.
      visible: float `[batch, time, objects]`, how much of each object is to be seen, 0 to 1.
      size: side of an object in pixels.
      span: a position is from 0 to below this.
    """

    classes: np.ndarray
    num_classes: int
    positions: np.ndarray
    visible: np.ndarray
    size: int
    span: int
