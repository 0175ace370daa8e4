"""Baselines by the same loop: what each part of DrNET is good for.

The method, without its adversarial term, on consecutive frames as in the authors' PyTorch code, and
with one encoder (autoencoder and LSTM); and the last observed frame, repeated. Runs are in
`<workdir>`, `<workdir>_no_adversary`, `<workdir>_consecutive` and `<workdir>_one_encoder`.

  python -m experiments.baselines --data=mnist --preset=quick
"""

from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
from etils import epath

from experiments.shared import figure, plot, probed, runs, variations

COPY = "copy last frame"
PICTURES = ("reconstruction", "swap", "prediction")
LEAKS = ("auc", "class")

Row = dict[str, dict[str, Any] | None]


def draw(out: epath.Path, *trained: runs.Trained) -> None:
    """Prints the table, and writes its numbers and bars of them.

    Raises:
      ValueError: when two runs are the same method.
    """
    rows: dict[str, Row] = {}
    for each in trained:
        name = method(each.run.config)
        if name in rows:
            raise ValueError(f"{each.run.workdir} is another run of {name}; expected one of each.")
        rows[name] = read(each.scores, has_content=name != "one encoder")
    scores = trained[0].scores
    rows[COPY] = dict.fromkeys(rows[name]) | {
        "reconstruction": scores["reconstruction"]["copy_content_frame"]["psnr"],
        "swap": scores["swap"] and scores["swap"]["copy_content_frame"]["psnr"],
        "prediction": scores["prediction"]["copy_last_frame"]["psnr"],
    }
    print(table(rows, titles(scores)))
    data = trained[0].run.config.data.name
    figure.write(
        out,
        f"baselines_{data}",
        picture(rows, titles(scores)),
        "Above: the higher the better. Below: what pose says of content, best at chance. The one "
        "encoder's only code counts as pose; it has nothing to swap. Means over held-out clips "
        "and 95 % intervals.",
        trained,
        arrays={
            name: np.array([row[name]["mean"] if row[name] else np.nan for row in rows.values()])
            for name in (*PICTURES, *LEAKS)
        }
        | {"methods": np.array(list(rows))},
        numbers={"scores": rows},
    )


def method(config: ml_collections.ConfigDict) -> str:
    """Returns what a run is to be called, from its settings."""
    if config.model.content_encoder == "none":
        return "one encoder"
    if config.data.get("consecutive", False):
        return "consecutive frames"
    beta = config.drnet.adversarial_weight
    return f"DrNET, beta = {beta:g}" if beta else "beta = 0"


def read(scores: Mapping[str, Any], *, has_content: bool) -> Row:
    """Returns a run's scores by name, None where one is not defined.

    They are PSNR of reconstruction, swap and prediction; `auc` of a fresh discriminator on poses,
    of the same objects on other tracks where there are such; `class`, the kind of object read from
    pose by a linear probe.
    """
    swap = scores["swap"]
    return {
        "reconstruction": scores["reconstruction"]["psnr"],
        "swap": swap["model"]["psnr"] if swap and has_content else None,
        "prediction": scores["prediction"]["model"]["psnr"],
        "auc": probed.auc(scores),
        "class": probed.score(scores, probed.identity(scores), "pose"),
    }


def titles(scores: Mapping[str, Any]) -> dict[str, str]:
    """Returns what each score is called in the table and below the bars."""
    pairs = scores["leakage"]["discriminator"]
    return {
        "reconstruction": "reconstruction",
        "swap": f"swap, t+{scores['swap']['horizon']}" if scores["swap"] else "swap",
        "prediction": f"prediction, {scores['prediction']['horizon']} steps",
        "auc": "AUC, same objects" if pairs["same_objects"] else "AUC, same clip",
        "class": f"{probed.identity(scores) or 'class'} from pose",
    }


def table(rows: Mapping[str, Row], heads: Mapping[str, str]) -> str:
    """Returns the lines of the table; `heads` are the titles."""
    digits = dict.fromkeys(PICTURES, 2) | {"auc": 3, "class": 3}
    lines = [
        [name, *(figure.interval(row[key], n) if row[key] else "-" for key, n in digits.items())]
        for name, row in rows.items()
    ]
    known = [row["class"]["chance"] for row in rows.values() if row["class"]]
    lines.append(["chance", "-", "-", "-", "0.500", f"{known[0]:.3f}" if known else "-"])
    return figure.table(["PSNR [dB]; AUC; share right", *heads.values()], lines)


def picture(rows: Mapping[str, Row], heads: Mapping[str, str]) -> np.ndarray:
    """Returns the bars, uint8 `[height, width, 3]`: PSNR above, leakage below."""
    trained = {method: row for method, row in rows.items() if method != COPY}
    psnr = {heads[name]: {method: rows[method][name] for method in rows} for name in PICTURES}
    leaks = {heads[name]: {method: trained[method][name] for method in trained} for name in LEAKS}
    known = [row["class"]["chance"] for row in trained.values() if row["class"]]
    references = {"chance, AUC": 0.5} | ({"chance, class": known[0]} if known else {})
    return plot.stack(
        plot.bars(psnr, y_label="PSNR [dB]"),
        plot.bars(leaks, y_label="share", references=references),
    )


if __name__ == "__main__":
    runs.start(draw, "mnist", "norb", "suncg", "kth", variations=variations.ALL)
