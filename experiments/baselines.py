"""Baselines trained by the same loop: what each part of DrNET contributes.

The method is compared with DrNET without the adversarial term, on consecutive frames as in the
authors' PyTorch code, and with one encoder (autoencoder and LSTM), and with copying the last
observed frame. The runs are in `<workdir>`, `<workdir>_no_adversary`, `<workdir>_consecutive` and
`<workdir>_one_encoder`.

  python -m experiments.baselines --data=mnist --preset=quick
"""

from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections
import numpy as np

from drnet_jax.base.wording import interval
from experiments.shared import plot, probed, runs, script, variations
from experiments.shared.figure import Figure, Table

COPY = "copy last frame"
PICTURES = ("reconstruction", "swap", "prediction")
LEAKS = ("auc", "class")

Row = dict[str, dict[str, Any] | None]


def draw(*trained: runs.Trained) -> Iterator[Figure]:
    """Yields bars of the scores of all methods.

    Raises:
      ValueError: if two runs are the same method.
    """
    rows: dict[str, Row] = {}
    for each in trained:
        name = method(each.run.config)
        if name in rows:
            raise ValueError(f"{each.run.workdir} is another run of {name}; expected one of each.")
        rows[name] = read(each.scores, has_content=name != "one encoder")
    scores = trained[0].scores
    rows[COPY] = dict.fromkeys(rows[name]) | {  # A copy has no codes that could leak.
        "reconstruction": scores["reconstruction"]["copy_content_frame"]["psnr"],
        "swap": scores["swap"] and scores["swap"]["copy_content_frame"]["psnr"],
        "prediction": scores["prediction"]["copy_last_frame"]["psnr"],
    }
    heads = titles(scores)
    digits = dict.fromkeys(PICTURES, 2) | dict.fromkeys(LEAKS, 3)
    lines = [
        [name, *(interval(row[key], n) if row[key] else "-" for key, n in digits.items())]
        for name, row in rows.items()
    ]
    # Chance depends on the test clips alone, so all runs have the same.
    chances = [f"{row['class']['chance']:.3f}" for row in rows.values() if row["class"]]
    lines.append(["chance", "-", "-", "-", "0.500", *(chances or ["-"])[:1]])
    means = {  # [methods], NaN where a score is not defined.
        name: np.array([row[name]["mean"] if row[name] else np.nan for row in rows.values()])
        for name in digits
    }
    yield Figure(
        f"baselines_{trained[0].run.config.data.name}",
        picture(rows, heads),
        "Above, higher is better. Below: what pose reveals of content, best at chance. The only "
        "code of the one encoder counts as pose; there is nothing to swap. Means over held-out "
        "clips with 95 % intervals.",
        [Table(["PSNR [dB], AUC, accuracy", *heads.values()], lines)],
        arrays=means | {"methods": np.array(list(rows))},
        numbers={"scores": rows},
    )


def method(config: ml_collections.ConfigDict) -> str:
    """Returns the name of the method that a run with these settings is."""
    if config.model.content_encoder == "none":
        return "one encoder"
    if config.data.get("consecutive", False):  # Older runs do not have the setting.
        return "consecutive frames"
    beta = config.drnet.adversarial_weight
    return f"DrNET, beta = {beta:g}" if beta else "beta = 0"


def read(scores: Mapping[str, Any], *, has_content: bool) -> Row:
    """Returns the scores of a run by name, None where one is not defined.

    `reconstruction`, `swap` and `prediction` are PSNR. `auc` is that of a fresh discriminator on
    poses, of the same objects on other tracks if possible. `class` is the kind of object that a
    linear probe reads from pose.
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
    """Returns the title of each score in the table and below the bars."""
    pairs = scores["leakage"]["discriminator"]
    return {
        "reconstruction": "reconstruction",
        "swap": f"swap, t+{scores['swap']['horizon']}" if scores["swap"] else "swap",
        "prediction": f"prediction, {scores['prediction']['horizon']} steps",
        "auc": "AUC, same objects" if pairs["same_objects"] else "AUC, same clip",
        "class": f"{probed.identity(scores) or 'class'} from pose",
    }


def picture(rows: Mapping[str, Row], heads: Mapping[str, str]) -> np.ndarray:
    """Returns the bars, uint8 `[height, width, 3]`: PSNR above, leakage below."""
    trained = {method: row for method, row in rows.items() if method != COPY}
    psnr = {heads[name]: {method: rows[method][name] for method in rows} for name in PICTURES}
    leaks = {heads[name]: {method: trained[method][name] for method in trained} for name in LEAKS}
    chances = [row["class"]["chance"] for row in trained.values() if row["class"]]
    references = {"chance, AUC": 0.5} | ({"chance, class": chances[0]} if chances else {})
    return plot.stack(
        plot.bars(psnr, y_label="PSNR [dB]"),
        plot.bars(leaks, y_label="AUC, accuracy", references=references),
    )


if __name__ == "__main__":
    script.start(draw, "mnist", "norb", "suncg", "kth", variations=variations.ALL)
