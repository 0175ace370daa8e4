"""What is known about Moving MNIST: its digits, their places, and what swaps should look like."""

import itertools
from collections.abc import Mapping

import jax
import numpy as np

from drnet_jax.base.arrays import Array, as_float
from drnet_jax.data.ground_truth import Factors, GroundTruth, Objects
from drnet_jax.data.moving_mnist.generator import MovingMnist
from drnet_jax.data.moving_mnist.tracks import Tracks

NUM_CLASSES = 10


class MovingMnistTruth(GroundTruth):
    """What is known about clips, which are `Tracks`.

    Gray clips of several digits have swap targets, but no objects, and so no factors: nothing tells
    which digit the ink of a gray frame belongs to.
    """

    def __init__(
        self,
        generator: MovingMnist,
        images: Mapping[str, np.ndarray],
        labels: Mapping[str, np.ndarray],
    ):
        """Takes what the clips are made of.

        `images` are the digits of each split, uint8 `[n, digit_size, digit_size]`, and `labels`
        their classes, int `[n]`.
        """
        self._generator, self._images, self._labels = generator, images, labels
        self._locate = jax.jit(generator.locate)
        self._cut_out = jax.jit(generator.cut_out)

    def swap_targets(self, split: str, content: Tracks, pose: Tracks, time: int) -> np.ndarray:
        """Returns the digits of `content` on the tracks of `pose`, in every assignment."""
        times = np.full((len(content.front), 1), time, np.int32)
        orders = itertools.permutations(range(self._generator.num_digits))
        swapped = [_exchange_tracks(content, pose, list(order)) for order in orders]
        frames = [
            self._generator.render_on_host(self._images[split], clips, times) for clips in swapped
        ]
        return np.concatenate(frames, axis=1)  # Each has a time axis of length 1.

    def factors(self, split: str, clips: Tracks, times: np.ndarray) -> Factors | None:
        """Returns the classes of the digits, which one hides the others, and their positions."""
        if (objects := self.objects(split, clips, times)) is None:
            return None
        numbers = range(self._generator.num_digits)
        content = {f"digit {n + 1}": objects.classes[:, n] for n in numbers}
        num_classes = dict.fromkeys(content, NUM_CLASSES)
        if len(numbers) > 1 and self._generator.blending == "occlude":
            content["front"] = clips.front
            num_classes["front"] = len(numbers)
        pose = {f"position {n + 1}": objects.positions[:, :, n] for n in numbers}
        return Factors(content, num_classes, pose)

    def objects(self, split: str, clips: Tracks, times: np.ndarray) -> Objects | None:
        generator = self._generator
        if not generator.separable:
            return None
        times = np.asarray(times, np.int32)
        positions = generator.positions(clips, times)
        frames = generator.render_on_host(self._images[split], clips, times)
        frames = frames[..., : generator.num_digits]  # Digit n has channel n to itself.
        ink = self._images[split][clips.digits].sum(axis=(2, 3), dtype=np.int64)
        return Objects(
            classes=self._labels[split][clips.digits],
            num_classes=NUM_CLASSES,
            positions=positions.astype(np.float32),
            visible=frames.sum(axis=(2, 3), dtype=np.int64) / np.maximum(ink, 1)[:, None],
            size=generator.digit_size,
            span=generator.span,
        )

    def locate(self, split: str, clips: Tracks, frames: Array) -> jax.Array | None:
        if not self._generator.separable:
            return None
        return self._locate(self._images[split][clips.digits], as_float(frames))

    def cut_out(self, frames: Array) -> jax.Array | None:
        return self._cut_out(as_float(frames)) if self._generator.separable else None

    def recombine(self, appearance: Tracks, motion: Tracks) -> Tracks:
        return _exchange_tracks(appearance, motion, list(range(self._generator.num_digits)))


def _exchange_tracks(content: Tracks, pose: Tracks, order: list[int]) -> Tracks:
    """Returns clips in which digit n of `content` moves along track `order[n]` of `pose`."""
    return Tracks(
        digits=content.digits,
        positions=pose.positions[:, order],
        velocities=pose.velocities[:, order],
        # The digit in front never changes within a clip, so it belongs to the content.
        front=content.front,
    )
