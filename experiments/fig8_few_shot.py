"""Figure 8 of the paper: actions told from pose by a classifier with few labeled clips.

Read from `evaluation.json` of the run, and of an autoencoder that does not separate pose and
content, whose run is in `<workdir>_one_encoder`.

  python -m experiments.fig8_few_shot --preset=quick
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from drnet_jax.evaluation import few_shot
from experiments.shared import actions, figure, plot, runs, variations

Curves = dict[str, dict[str, Any]]


def draw(out: epath.Path, trained: runs.Trained, autoencoder: runs.Trained) -> None:
    """Writes the curves, and prints them as a table.

    Raises:
      ValueError: when the second run has a content encoder, or a run has no such scores, or they
        are not of the same clips.
    """
    same = ("num_frames", "num_clips")
    own, baseline = actions.read_both("few_shot", same, trained, autoencoder)
    curves = {
        f"{actions.MODEL}, pose": own["pose"],
        f"{actions.MODEL}, content": own["content"],
        "autoencoder": baseline["pose"],
    }
    print(_table(curves))
    figure.write(
        out,
        "fig8_few_shot",
        plot.curves(
            {name: {"x": curve["num_labeled"]} | curve for name, curve in curves.items()},
            x_label="labeled training clips of each action",
            y_label="accuracy on held-out people",
            references={"chance": baseline["pose"]["chance"]},
            log_x=True,
        ),
        _caption(own),
        [trained, autoencoder],
        arrays={name: np.array(curve["mean"]) for name, curve in curves.items()},
        numbers={"few_shot": curves} | {name: own[name] for name in same},
    )


def _table(curves: Curves) -> str:
    first = next(iter(curves.values()))
    numbers = first["num_labeled"]
    rows = [
        (name, *(actions.cell(curve, at, 3) for at in range(len(numbers))))
        for name, curve in curves.items()
    ]
    heads = [f"{number:g} of each" for number in numbers[:-1]] + [f"all, {numbers[-1]:.1f}"]
    heads.insert(0, f"accuracy with labeled clips (chance {first['chance']:.3f})")
    return figure.table(heads, rows)


def _caption(record: Mapping[str, Any]) -> str:
    num_clips = record["num_clips"]
    return (
        f"Logistic regression on codes of {record['num_frames']} frames in a row, or on the "
        f"content of the first; accuracy on {num_clips['test']} clips of held-out people, mean of "
        f"{few_shot.NUM_DRAWS} random draws of the labeled clips. Bands: the middle 95 % of the "
        f"draws; on the right all {num_clips['train']} training clips are labeled, and nothing "
        "is drawn."
    )


if __name__ == "__main__":
    runs.start(draw, "kth", variations=variations.ENCODERS)
