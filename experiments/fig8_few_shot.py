"""Figure 8 of the paper: actions told from pose by a classifier with few labelled clips.

Features are the poses of 24 frames in a row, or the content of the first of them; and the codes of
an autoencoder that does not separate the two, whose run is in `<workdir>_one_encoder`.

  python -m experiments.fig8_few_shot --preset=quick
"""

from collections.abc import Callable

import numpy as np
from etils import epath

from drnet_jax import prng
from drnet_jax.arrays import Array
from drnet_jax.data.recorded import Recorded
from drnet_jax.evaluation import few_shot
from drnet_jax.run import Run
from experiments import actions, figure, plot, runs

NUM_FRAMES = 24

_CLIPS_AT_ONCE = 20


def draw(out: epath.Path, trained: runs.Trained, autoencoder: runs.Trained) -> None:
    """Writes the curves, and prints them as a table.

    Raises:
      ValueError: when the second run has a content encoder, or nobody knows what clips show.
    """
    actions.check_baseline(autoencoder)
    run, model = trained.run, trained.model
    clips = {split: _clips(run, split) for split in ("train", "test")}
    classes = {split: actions.labels(run, split, clips[split])[0] for split in clips}
    encoders = {
        f"{actions.MODEL}, pose": (model.pose, NUM_FRAMES),
        f"{actions.MODEL}, content": (lambda frames: model.content(frames).vector, 1),
        "autoencoder": (autoencoder.model.pose, NUM_FRAMES),
    }
    arrays, curves = {f"{split}_classes": known for split, known in classes.items()}, {}
    for name, encoder in encoders.items():
        codes = {split: _encode(run, split, clips[split], *encoder) for split in clips}
        curves[name] = few_shot.score(
            *(codes["train"], classes["train"], codes["test"], classes["test"]), run.config.seed
        )
        arrays |= {f"{name} {split}": array for split, array in codes.items()}
    print(_table(curves))
    chance = curves["autoencoder"]["chance"]
    figure.write(
        out,
        "fig8_few_shot",
        plot.curves(
            {name: {"x": curve["num_labelled"]} | curve for name, curve in curves.items()},
            x_label="labelled training clips of each action",
            y_label="accuracy on held-out people",
            references={"chance": chance},
            log_x=True,
        ),
        _caption(classes),
        [trained, autoencoder],
        arrays=arrays,
        numbers={
            "few_shot": curves,
            "num_frames": NUM_FRAMES,
            "num_clips": {split: len(known) for split, known in classes.items()},
        },
    )


def _clips(run: Run, split: str) -> Recorded:
    """Returns all clips that are long enough, each from a random frame on."""
    number = len(run.source.all_clips(split, NUM_FRAMES).numbers)
    if not number:
        raise ValueError(f"No {split} clip has {NUM_FRAMES} frames.")
    key = prng.stream(run.key, f"few-shot {split}")
    return run.source.sample(split, key, number, num_frames=NUM_FRAMES)


def _encode(
    run: Run, split: str, clips: Recorded, encode: Callable[[Array], Array], num_frames: int
) -> np.ndarray:
    """Returns the codes of the first frames of clips one after the other, `[clips, dims]`."""
    parts = []
    for batch in actions.in_batches(clips, _CLIPS_AT_ONCE):
        codes = encode(run.source.frames(split, batch, np.arange(num_frames)))
        parts.append(np.asarray(codes, np.float32).reshape(_CLIPS_AT_ONCE, -1))
    return np.concatenate(parts)[: len(clips.numbers)]


def _table(curves: dict[str, dict]) -> str:
    first = next(iter(curves.values()))
    numbers = first["num_labelled"]
    rows = [
        (name, *(actions.cell(curve, at, 3) for at in range(len(numbers))))
        for name, curve in curves.items()
    ]
    heads = [f"{number:g} of each" for number in numbers[:-1]] + [f"all, {numbers[-1]:.1f}"]
    heads.insert(0, f"accuracy with labelled clips (chance {first['chance']:.3f})")
    return figure.table(heads, rows)


def _caption(classes: dict[str, np.ndarray]) -> str:
    return (
        f"Logistic regression on codes of {NUM_FRAMES} frames in a row, or on the content of the "
        f"first; accuracy on all {len(classes['test'])} clips of held-out people, mean of "
        f"{few_shot.NUM_DRAWS} random draws of the labelled clips. Bands: the middle 95 % of the "
        f"draws; on the right all {len(classes['train'])} training clips are labelled, and nothing "
        "is drawn."
    )


if __name__ == "__main__":
    runs.start(draw, "kth", variations=actions.VARIATIONS)
