"""Figure 8 of the paper: actions recognized from pose with few labeled clips.

The scores come from `evaluation.json` of the run and of an autoencoder that does not separate pose
and content, whose run is in `<workdir>_one_encoder`.

  python -m experiments.fig8_few_shot --preset=quick
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from drnet_jax.base.wording import interval
from drnet_jax.evaluation import few_shot
from experiments.shared import actions, plot, runs, script, variations
from experiments.shared.figure import Figure, Table, at_step


def draw(trained: runs.Trained, autoencoder: runs.Trained) -> Iterator[Figure]:
    """Yields accuracy over the number of labeled clips.

    Raises:
      ValueError: if the second run has a content encoder, a run has no scores of this kind, or the
        two were not scored on the same clips.
    """
    same = ("num_frames", "num_clips")
    own, baseline = actions.read_both("few_shot", same, trained, autoencoder)
    num_clips = own["num_clips"]
    curves = {
        f"{actions.MODEL}, pose": own["pose"],
        f"{actions.MODEL}, content": own["content"],
        "autoencoder": baseline["pose"],  # Its only code counts as pose.
    }
    yield Figure(
        "fig8_few_shot",
        plot.curves(
            {name: {"x": curve["num_labeled"]} | curve for name, curve in curves.items()},
            x_label="labeled training clips of each action",
            y_label="accuracy on held-out people",
            references={"chance": baseline["pose"]["chance"]},
            log_x=True,
        ),
        f"Logistic regression on the poses of {own['num_frames']} consecutive frames, or on the "
        f"content of the first one. Accuracy on {num_clips['test']} clips of held-out people, mean "
        f"of {few_shot.NUM_DRAWS} random draws of the labeled clips. Bands: the middle 95 % of the "
        f"draws. The last point uses all {num_clips['train']} training clips, so nothing is drawn.",
        [_table(curves)],
        arrays={name: np.array(curve["mean"]) for name, curve in curves.items()},
        numbers={"few_shot": curves} | {name: own[name] for name in same},
    )


def _table(curves: Mapping[str, Mapping[str, Any]]) -> Table:
    first = next(iter(curves.values()))
    numbers = first["num_labeled"]
    rows = [
        (name, *(interval(at_step(curve, i), 3) for i in range(len(numbers))))
        for name, curve in curves.items()
    ]
    # With all clips labeled, classes have different numbers of them: the last number is a mean.
    heads = [f"{number:g} of each" for number in numbers[:-1]] + [f"all, {numbers[-1]:.1f}"]
    heads.insert(0, f"accuracy with labeled clips (chance {first['chance']:.3f})")
    return Table(heads, rows)


if __name__ == "__main__":
    script.start(draw, "kth", variations=variations.ENCODERS)
