"""The base class of every data set of clips: a tfds builder that lists jobs and makes clips.

Builders never import TensorFlow; `prepare.py` runs them and `data/clip_store.py` reads the result.
"""

import abc
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.proto import tf_example_pb2

SPLITS = ("train", "test")


class UnreadableError(ValueError):
    """An input that cannot be used; the message is one line. Other inputs are not affected."""


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip."""

    name: str  # Unique in its data set, and the same in every preparation.
    frames: np.ndarray  # uint8 `[time, image_size, image_size, channels]`.
    factors: dict[str, Any]  # Values of the features that `ClipBuilder.factor_features` declares.


@dataclasses.dataclass(frozen=True)
class Job:
    """The smallest unit of work in a preparation, such as a video or an object."""

    name: str  # Unique in its data set and meant for people, such as a path below the folder.
    arguments: tuple = ()  # What `ClipBuilder.make` needs; their `repr` tells jobs apart.


@dataclasses.dataclass(frozen=True)
class Card:
    """What people should know about a data set."""

    title: str
    description: str  # What a clip shows, what changes in it, and how the set is split.
    license: str  # Of the frames.
    homepage: str = ""  # The source of the originals; empty for rendered sets.
    citation: str = ""  # Whom to cite; may be empty.
    stand_in: bool = False  # Whether drnet_jax renders it in place of data nobody can download.
    periodic: bool = False  # Whether a clip is one full turn: its first frame follows its last.


@dataclasses.dataclass(kw_only=True)
class ClipConfig(tfds.core.BuilderConfig):
    """Settings of a data set; settings that give different clips must differ in `name`."""

    name: str = ""  # Derived from the other settings, and from the raw files if there are any.
    image_size: int  # Side of a frame in pixels.
    folder: str = ""  # The raw files; empty for rendered sets.


class ClipBuilder(tfds.core.ShardBasedBuilder, abc.ABC, skip_registration=True):
    """Base of all data sets of clips; each record is one clip: frames, length, name and factors.

    A subclass declares the factors, lists the jobs and makes the clips.
    """

    VERSION = tfds.core.Version("1.0.0")
    CARD: Card
    CONFIG: type[ClipConfig] = ClipConfig
    """The class of its settings, for classes that the settings name."""
    CONTENT: tuple[str, ...] = ()
    """The factors that identify the content of a clip; if empty, every clip has its own content."""
    CLUSTER: tuple[str, ...] = ()
    """The factors of who or what is held out as a whole, such as a person; if empty, `CONTENT`."""
    LABEL: str = ""
    """The class factor that names the motion in a clip; empty if there is none."""
    LEAVE_OUT_COPIES = False
    """Whether test inputs that share a clip with a training input are left out."""
    channels: int = 1
    """Channels of a frame: 1 for gray, 3 for color."""

    def __init_subclass__(cls, skip_registration: bool = True, **others: Any):
        # tfds would refuse a second class with a name, and nobody looks for ours in its registry.
        super().__init_subclass__(skip_registration=skip_registration, **others)

    def __init__(self, *, config: ClipConfig, data_dir: epath.PathLike, **others: Any):
        """Opens the data in `data_dir` if they are prepared; raises ValueError if damaged."""
        try:
            super().__init__(config=config, data_dir=data_dir, **others)
        except (ValueError, OSError):
            raise
        except Exception as error:  # tfds lets errors of its JSON parser through.
            raise damaged(epath.Path(data_dir) / self.name / config.name, error) from error

    @abc.abstractmethod
    def factor_features(self) -> dict[str, Any]:
        """Returns the tfds features of the factors, with one value per clip or one per frame."""

    @abc.abstractmethod
    def jobs(self) -> dict[str, list[Job]]:
        """Returns the jobs of each split, always in the same order; reads only names and headers.

        Raises:
          FileNotFoundError: the folder, or a file that it must hold, does not exist.
          ValueError: the folder does not have the layout of this data set.
        """

    @abc.abstractmethod
    def make(self, job: Job) -> list[Clip]:
        """Returns the clips of a job, the same ones every time; several threads call it at once.

        Raises:
          UnreadableError: the job's input cannot be used.
        """

    def ignored(self) -> list[tuple[str, str]]:
        """Returns name and reason of each file in the folder that belongs to no job."""
        return []

    def swap_truth(
        self, content: Mapping[str, Any], pose: Mapping[str, Any], time: int
    ) -> np.ndarray | None:
        """Returns the true frame with the content of one clip and the pose of another.

        `content` and `pose` are the factors of the two clips, and `time` is a frame of the pose
        clip. The result is uint8 `[image_size, image_size, channels]`, or None if it is unknown.
        """

    def serialize(self, clip: Clip) -> bytes:
        """Returns the record of `clip`, one value per feature; equal clips give equal bytes.

        Raises:
          Exception: whichever tfds raises when a value does not fit its feature.
        """
        record = self.info.features.serialize_example(_values(clip))
        # tfds orders the features differently in each process.
        example = tf_example_pb2.Example.FromString(record)
        return example.SerializeToString(deterministic=True)

    def deserialize(self, record: bytes) -> dict[str, Any]:
        """Returns the values of a record by feature; texts are bytes, classes are numbers."""
        return self.info.features.deserialize_example_np(record)

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.image_size
        # Raw bytes are read fastest, and ArrayRecord compresses them anyway.
        frames = tfds.features.Tensor(
            shape=(None, size, size, self.channels), dtype=np.uint8, encoding="bytes"
        )
        own = {"frames": frames, "length": np.int32, "name": tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.CARD.description,
            homepage=self.CARD.homepage or None,
            citation=self.CARD.citation or None,
            features=tfds.features.FeaturesDict(own | self.factor_features()),
            disable_shuffling=True,  # Clips of one video or object stay together, in order.
        )

    def _shard_iterators_per_split(self, dl_manager: tfds.download.DownloadManager) -> dict:
        # tfds' own `download_and_prepare` gets here: one file a split, no card, nothing resumed.
        del dl_manager
        return {
            split: [functools.partial(self._examples, jobs)] for split, jobs in self.jobs().items()
        }

    def _examples(self, jobs: list[Job]) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from enumerate(_values(clip) for job in jobs for clip in self.make(job))

    def _create_builder_config(self, builder_config, version) -> tfds.core.BuilderConfig:
        # tfds would warn that the class does not list these settings.
        del version
        return builder_config


def _values(clip: Clip) -> dict[str, Any]:
    """Returns the values of a clip's record by feature."""
    return {"frames": clip.frames, "length": len(clip.frames), "name": clip.name} | clip.factors


def without_frames(record: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of a decoded record except its frames, which need most of the memory."""
    return {key: value for key, value in record.items() if key != "frames"}


def damaged(folder: epath.PathLike, reason: Exception) -> ValueError:
    """Returns the error for prepared data in `folder` that cannot be read for `reason`."""
    words = " ".join(str(reason).split()) or type(reason).__name__
    return ValueError(
        f"The prepared data in {folder} are damaged ({words.rstrip('.')}); delete that folder."
    )
