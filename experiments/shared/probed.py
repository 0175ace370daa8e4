"""What probes found in content and pose, read from `evaluation.json`."""

from collections.abc import Mapping, Sequence
from typing import Any


def identity(scores: Mapping[str, Any]) -> str | None:
    """Returns the factor that says what kind of object is shown: `category`, `digit 1`, ...

    It is the first factor of content that was probed; None where nothing is known about frames.
    """
    probes = scores["leakage"]["probes"] or []
    return next((probe["factor"] for probe in probes if probe["of"] == "content"), None)


def pose_factors(scores: Mapping[str, Any]) -> list[str]:
    """Returns the factors of pose that were probed: `azimuth`, or `position 1` and so on."""
    probes = scores["leakage"]["probes"] or []
    return list(dict.fromkeys(probe["factor"] for probe in probes if probe["of"] == "pose"))


def score(
    scores: Mapping[str, Any], factor: str | None, code: str, kind: str = "linear"
) -> dict[str, Any] | None:
    """Returns how well a factor is read from a code: `mean`, `low`, `high`, `chance` and `on`.

    Args:
      scores: what `evaluation.json` has.
      factor: its name, see above.
      code: content or pose.
      kind: of the probe, linear or mlp.

    Returns:
      The score on objects that probes never saw; on other clips of the same objects for factors
      that only say which object it is. `on` says which of the two. None where there is neither.
    """
    for probe in scores["leakage"]["probes"] or []:
        if (probe["factor"], probe["code"], probe["probe"]) == (factor, code, kind):
            for on in ("held_out_objects", "held_out_clips"):
                if probe[on] is not None:
                    return probe[on] | {"on": on}
    return None


def auc(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns how well a fresh discriminator tells pairs of poses.

    They are of the same objects on other tracks where such clips can be made, else of one clip:
    those the motion alone may tell.
    """
    pairs = scores["leakage"]["discriminator"]
    return pairs["same_objects"] or pairs["same_clip"]


def mean(records: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Returns the mean of several scores, and of the ends of their intervals; None for none.

    That interval is too wide rather than too narrow: errors of several scores even out.
    """
    known = [record for record in records if record is not None]
    if not known:
        return None
    keys = [key for key in ("mean", "low", "high", "chance") if key in known[0]]
    return {key: sum(record[key] for record in known) / len(known) for key in keys}
