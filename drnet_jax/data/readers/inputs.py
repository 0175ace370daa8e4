"""What people hand over as clips: videos, arrays, and folders of numbered pictures."""

import dataclasses
import itertools
import pathlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from drnet_jax.data.preparation.builder import UnreadableError
from drnet_jax.data.readers import array_files, image_files, raw_files, video_files
from drnet_jax.data.readers.framing import Framing
from drnet_jax.data.readers.raw_files import RawFile

CONTENTS = "videos, arrays in .npy files, or folders of numbered pictures"


@dataclasses.dataclass(frozen=True)
class Input:
    """A video, an array in a file, or the numbered pictures of a folder."""

    name: str  # Its path below the folder that was searched, spelled the same on every system.
    files: tuple[RawFile, ...]

    @property
    def is_video(self) -> bool:
        """Whether it is a video, whose frames have times."""
        pictures = (*image_files.SUFFIXES, *image_files.HEIC)
        return self._suffix not in (*pictures, array_files.SUFFIX)

    @property
    def _suffix(self) -> str:
        return self.files[0].path.suffix.lower()

    def length(self, frame_rate: Fraction | None) -> tuple[Fraction, Fraction | None]:
        """Returns its length and the frames per unit of it; 0 and None are unknown.

        The unit is a second of a video, of which `frame_rate` frames are used, None for all; or
        else a frame.

        Raises:
          UnreadableError: it is not a video or an array.
        """
        if self._suffix == array_files.SUFFIX:
            return Fraction(array_files.length(self.files[0].path, self.name)), Fraction(1)
        if not self.is_video:
            return Fraction(len(self.files)), Fraction(1)
        duration, rate = video_files.read_timing(self.files[0].path, self.name)
        return duration or Fraction(0), frame_rate or rate

    def frames(
        self,
        framing: Framing,
        frame_rate: Fraction | None,
        start: Fraction = Fraction(0),
        stop: Fraction | None = None,
    ) -> Iterator[tuple[Fraction | None, np.ndarray]]:
        """Returns the seconds, if it has times, and uint8 `[size, size, channels]` of each frame.

        Args:
          framing: the form of the frames.
          frame_rate: the frames per second of a video that are used; None for all.
          start: the first second of a video, or else the first frame, counted from 0.
          stop: that before which to stop; None for the end.

        Raises:
          UnreadableError: it cannot be used. If it is damaged later on, the frames before that are
            used, and a warning is logged.
        """
        if not self.is_video:
            part = slice(int(start), None if stop is None else int(stop))
            if self._suffix == array_files.SUFFIX:
                found = array_files.frames(self.files[0].path, self.name, framing, part)
                return ((None, frame) for frame in found)
            pictures = [(file.name, file.path) for file in in_order(self.files)[part]]
            return ((None, frame) for frame in image_files.frames(pictures, framing))
        path = self.files[0].path
        timed = video_files.frames(path, self.name, framing, start=start, stop=stop)
        timed = video_files.before_damage(timed)
        return video_files.resample(timed, frame_rate, self.name) if frame_rate else timed


@dataclasses.dataclass(frozen=True)
class Found:
    """What a folder holds."""

    inputs: dict[str, Input]  # By name, in natural order.
    ignored: list[tuple[str, str]]  # Name and reason of each file that is not part of any input.


def find(path: pathlib.Path) -> Found:
    """Returns the clips below a folder, each a file or a folder, or the one in the file `path`.

    Raises:
      OSError: a folder cannot be read.
      ValueError: a name is not UTF-8, or two differ only in how they spell accents.
    """
    if not path.is_dir():
        return Found({path.name: Input(path.name, (raw_files.raw_file(path, path.name),))}, [])
    videos: list[RawFile] = []
    pictures: dict[str, list[RawFile]] = {}
    files, dangling = raw_files.walk(path)
    ignored = [(name, "a link to nothing") for name in dangling]
    for file in files:
        suffix = file.path.suffix.lower()
        if suffix in (*video_files.SUFFIXES, array_files.SUFFIX):
            videos.append(file)
        elif suffix in image_files.SUFFIXES:
            pictures.setdefault(_parent(file), []).append(file)
        elif suffix in image_files.HEIC:
            ignored.append((file.name, "a HEIC picture, which must be made a JPEG or PNG first"))
        elif suffix in array_files.ARCHIVES:
            reason = f"an archive of arrays; save each clip as {array_files.SUFFIX}"
            ignored.append((file.name, reason))
        else:
            ignored.append((file.name, "neither a video nor a picture"))
    beside = {_parent(file) for file in videos}
    found = {file.name: (file,) for file in videos}
    for folder, group in pictures.items():
        clip = [] if folder in beside else _without_strays(group)
        if clip:
            found[folder] = tuple(clip)
        reason = "a picture beside " + ("videos" if folder in beside else "numbered ones")
        reason = "a picture alone" if len(group) == 1 and folder not in beside else reason
        ignored += ((file.name, reason) for file in group if file not in clip)
    return Found(_by_name(path, found), sorted(ignored, key=lambda i: raw_files.natural_key(i[0])))


def find_one(path: pathlib.Path) -> Input:
    """Returns the only clip at `path`: a video, a picture, or a folder of numbered pictures.

    Raises:
      FileNotFoundError: there is no such file or folder.
      ValueError: the folder holds no clip, or several.
    """
    path = path.expanduser()
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}; give a video or a folder of pictures.")
    found = find(path).inputs
    if len(found) != 1:
        names = ", ".join(list(found)[:2])
        raise ValueError(
            f"{path} holds {len(found)} clips{f', such as {names}' if names else ''}; "
            "give a single video or folder of numbered pictures."
        )
    return next(iter(found.values()))


def read(
    path: pathlib.Path,
    framing: Framing,
    frame_rate: Fraction | None,
    num_frames: int | None = None,
) -> tuple[np.ndarray, float | None]:
    """Returns the frames of the only clip at `path`, and how many of them a second has.

    Frames are uint8 `[time, size, size, channels]`, the first `num_frames` if that is given. The
    rate is None for pictures and single frames. Other arguments are those of `Input.frames`.

    Raises:
      FileNotFoundError, ValueError: as `find_one` and `Input.frames` do.
    """
    timed = list(itertools.islice(find_one(path).frames(framing, frame_rate), num_frames))
    if not timed:
        raise UnreadableError(f"{path} holds no frames.")
    times, frames = zip(*timed, strict=True)
    lasts = times[-1] - times[0] if times[-1] is not None else 0
    return np.stack(frames), float((len(times) - 1) / lasts) if lasts else None


def in_order(files: Sequence[RawFile]) -> list[RawFile]:
    """Returns pictures ordered by the last number in their names that tells them apart.

    Raises:
      UnreadableError: a name has no number, or two have the same.
    """
    if len(files) == 1:
        return list(files)
    numbers = [_numbers(file) for file in files]
    for file, found in zip(files, numbers, strict=True):
        if not found:
            raise UnreadableError(f"{file.name} has no number in its name; frames need an order.")
    shared = min(map(len, numbers))
    # Counted from the end: the 12 of `frame_1_of_12` is the same in all names.
    for place in range(1, shared + 1):
        if len({found[-place] for found in numbers}) == len(files):
            break
    else:
        place = 1
    numbered: dict[int, RawFile] = {}
    for file, found in zip(files, numbers, strict=True):
        earlier = numbered.setdefault(found[-place], file)
        if earlier is not file:
            raise UnreadableError(f"{earlier.name} and {file.name} have the same number.")
    return [file for _, file in sorted(numbered.items())]


def _numbers(file: RawFile) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", pathlib.PurePosixPath(file.name).stem)]


def _without_strays(pictures: list[RawFile]) -> list[RawFile]:
    """Returns the pictures of a folder that make a clip: the numbered ones, if there are two.

    Pictures without any numbers are a clip whose order is unknown, which is reported when read.
    """
    numbered = [file for file in pictures if _numbers(file)]
    if len(numbered) > 1:
        return numbered
    return pictures if len(pictures) > 1 else []


def _parent(file: RawFile) -> str:
    return str(pathlib.PurePosixPath(file.name).parent)


def _by_name(folder: pathlib.Path, found: dict[str, tuple[RawFile, ...]]) -> dict[str, Input]:
    inputs: dict[str, Input] = {}
    for name, files in found.items():
        # Systems spell accents differently; a name must stay the same when files are copied.
        name = unicodedata.normalize("NFC", name)
        if name in inputs:
            raise ValueError(f"{folder} holds {name!r} twice, in different spellings.")
        inputs[name] = Input(name, files)
    return dict(sorted(inputs.items(), key=lambda item: raw_files.natural_key(item[0])))
