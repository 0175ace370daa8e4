"""Rollouts of people who do the actions of KTH, beside the frames that really followed."""

from collections.abc import Sequence

import jax
import numpy as np

from drnet_jax.base import prng
from drnet_jax.data.recorded import RecordedClips
from drnet_jax.pictures import drawing, grids
from drnet_jax.runs.run import Run
from experiments.shared import actions, held_out, runs
from experiments.shared.figure import Figure, Table


def one_clip_per_action(run: Run, num_frames: int) -> tuple[list[str], RecordedClips]:
    """Returns the names of all actions, and for each a held-out clip from its beginning.

    The clip is drawn from those with at least `num_frames` frames; if there are none, it is the
    longest.

    Raises:
      ValueError: for data without labels.
    """
    every_clip = run.source.all_clips("test")
    lengths = run.source.lengths("test", every_clip)
    labels = run.source.truth.labels("test", every_clip)
    if labels is None:
        raise ValueError(f"{run.config.data.name} has no labels of motion; KTH has.")
    classes, names = labels
    rng = prng.host_generator(prng.stream(run.key, "clips of actions"))
    numbers = []
    for action in np.unique(classes):
        candidates = np.flatnonzero(classes == action)
        least = min(num_frames, lengths[candidates].max())  # Running people leave early.
        numbers.append(rng.choice(candidates[lengths[candidates] >= least]))
    names = [names[action] for action in np.unique(classes)]
    return names, RecordedClips(np.array(numbers), np.zeros(len(numbers), int))


def figure(
    name: str, trained: runs.Trained, autoencoder: runs.Trained, steps: Sequence[int]
) -> Figure:
    """Returns rollouts up to the last of `steps`, with their scores.

    Args:
      name: name of the figure.
      trained: a run on KTH or its stand-in.
      autoencoder: a run on the same data without content encoder.
      steps: the generated steps to draw; step 1 follows the last observed frame.

    Raises:
      ValueError: if the second run has a content encoder, or the data have no labels.
    """
    actions.check_baseline(autoencoder)
    run = trained.run
    names, clips = one_clip_per_action(run, run.config.predictor.num_observed + steps[-1])
    observed, generated, truth = held_out.roll_out(run, trained.model, clips, steps[-1])
    baseline = jax.device_get(autoencoder.model.rollout(observed, steps[-1]))
    answers = {
        actions.MODEL: (trained.model, generated),
        actions.AUTOENCODER: (autoencoder.model, baseline),
    }
    both = zip(answers, (trained, autoencoder), strict=True)
    scores = {each: run.scores["rollout"] for each, run in both}
    return Figure(
        name,
        _picture(names, observed, truth, answers, steps),
        f"{observed.shape[1]} observed frames, then {steps[-1]} generated steps. First row: real "
        f"frames until the clip ends. Second row, {actions.MODEL}: the content of the last "
        "observed frame, first with the observed poses and then with the predicted ones. Third "
        f"row, {actions.AUTOENCODER}: codes of whole frames, first observed and then predicted. "
        "All people are held out.",
        [_table(scores, steps)],
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
    """Returns for each action a row of real frames and a row of each model's frames."""
    num_observed = observed.shape[1]
    seen = np.unique(np.linspace(0, num_observed - 1, 3).round().astype(int))
    later = np.array(steps) - 1  # Step 1 is the first generated frame.
    # Frames with the observed poses show which blur is not the prediction's fault.
    rebuilt = {
        each: held_out.decode(model, observed[:, -1], model.pose(observed[:, seen]))
        for each, (model, _) in answers.items()
    }
    rows, labels = [], []
    for i, action in enumerate(names):
        real = [None if np.all(f == runs.NO_TRUTH) else f for f in truth[i, later]]
        rows.append([*observed[i, seen], *real])
        rows += [[*rebuilt[each][i], *answers[each][1][i, later]] for each in answers]
        labels += [f"{action}\nreal", *(f"\n{each}" for each in answers)]
    return grids.labeled_rows(
        rows,
        labels,
        [f"t = {t + 1}" for t in [*seen, *later + num_observed]],
        groups=[
            ("observed, reconstructed", drawing.OBSERVED, len(seen)),
            ("real, generated", drawing.GENERATED, len(later)),
        ],
        rows_together=1 + len(answers),  # A gap between actions.
    )


def _table(scores: dict[str, dict], steps: Sequence[int]) -> Table:
    """Returns the scores of `evaluation.json` at those of `steps` that it has."""
    first = next(iter(scores.values()))
    answers = {name: (score, "model") for name, score in scores.items()}
    answers["copy last"] = (first, "copy_last_frame")
    rows = []
    for step in sorted(set(steps) & set(first["steps"])):
        at = first["steps"].index(step)
        cells = [
            f"{score[kind][answer]['mean'][at]:.{digits}f}"
            for score, answer in answers.values()
            for kind, digits in (("psnr", 2), ("ssim", 3))
        ]
        rows.append((str(step), *cells))
    heads = [f"{name}: {kind}" for name in answers for kind in ("PSNR [dB]", "SSIM")]
    return Table(("steps after the last observed frame", *heads), rows)
