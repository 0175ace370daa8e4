"""Which samples of held-out clips are distinct, and which of them are independent.

Recorded clips are drawn again and again once there are no others. A sample is what a score sees:
the same clip from another frame on is another sample, but not an independent one.
"""

import dataclasses
from typing import Any

import numpy as np

from drnet_jax.data import source as source_lib
from drnet_jax.data.source import Clips, Source
from drnet_jax.evaluation import metrics

_FIRST_FRAME = np.array([0])


@dataclasses.dataclass(frozen=True)
class Samples:
    """The distinct samples among those that were drawn.

    Attributes:
      rows: int `[samples]`, where each distinct sample was first drawn, ascending.
      clips: int `[samples]`, equal for samples of the same clip; for pairs, of the same first clip.
      clusters: int `[samples]`, or `[samples, 2]` for pairs, as `metrics.bootstrap` takes them;
        None if all samples are independent.
    """

    rows: np.ndarray
    clips: np.ndarray
    clusters: np.ndarray | None

    @property
    def counts(self) -> dict[str, int]:
        """The entries of a record that tell how many clips are behind its scores."""
        clusters = self.clips if self.clusters is None else self.clusters
        return {
            "num_clips": len(np.unique(self.clips)),
            "num_samples": len(self.rows),
            "num_independent": len(np.unique(clusters)),
        }


def distinct(
    source: Source, split: str, *clips: Clips, times: np.ndarray = _FIRST_FRAME
) -> Samples:
    """Returns the distinct samples among clips of `split`.

    Args:
      source: the data.
      split: train or test.
      *clips: sampled clips; or the first clips of pairs and the second ones, and then pairs of a
        clip with itself are left out.
      times: the times that a sample consists of, int `[time]` or `[batch, time]`.
    """
    identities = [source.identities(split, each, times) for each in clips]
    if identities[0] is None:
        rows = np.arange(source_lib.num_clips(clips[0]))
        return Samples(rows, rows, None)
    numbers = np.stack([identity[:, 0] for identity in identities], axis=1)
    columns = np.concatenate(identities, axis=1)
    rows = np.sort(np.unique(columns, axis=0, return_index=True)[1])
    if len(clips) == 2:
        rows = rows[numbers[rows, 0] != numbers[rows, 1]]
    clusters = np.stack([source.clusters(split, each) for each in clips], axis=1)[rows]
    return Samples(rows, numbers[rows, 0], clusters if len(clips) == 2 else clusters[:, 0])


def partners(clips: np.ndarray, shift: int) -> np.ndarray:
    """Returns for each row the index of a row of another clip, int `[rows]`.

    It is the row `shift` above, or the next one above that is of another clip. Indices may be
    negative and then count from the end.

    Args:
      clips: int `[rows]`, equal for rows of the same clip; at least two must differ.
      shift: how many rows above, at least 1.
    """
    rows = (np.arange(len(clips)) - shift) % len(clips)
    while (own := clips[rows] == clips).any():
        rows[own] -= 1
    return rows


def warnings(record: dict[str, Any]) -> list[str]:
    """Returns sentences on what limits the scores in the record of `score_run`; none if nothing."""
    found = []
    # Fewer clips may be long enough for rollouts.
    for name, part in (("Scores", record), ("Scores of rollouts", record["prediction"])):
        if part is None or (few := part["num_independent"]) >= metrics.FEWEST_CLUSTERS:
            continue
        clips = f"{few} independent held-out {'clip' if few == 1 else 'clips or groups of clips'}"
        trust = "there are no intervals" if few == 1 else "their intervals are too narrow"
        found.append(
            f"{name} are of only {clips}, fewer than {metrics.FEWEST_CLUSTERS}: {trust}, and they "
            "may say little about other clips."
        )
        break  # One warning is enough.
    if record["swap"] is None and record["num_clips"] < 2:
        found.append(
            "Swaps, the discriminator and fresh discriminators are left out: they need two "
            "different held-out clips, and there is one."
        )
    elif record["swap"] is None:
        found.append("Swaps are left out: what they should show is unknown for these data.")
    return found
