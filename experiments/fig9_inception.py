"""Figure 9 of the paper: Inception score of generated people, step by step.

The judge is a small network, trained here on real clips to tell the six actions from three frames
in a row. So the score begins where all three are generated. The run of the autoencoder with an LSTM
is in `<workdir>_one_encoder`.

  python -m experiments.fig9_inception --preset=quick
"""

from collections.abc import Mapping

import numpy as np
from etils import epath

from drnet_jax import api
from drnet_jax.data.recorded import Recorded
from drnet_jax.evaluation import action_judge
from drnet_jax.evaluation.action_judge import SPAN, ActionJudge
from drnet_jax.run import Run
from experiments import actions, figure, held_out, plot, runs

MAX_STEPS = 100
SHOWN = (5, 10, 20, 30, 40, 60, 80, 100)
"""Steps in the table."""

POOR = 0.75
"""Accuracy of a judge below which its verdicts say little."""

_CLIPS_AT_ONCE = 20


def draw(out: epath.Path, trained: runs.Trained, autoencoder: runs.Trained) -> None:
    """Writes the scores over steps, and prints some of them.

    Raises:
      ValueError: when the second run has a content encoder, or nobody knows what clips show.
    """
    actions.check_baseline(autoencoder)
    run = trained.run
    num_observed = run.config.predictor.num_observed
    num_steps = min(MAX_STEPS, run.source.max_frames - num_observed)
    steps = np.arange(SPAN + 1, num_steps + 1)
    if not len(steps):
        raise ValueError(f"Clips go on for {num_steps} frames; expected {SPAN + 1} and more.")
    clips = run.source.all_clips("test", num_observed + SPAN + 1)
    classes, _ = actions.labels(run, "test", clips)
    judge = action_judge.train(run)
    models = {actions.MODEL: trained.model, actions.AUTOENCODER: autoencoder.model}
    judged = judge_all(run, judge, models, clips, num_steps)
    ends = run.source.lengths("test", clips)[:, None]
    counted = steps + num_observed <= ends
    scores = {
        name: action_judge.scores_by_step(each, classes, counted, run.config.seed)
        for name, each in judged.items()
    }
    print(_table(scores, steps))
    figure.write(
        out,
        "fig9_inception",
        plot.curves(
            {name: {"x": steps} | score["inception_score"] for name, score in scores.items()},
            x_label="steps after the last observed frame",
            y_label="Inception score",
            references={"no action recognised": 1.0},
        ),
        _caption(judge, counted.sum(axis=0)),
        [trained, autoencoder],
        arrays={"classes": classes, "counted": counted} | judged,
        numbers={
            "judge": judge.record,
            "steps": steps.tolist(),
            "num_clips": counted.sum(axis=0).tolist(),
            "scores": scores,
        },
    )


def judge_all(
    run: Run,
    judge: ActionJudge,
    models: Mapping[str, api.Model],
    clips: Recorded,
    num_steps: int,
) -> dict[str, np.ndarray]:
    """Returns what the judge says of real and generated frames, the same clips for all.

    These are `[clips, num_steps - SPAN, actions]` by name; where a clip is over, the real ones mean
    nothing.
    """
    parts = {name: [] for name in (actions.REAL, *models)}
    for batch in actions.in_batches(clips, _CLIPS_AT_ONCE):
        for name, model in models.items():
            _, generated, truth = held_out.roll_out(run, model, batch, num_steps)
            parts[name].append(judge.probabilities(generated))
        parts[actions.REAL].append(judge.probabilities(truth))
    return {name: np.concatenate(part)[: len(clips.numbers)] for name, part in parts.items()}


def _table(scores: dict[str, dict], steps: np.ndarray) -> str:
    rows = []
    for step in sorted({*SHOWN, int(steps[-1])} & set(steps.tolist())):
        at = int(step - steps[0])
        cells = [
            actions.cell(score[name], at, 2)
            for name in ("inception_score", "accuracy")
            for score in scores.values()
        ]
        rows.append((str(step), *cells))
    heads = [f"{what}: {name}" for what in ("score", "recognised") for name in scores]
    return figure.table(("step", *heads), rows)


def _caption(judge: ActionJudge, num_clips: np.ndarray) -> str:
    own, chance = judge.record["accuracy"], judge.record["chance"]
    words = (
        f"exp(E KL(p(y|x) || p(y))) of a judge of {len(judge.names)} actions that sees three "
        "frames in a row, all of them generated; bands are 95 % intervals over clips. On real "
        f"clips of held-out people it is right in {figure.interval(own, 2)} (chance {chance:.2f})"
    )
    words += ". " if own["mean"] >= POOR else ", too seldom to rely on. "
    return words + (
        f"The score depends on the number of clips: {num_clips[0]} at the first step and "
        f"{num_clips[-1]} at the last, those whose real frames go on so long, the same for all."
    )


if __name__ == "__main__":
    runs.start(draw, "kth", variations=actions.VARIATIONS)
