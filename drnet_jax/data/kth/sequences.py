"""Reads `00sequences.txt`, KTH's list of the frames of each video that show the action."""

import dataclasses
import pathlib
import re

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")

_EXAMPLE = "person01_boxing_d1 frames 1-95, 96-185"
_MAX_BYTES = 1_000_000  # The original has 38,081: anything much larger is another file.
_VIDEO = re.compile(rf"person(\d\d)_({'|'.join(ACTIONS)})_d([1-4])\s+(?:frames\s+(.+)|\*missing\*)")
_RANGE = re.compile(r"(\d{1,6})\s*-\s*(\d{1,6})")


@dataclasses.dataclass(frozen=True)
class Video:
    """One line of the list."""

    name: str  # Name of the video, such as `person01_boxing_d1`.
    action: str  # One of `ACTIONS`.
    person: int  # 1 to 25.
    scenario: int  # 1 outdoors, 2 with changes of scale, 3 in other clothes, 4 indoors.
    # (first, last) frame of each sequence, counted from 1, both included, in any order and perhaps
    # overlapping; None if the list calls the video missing.
    ranges: tuple[tuple[int, int], ...] | None


def read(path: pathlib.Path) -> list[Video]:
    """Returns the videos of the list at `path`, sorted by name.

    Any text may stand above the first video, and only videos and empty lines below it.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a line is malformed, or a video is listed twice.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path}, the list of sequences that comes with KTH from "
            "https://www.csc.kth.se/cvap/actions/00sequences.txt."
        )
    content = path.read_bytes()
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path} has {len(content)} bytes; allowed: {_MAX_BYTES} or fewer.")
    videos: dict[str, Video] = {}
    # Latin-1 decodes any byte, and all that is used is ASCII.
    for number, line in enumerate(content.decode("latin-1").splitlines(), start=1):
        line = line.strip()
        if not line or not (videos or line.startswith("person")):
            continue
        video = _parse(line, f"{path}, line {number}")
        if video.name in videos:
            raise ValueError(f"{path}, line {number}: {video.name} is listed twice.")
        videos[video.name] = video
    if not videos:
        raise ValueError(f"{path} lists no videos; expected lines like {_EXAMPLE!r}.")
    return sorted(videos.values(), key=lambda video: video.name)


def _parse(line: str, where: str) -> Video:
    match = _VIDEO.fullmatch(line)
    if not match or not 1 <= int(match[1]) <= 25:
        raise ValueError(f"{where}: {line[:80]!r} is not of the form {_EXAMPLE!r}.")
    person, action, scenario, listed = match.groups()
    ranges = None if listed is None else []
    for piece in map(str.strip, listed.rstrip(" ,").split(",") if listed else ()):
        match = _RANGE.fullmatch(piece)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(
                f"{where}: {piece[:80]!r} is not a range of frames; allowed: FIRST-LAST, counted "
                "from 1."
            )
        ranges.append((int(match[1]), int(match[2])))
    name = f"person{person}_{action}_d{scenario}"
    return Video(name, action, int(person), int(scenario), ranges and tuple(ranges))
