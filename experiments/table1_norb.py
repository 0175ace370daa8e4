"""Table 1 of the paper: the category of small NORB's toys, read from content and from pose.

Probes, linear and with one hidden layer, are fitted to clips of the training toys, and asked about
toys that nothing was trained on. The second run is the preset's with beta = 0, in
`<workdir>_no_adversary`. The paper's values are shown beside ours only for the paper's data.

  python -m experiments.table1_norb --preset=quick
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from experiments.shared import figure, plot, probed, runs, variations

CODES = ("content", "pose")
KINDS = {"linear": "linear probe", "mlp": "MLP probe"}

RECALLED = {"with": {"content": 93.3, "pose": 60.9}, "without": {"content": 72.6, "pose": 80.8}}
"""The paper's values in percent, for beta = 0.1 and 0; from memory, not checked against it."""

RECALLED_OTHERS = {"Mathieu et al. 2016": 86.5}

Percent = dict[str, float]
Cells = dict[str, dict[str, Percent]]


def draw(out: epath.Path, trained: runs.Trained, without: runs.Trained) -> None:
    """Prints the table, and writes its numbers and bars of them.

    Raises:
      ValueError: when not just the second run has beta = 0, or the category was not probed.
    """
    names, cells = {}, {}
    for name, each in (("with", trained), ("without", without)):
        beta = each.run.config.drnet.adversarial_weight
        if (beta > 0) != (name == "with"):
            expected = "above 0" if name == "with" else "0"
            raise ValueError(
                f"{each.run.workdir} has adversarial_weight={beta:g}; expected {expected}."
            )
        names[name] = f"beta = {beta:g}"
        cells[name] = read(each)
    is_paper = not any(each.run.source.stand_in for each in (trained, without))
    print(table(names, cells, is_paper=is_paper))
    groups = {
        f"{code}, {words}": {names[name]: cells[name][code][kind] for name in names}
        for code in CODES
        for kind, words in KINDS.items()
    }
    chance = cells["with"]["content"]["linear"]["chance"]
    numbers = {"percent": cells}
    if is_paper:
        numbers["paper_recalled"] = RECALLED | RECALLED_OTHERS
    figure.write(
        out,
        "table1_norb",
        plot.bars(groups, y_label="category, % right", references={"chance": chance}),
        "Category of toys that were never seen, read from either vector of one frame: from content "
        "it should be easy, from pose no better than chance. Share of right answers with 95 % "
        "intervals.",
        [trained, without],
        arrays={key: _array(cells, key) for key in ("mean", "low", "high")},
        numbers=numbers,
    )


def read(trained: runs.Trained) -> Cells:
    """Returns the probes' accuracies in percent, by code and kind.

    Raises:
      ValueError: where there are none for toys that were never seen.
    """
    cells: Cells = {}
    for code in CODES:
        for kind in KINDS:
            score = probed.score(trained.scores, "category", code, kind)
            if score is None or score["on"] != "held_out_objects":
                raise ValueError(
                    f"{trained.run.workdir / 'evaluation.json'} has no {kind} probe of category "
                    f"in {code} for held-out toys; --mode=evaluate adds it where toys are enough."
                )
            keys = ("mean", "low", "high", "chance")
            cells.setdefault(code, {})[kind] = {key: 100 * score[key] for key in keys}
    return cells


def _array(cells: Mapping[str, Cells], key: str) -> np.ndarray:
    """Returns percent `[run, code, kind]` in the order of the table."""
    return np.array([[[each[c][k][key] for k in KINDS] for c in CODES] for each in cells.values()])


def table(names: Mapping[str, str], cells: Mapping[str, Cells], *, is_paper: bool) -> str:
    """Returns the lines of the table; with `is_paper` the paper's values in a column of its own."""
    heads = ["category of unseen toys, % right", *KINDS.values()]
    rows: list[list[Any]] = []
    for name, words in names.items():
        for code in CODES:
            scores = [figure.interval(cells[name][code][kind], 1) for kind in KINDS]
            rows.append([f"{words}, {code}", *scores])
    chances = [f"{cells['with']['content'][kind]['chance']:.1f}" for kind in KINDS]
    rows.append(["chance, the most frequent category", *chances])
    if is_paper:
        heads.append("paper's, beta 0.1 and 0 [recalled]")
        papers = [f"{RECALLED[name][code]:.1f}" for name in names for code in CODES]
        for row, paper in zip(rows, [*papers, "-"], strict=True):
            row.append(paper)
        rows += [[name, *("-" * len(KINDS)), f"{value}"] for name, value in RECALLED_OTHERS.items()]
    return figure.table(heads, rows)


if __name__ == "__main__":
    runs.start(draw, "norb", variations=variations.ADVERSARY)
