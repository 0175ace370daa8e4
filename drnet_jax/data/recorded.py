"""The source of clips that were prepared on disk: videos, full turns, and their stand-ins."""

import copy
import functools
from collections.abc import Iterator

import flax.struct
import jax
import numpy as np
from jax.sharding import Mesh

from drnet_jax.base import prng, wording
from drnet_jax.base.arrays import Tree
from drnet_jax.data import pipeline
from drnet_jax.data.clip_store import ClipStore
from drnet_jax.data.ground_truth import Factors, GroundTruth
from drnet_jax.data.preparation.builder import SPLITS, ClipBuilder
from drnet_jax.data.source import HostSource, LookUp

ENDLESS = 2**20
"""The length that is reported for a periodic clip, in frames."""

_RADIANS = {"azimuth": np.pi / 180, "phase": 1.0}
"""The factors that are angles, each with its unit."""


@flax.struct.dataclass
class RecordedClips:
    """Sampled clips."""

    numbers: np.ndarray  # int `[batch]`, which clips of the split these are.
    starts: np.ndarray  # int `[batch]`, the frame that is time 0.


class RecordedSource(HostSource):
    """Batches of prepared clips; the sampled clips are `RecordedClips`.

    Attributes:
      builder: the data set that prepared the clips.
      stores: the clips of each split.
    """

    def __init__(
        self,
        builder: ClipBuilder,
        *,
        max_frame_gap: int,
        consecutive: bool = False,
        max_bytes: float,
        seed: int,
        mesh: Mesh,
    ):
        """Opens prepared clips, and keeps the frames of splits up to `max_bytes` in memory.

        A batch is a function of `seed` and its number, and is split over the devices of `mesh`.
        `max_frame_gap` and `consecutive` are explained at `HostSource.train_frames`.

        Raises:
          ValueError: if the prepared data are damaged.
        """
        self.builder = builder
        self.stores = {split: ClipStore(builder, split, max_bytes) for split in SPLITS}
        self.stand_in = builder.CARD.stand_in
        self.clips_end = not builder.CARD.periodic
        kind = "stand_in" if self.stand_in else "real"
        self.resolved = {"source": kind, "fingerprint": builder.builder_config.name}
        self.truth = RecordedTruth(self)
        self._max_frame_gap = max_frame_gap
        self._consecutive = consecutive
        self._seed = seed
        self._mesh = mesh
        counts = ", ".join(
            wording.count(len(store), f"{'training' if split == 'train' else split} clip")
            for split, store in self.stores.items()
        )
        warning = "STAND-IN, not the data of the paper. " if self.stand_in else ""
        self.note = f"{warning}{builder.CARD.title}: {counts}"

    @property
    def max_frames(self) -> int:
        if not self.clips_end:
            return ENDLESS
        return int(np.median(self.stores["test"].lengths))

    def reordered(self, number: int) -> "RecordedSource":
        source = copy.copy(self)
        source._seed = int(prng.host_stream(self._seed, "reordered", number).integers(2**32))
        return source

    def train_frames(self, first: int, batch_size: int, num_frames: int) -> Iterator[jax.Array]:
        def make(number: int, rows: slice) -> np.ndarray:
            store = self.stores["train"]
            rng = prng.host_stream(self._seed, "drnet frames", number)
            numbers = self._shuffled("drnet order", number, batch_size)
            lengths = store.lengths[numbers]
            if self._consecutive:
                clips = RecordedClips(numbers, self._starts(lengths, num_frames, rng))
                times = self.frame_numbers("train", clips, np.arange(num_frames))
            else:
                times = self._times(lengths, num_frames, rng)
            return store.gather(numbers[rows], times[rows])

        yield from pipeline.batches(make, first, batch_size, self._mesh)

    def train_clips(
        self, first: int, batch_size: int, num_frames: int, look_up: LookUp
    ) -> Iterator[tuple[Tree, jax.Array]]:
        def make(number: int, rows: slice) -> tuple[Tree, np.ndarray]:
            store = self.stores["train"]
            rng = prng.host_stream(self._seed, "predictor frames", number)
            numbers = self._shuffled("predictor order", number, batch_size)
            starts = self._starts(store.lengths[numbers], num_frames, rng)
            clips = RecordedClips(numbers[rows], starts[rows])
            frame_numbers = self.frame_numbers("train", clips, np.arange(num_frames))
            lengths = np.minimum(self.lengths("train", clips), num_frames)
            return look_up(clips.numbers, frame_numbers), lengths.astype(np.int32)

        yield from pipeline.batches(make, first, batch_size, self._mesh)

    def sample(
        self,
        split: str,
        key: jax.Array,
        num_clips: int,
        *,
        num_frames: int = 1,
        unlike: RecordedClips | None = None,
    ) -> RecordedClips:
        lengths = self.stores[split].lengths
        rng = prng.host_generator(key)
        allowed = np.arange(len(lengths))
        if self.clips_end:
            allowed = allowed[lengths >= num_frames]
        # Every clip comes once before any comes again.
        rounds = [rng.permutation(allowed) for _ in range(-(-num_clips // len(allowed)))]
        numbers = np.concatenate(rounds)[:num_clips]
        if unlike is not None:
            contents = self.stores[split].contents
            for i in np.flatnonzero(contents[numbers] == contents[unlike.numbers]):
                others = allowed[contents[allowed] != contents[numbers[i]]]
                if not len(others):  # At least another clip, if there is one.
                    others = allowed[allowed != unlike.numbers[i]]
                numbers[i] = rng.choice(others) if len(others) else numbers[i]
        return RecordedClips(numbers, self._starts(lengths[numbers], num_frames, rng))

    def all_clips(self, split: str, num_frames: int = 1) -> RecordedClips:
        numbers = np.arange(len(self.stores[split]))
        if self.clips_end:
            numbers = numbers[self.stores[split].lengths >= num_frames]
        return RecordedClips(numbers, np.zeros(len(numbers), int))

    def frame_counts(self, split: str) -> np.ndarray:
        return self.stores[split].lengths

    def frames(self, split: str, clips: RecordedClips, times: np.ndarray) -> np.ndarray:
        return self.stores[split].gather(clips.numbers, self.frame_numbers(split, clips, times))

    def identities(self, split: str, clips: RecordedClips, times: np.ndarray) -> np.ndarray:
        return np.column_stack([clips.numbers, self.frame_numbers(split, clips, times)])

    def clusters(self, split: str, clips: RecordedClips) -> np.ndarray:
        return self.stores[split].clusters[clips.numbers]

    def frame_numbers(self, split: str, clips: RecordedClips, times: np.ndarray) -> np.ndarray:
        """Returns int `[batch, time]`, the frame numbers within each clip at `times`."""
        times = clips.starts[:, None] + times
        lengths = self.stores[split].lengths[clips.numbers][:, None]
        return np.minimum(times, lengths - 1) if self.clips_end else times % lengths

    def lengths(self, split: str, clips: RecordedClips) -> np.ndarray:
        if not self.clips_end:
            return np.full(len(clips.numbers), ENDLESS)
        return self.stores[split].lengths[clips.numbers] - clips.starts

    def random_times(
        self, split: str, clips: RecordedClips, key: jax.Array, num_times: int
    ) -> np.ndarray:
        lengths = self.stores[split].lengths[clips.numbers]
        times = self._times(lengths, num_times, prng.host_generator(key))
        return times - clips.starts[:, None]

    def _times(self, lengths: np.ndarray, num_times: int, rng: np.random.Generator) -> np.ndarray:
        """Returns int `[batch, num_times]`, random frame numbers at most `max_frame_gap` apart."""
        longest = lengths - 1
        reach = np.minimum(self._max_frame_gap, longest)
        # In a periodic clip, a window may begin anywhere and wrap around.
        starts = rng.integers(0, longest - reach + 1 if self.clips_end else lengths)
        times = starts[:, None] + rng.integers(0, reach[:, None] + 1, (len(lengths), num_times))
        return times % lengths[:, None]

    def _starts(self, lengths: np.ndarray, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """Returns int `[batch]`, random starts of `num_frames`; 0 in shorter clips."""
        if not self.clips_end:
            return rng.integers(0, lengths)
        return rng.integers(0, np.maximum(lengths - num_frames, 0) + 1)

    def _shuffled(self, name: str, number: int, batch_size: int) -> np.ndarray:
        """Returns the clips of a batch; each epoch has every clip once, in a new random order."""
        num_clips = len(self.stores["train"])
        epochs, within = np.divmod(np.arange(batch_size) + number * batch_size, num_clips)
        numbers = np.empty(batch_size, int)
        for epoch in np.unique(epochs):
            order = prng.host_stream(self._seed, name, int(epoch)).permutation(num_clips)
            numbers[epochs == epoch] = order[within[epochs == epoch]]
        return numbers


class RecordedTruth(GroundTruth):
    """What the builder of a `RecordedSource` knows about its clips."""

    def __init__(self, source: RecordedSource):
        self._source, self._builder, self._stores = source, source.builder, source.stores

    def factors(self, split: str, clips: RecordedClips, times: np.ndarray) -> Factors | None:
        """Returns the builder's content factors, and as pose the factors with a value per frame."""
        if not self._classes and not self._tracks:
            return None
        known = [self._stores[split].factors[number] for number in clips.numbers]
        content = {
            name: np.searchsorted(values, [clip[name] for clip in known])
            for name, values in self._classes.items()
        }
        pose = {}
        for name in self._tracks:
            track = self._values(name, split, clips, times)
            if name in _RADIANS:
                # An angle itself would jump from 360 degrees to 0.
                angle = track * _RADIANS[name]
                pose[name] = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
            else:
                pose[name] = track[..., None]
        num_classes = {name: len(values) for name, values in self._classes.items()}
        return Factors(content, num_classes, pose, clips.numbers)

    @functools.cached_property
    def _classes(self) -> dict[str, np.ndarray]:
        """The distinct values of each factor of content in both splits, ascending."""
        clips = [clip for store in self._stores.values() for clip in store.factors]
        return {name: np.unique([clip[name] for clip in clips]) for name in self._builder.CONTENT}

    @functools.cached_property
    def _tracks(self) -> list[str]:
        """The names of the factors that have a value for every frame."""
        return [name for name, value in self._stores["train"].factors[0].items() if np.ndim(value)]

    def _values(self, name: str, split: str, clips: RecordedClips, times: np.ndarray) -> np.ndarray:
        """Returns the values of a factor in the frames at `times`, `[batch, time]`."""
        rows = self._source.frame_numbers(split, clips, times)
        known = (self._stores[split].factors[number][name] for number in clips.numbers)
        return np.stack([track[row] for track, row in zip(known, rows, strict=True)])

    def turn_length(self, split: str) -> int | None:
        lengths = np.unique(self._stores[split].lengths)
        turns = not self._source.clips_end and "azimuth" in self._tracks
        return int(lengths[0]) if turns and len(lengths) == 1 else None

    def azimuths(self, split: str, clips: RecordedClips, times: np.ndarray) -> np.ndarray | None:
        known = self.turn_length(split) is not None
        return self._values("azimuth", split, clips, times) if known else None

    def labels(self, split: str, clips: RecordedClips) -> tuple[np.ndarray, list[str]] | None:
        label, features = self._builder.LABEL, self._builder.info.features
        if label not in features:
            return None
        known = self._stores[split].factors
        classes = np.array([int(known[number][label]) for number in clips.numbers])
        return classes, list(features[label].names)

    def swap_targets(
        self, split: str, content: RecordedClips, pose: RecordedClips, time: int
    ) -> np.ndarray | None:
        """Returns one target per pair, `[batch, 1, ...]`, or None if they are unknown.

        They are known for full turns of equal length, and where the builder can draw swaps.
        """
        store = self._stores[split]
        times = pose.starts + time
        if not self._source.clips_end:
            lengths = store.lengths[content.numbers]
            if np.any(lengths != store.lengths[pose.numbers]):
                return None
            # Every turn begins at the same angle, so the pose is the number of the frame.
            return store.gather(content.numbers, (times % lengths)[:, None])
        frames = [
            self._builder.swap_truth(store.factors[a], store.factors[b], t)
            for a, b, t in zip(content.numbers, pose.numbers, times, strict=True)
        ]
        return None if frames[0] is None else np.stack(frames)[:, None]
