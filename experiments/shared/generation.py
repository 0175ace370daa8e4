"""Rollouts of people who do the actions of KTH, beside what they really did."""

from collections.abc import Sequence

import jax
import numpy as np
from etils import epath

from drnet_jax.base import prng
from drnet_jax.commands import generate
from drnet_jax.data.recorded import RecordedClips
from drnet_jax.pictures import drawing
from drnet_jax.pictures import grids as viz
from drnet_jax.runs.run import Run
from experiments.shared import actions, figure, held_out, runs


def one_clip_per_action(run: Run, num_frames: int) -> tuple[list[str], RecordedClips]:
    """Returns all actions, and a held-out clip of each from its beginning.

    It is a random one of those with `num_frames` frames, or the longest where none has so many.
    """
    every_clip = run.source.all_clips("test")
    lengths = run.source.lengths("test", every_clip)
    classes, names = actions.labels(run, "test", every_clip)
    rng = prng.host_generator(prng.stream(run.key, "clips of actions"))
    numbers = []
    for action in np.unique(classes):
        candidates = np.flatnonzero(classes == action)
        least = min(num_frames, lengths[candidates].max())
        numbers.append(rng.choice(candidates[lengths[candidates] >= least]))
    names = [names[action] for action in np.unique(classes)]
    return names, RecordedClips(np.array(numbers), np.zeros(len(numbers), int))


def draw(
    out: epath.Path,
    name: str,
    trained: runs.Trained,
    autoencoder: runs.Trained,
    steps: Sequence[int],
) -> None:
    """Writes rollouts up to the last of `steps`, and prints their scores.

    Args:
      out: the folder.
      name: of the figure.
      trained: a run of KTH or its stand-in.
      autoencoder: the same without content encoder.
      steps: generated ones to draw, where 1 follows the last observed frame.

    Raises:
      ValueError: when the second run has a content encoder, or nobody knows what clips show.
    """
    actions.check_baseline(autoencoder)
    run = trained.run
    names, clips = one_clip_per_action(run, run.config.predictor.num_observed + steps[-1])
    observed, generated, truth = held_out.roll_out(run, trained.model, clips, steps[-1])
    baseline = jax.device_get(autoencoder.model.rollout(observed, steps[-1]))
    answers = {actions.MODEL: (trained.model, generated)}
    answers |= {actions.AUTOENCODER: (autoencoder.model, baseline)}
    picture = _picture(names, observed, truth, answers, steps)
    both = zip(answers, (trained, autoencoder), strict=True)
    scores = {each: run.scores["rollout"] for each, run in both}
    print(_table(scores, steps))
    figure.write(
        out,
        name,
        picture,
        f"{observed.shape[1]} frames are observed, {steps[-1]} generated. Real frames, until the "
        f"clip ends; then {actions.MODEL}: content of the last observed frame, with the poses "
        f"observed and then with those predicted; then {actions.AUTOENCODER}: codes of whole "
        "frames, observed and then predicted. All people are held out.",
        [trained, autoencoder],
        arrays=dict(
            observed=observed,
            generated=generated,
            generated_autoencoder=baseline,
            truth=truth,
            lengths=run.source.lengths("test", clips),
        ),
        numbers={"actions": names, "rollout": scores},
    )


def _picture(
    names: Sequence[str],
    observed: np.ndarray,
    truth: np.ndarray,
    answers: dict[str, tuple],
    steps: Sequence[int],
) -> np.ndarray:
    """Returns for each action a row of real frames and one of each model's."""
    num_observed = observed.shape[1]
    seen = np.unique(np.linspace(0, num_observed - 1, 3).round().astype(int))
    later = np.array(steps) - 1
    # With the poses observed, too: what is blurred there is not the prediction's fault.
    rebuilt = {
        each: held_out.decode(model, observed[:, -1], model.pose(observed[:, seen]))
        for each, (model, _) in answers.items()
    }
    rows, labels = [], []
    for i, action in enumerate(names):
        real = [None if np.all(f == generate.NO_TRUTH) else f for f in truth[i, later]]
        rows.append([*observed[i, seen], *real])
        rows += [[*rebuilt[each][i], *answers[each][1][i, later]] for each in answers]
        labels += [f"{action}\nreal", *(f"\n{each}" for each in answers)]
    return viz.labeled_rows(
        rows,
        labels,
        [f"t = {t + 1}" for t in [*seen, *later + num_observed]],
        groups=[
            ("observed, rebuilt", drawing.OBSERVED, len(seen)),
            ("what followed, generated", drawing.GENERATED, len(later)),
        ],
        rows_together=1 + len(answers),
    )


def _table(scores: dict[str, dict], steps: Sequence[int]) -> str:
    """Returns the scores of `evaluation.json` at those of `steps` that it has."""
    first = next(iter(scores.values()))
    answers = {name: (score, "model") for name, score in scores.items()}
    answers["copy last"] = (first, "copy_last_frame")
    rows = []
    for step in steps:
        if step in first["steps"]:
            at = first["steps"].index(step)
            cells = [
                f"{score[kind][answer]['mean'][at]:.{digits}f}"
                for score, answer in answers.values()
                for kind, digits in (("psnr", 2), ("ssim", 3))
            ]
            rows.append((str(step), *cells))
    heads = [f"{name}: {kind}" for name in answers for kind in ("PSNR [dB]", "SSIM")]
    return figure.table(("steps after the last observed", *heads), rows)
