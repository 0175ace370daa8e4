"""How scores are put into words, the same in the terminal, the report and the figures."""

from collections.abc import Mapping

ANSWERS = {
    "model": "this model",
    "truth": "real frames",
    "copy_content_frame": "copy content frame",
    "copy_pose_frame": "copy pose frame",
    "copy_last_frame": "copy last frame",
    "mean_frame": "mean frame",
    "another_clip": "another clip's places",
}
"""Names of the answers compared in `evaluation.json`: the model's, the true one, trivial ones."""


def rounded(score: Mapping[str, float], digits: int) -> tuple[str, str, str]:
    """Returns the mean and the ends of the interval of a score, each with `digits` decimals."""
    mean, low, high = (f"{score[key]:.{digits}f}" for key in ("mean", "low", "high"))
    return mean, low, high


def interval(score: Mapping[str, float], digits: int) -> str:
    """Returns a score with its interval, as in `0.512 [0.498, 0.527]`."""
    return "{} [{}, {}]".format(*rounded(score, digits))
