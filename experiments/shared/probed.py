"""What probes read from content and pose, as stored in `evaluation.json`."""

from collections.abc import Mapping
from typing import Any

Score = dict[str, Any]


def identity(scores: Mapping[str, Any]) -> str | None:
    """Returns the factor that names the kind of object: `category`, `digit 1` and so on.

    It is the first factor of content that was probed; None for data without factors.
    """
    probes = scores["leakage"]["probes"] or []
    return next((probe["factor"] for probe in probes if probe["of"] == "content"), None)


def pose_factors(scores: Mapping[str, Any]) -> list[str]:
    """Returns the factors of pose that were probed: `azimuth`, or `position 1` and so on."""
    probes = scores["leakage"]["probes"] or []
    return list(dict.fromkeys(probe["factor"] for probe in probes if probe["of"] == "pose"))


def score(
    scores: Mapping[str, Any], factor: str | None, code: str, kind: str = "linear"
) -> Score | None:
    """Returns how well a probe reads a factor: `mean`, `low`, `high`, `chance` and `on`.

    Args:
      scores: the content of `evaluation.json`.
      factor: name of the factor.
      code: "content" or "pose".
      kind: of the probe, "linear" or "mlp".

    Returns:
      The score on objects that probes never saw (`on` is "held_out_objects"). Factors that identify
      an object are scored on other clips of the same objects ("held_out_clips"). None if there is
      neither score.
    """
    for probe in scores["leakage"]["probes"] or []:
        if (probe["factor"], probe["code"], probe["probe"]) == (factor, code, kind):
            for on in ("held_out_objects", "held_out_clips"):  # The harder question first.
                if probe[on] is not None:
                    return probe[on] | {"on": on}
    return None


def auc(scores: Mapping[str, Any]) -> Score | None:
    """Returns how well a fresh discriminator tells whether two poses belong together.

    It is scored on the same objects on other tracks where such clips can be made. Otherwise it is
    scored on pairs of one clip, which the motion alone may give away.
    """
    pairs = scores["leakage"]["discriminator"]
    return pairs["same_objects"] or pairs["same_clip"]
