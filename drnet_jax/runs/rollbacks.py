"""Rollbacks: training goes back to a checkpoint after a loss or a weight that is not finite.

From there on it sees other batches, as the same ones would lead to the same end. Their order is a
function of the number of rollbacks of the stage, which are kept in `rollbacks.json`, so a resumed
run goes on as an uninterrupted one would.
"""

import dataclasses
from collections.abc import Sequence

from etils import epath

from drnet_jax.base import checked_json

NAME = "rollbacks.json"


@dataclasses.dataclass(frozen=True)
class Rollback:
    """One rollback.

    Attributes:
      stage: the stage, `drnet` or `predictor`.
      step: the step of the checkpoint; 0 is the state before the first step.
      factor: the stage's learning rate is multiplied by this from there on.
      line: why, and what was done, for people.
    """

    stage: str
    step: int
    factor: float
    line: str


def read(workdir: epath.PathLike) -> list[Rollback]:
    """Returns the rollbacks of the run in `workdir`, oldest first.

    Raises:
      ValueError: if their file is damaged.
    """
    path = epath.Path(workdir) / NAME
    try:
        return [Rollback(**fields) for fields in checked_json.read(path)["rollbacks"]]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def write(workdir: epath.PathLike, rollbacks: Sequence[Rollback]) -> None:
    """Writes all rollbacks of a run to its workdir, atomically."""
    fields = [dataclasses.asdict(rollback) for rollback in rollbacks]
    checked_json.write(epath.Path(workdir) / NAME, {"rollbacks": fields})


def known_at(rollbacks: Sequence[Rollback], stage: str, step: int) -> list[Rollback]:
    """Returns the rollbacks without those of `stage` that a run at `step` has not yet made.

    There are such if the newest checkpoints have been lost; the run comes to them again.
    """
    return [each for each in rollbacks if each.stage != stage or each.step <= step]
