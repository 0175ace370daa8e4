"""How scores and counts are put into words, the same everywhere."""

from collections.abc import Mapping

ANSWERS = {
    "model": "this model",
    "truth": "real frames",
    "true_poses": "true poses",
    "copy_content_frame": "copy content frame",
    "copy_pose_frame": "copy pose frame",
    "copy_last_frame": "copy last frame",
    "mean_frame": "mean frame",
    "black_frame": "black frame",
    "another_clip": "another clip's places",
}
"""What the report calls the answers in `evaluation.json`: the model's, the truth, trivial ones."""


def ends(score: Mapping[str, float | None], digits: int, between: str = " to ") -> str:
    """Returns the interval of a score in words, as in "0.498 to 0.527"; it may have none."""
    if score["low"] is None or score["high"] is None:
        return "no interval"
    return f"{score['low']:.{digits}f}{between}{score['high']:.{digits}f}"


def interval(score: Mapping[str, float | None], digits: int) -> str:
    """Returns a score with its interval, as in `0.512 [0.498, 0.527]`."""
    return f"{score['mean']:.{digits}f} [{ends(score, digits, ', ')}]"


def count(number: int, noun: str, plural: str = "") -> str:
    """Returns `number` and its noun: "1 video", "2,000 videos"; an empty `plural` adds an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
