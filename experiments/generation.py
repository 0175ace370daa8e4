"""Rollouts of people who do the actions of KTH, beside what they really did."""

from collections.abc import Sequence

import numpy as np
from etils import epath

from drnet_jax import drawing, generate, prng, viz
from drnet_jax.data.recorded import Recorded, RecordedSource
from drnet_jax.run import Run
from experiments import figure, held_out, runs


def one_clip_per_action(run: Run, num_frames: int) -> tuple[list[str], Recorded]:
    """Returns all actions, and a held-out clip of each from its beginning.

    It is a random one of those with `num_frames` frames, or the longest where none has so many.
    """
    source: RecordedSource = run.source
    store = source.stores["test"]
    rng = prng.host_generator(prng.stream(run.key, "clips of actions"))
    label = source.builder.info.features["action"]
    actions = np.array([int(factors["action"]) for factors in store.factors])
    numbers = []
    for action in np.unique(actions):
        candidates = np.flatnonzero(actions == action)
        least = min(num_frames, store.lengths[candidates].max())
        numbers.append(rng.choice(candidates[store.lengths[candidates] >= least]))
    names = [label.int2str(int(action)) for action in np.unique(actions)]
    return names, Recorded(np.array(numbers), np.zeros(len(numbers), int))


def draw(out: epath.Path, name: str, trained: runs.Trained, steps: Sequence[int]) -> None:
    """Writes rollouts up to the last of `steps`, and prints their scores.

    Args:
      out: the folder.
      name: of the figure.
      trained: a run of KTH or its stand-in.
      steps: generated ones to draw, where 1 follows the last observed frame.
    """
    run = trained.run
    num_observed = run.config.predictor.num_observed
    actions, clips = one_clip_per_action(run, num_observed + steps[-1])
    observed, generated, truth = held_out.roll_out(run, trained.model, clips, steps[-1])
    seen = np.unique(np.linspace(0, num_observed - 1, 3).round().astype(int))
    later = np.array(steps) - 1
    # With the poses observed, too: what is blurred there is not the prediction's fault.
    poses = trained.model.pose(observed[:, seen])
    rebuilt = held_out.decode(trained.model, observed[:, -1], poses)
    rows, labels = [], []
    for i, action in enumerate(actions):
        real = [None if np.all(f == generate.NO_TRUTH) else f for f in truth[i, later]]
        rows += [[*observed[i, seen], *real], [*rebuilt[i], *generated[i, later]]]
        labels += [f"{action}\nreal", "\nmodel"]
    picture = viz.labelled_rows(
        rows,
        labels,
        [f"t = {t + 1}" for t in [*seen, *later + num_observed]],
        groups=[
            ("observed, rebuilt", drawing.OBSERVED, len(seen)),
            ("what followed, generated", drawing.GENERATED, len(later)),
        ],
        rows_together=2,
    )
    scores = trained.scores["rollout"]
    print(_table(scores, steps))
    figure.write(
        out,
        name,
        picture,
        f"{num_observed} frames are observed, {steps[-1]} generated. Upper rows: real frames, "
        "until the clip ends. Lower rows: content of the last observed frame, with the poses "
        "observed and then with those predicted. All people are held out.",
        [trained],
        arrays=dict(
            observed=observed, generated=generated, truth=truth, lengths=_lengths(run, clips)
        ),
        numbers={"actions": actions, "rollout": scores},
    )


def _lengths(run: Run, clips: Recorded) -> np.ndarray:
    return run.source.lengths("test", clips)


def _table(scores: dict, steps: Sequence[int]) -> str:
    """Returns the scores of `evaluation.json` at those of `steps` that it has."""
    rows = []
    for step in steps:
        if step in scores["steps"]:
            at = scores["steps"].index(step)
            cells = [
                f"{scores[score][answer]['mean'][at]:.{digits}f}"
                for answer in ("model", "copy_last_frame")
                for score, digits in (("psnr", 2), ("ssim", 3))
            ]
            rows.append((str(step), *cells))
    heads = ("steps after the last observed", "PSNR [dB]", "SSIM", "copy last: PSNR", "SSIM")
    return figure.table(heads, rows)
