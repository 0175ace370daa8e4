"""Table 1 of the paper: the category of small NORB's toys, read from content and from pose.

Linear probes and probes with one hidden layer are fitted to clips of the training toys and scored
on toys that nothing was trained on. The second run has beta = 0, the weight of the adversarial
term, and is in `<workdir>_no_adversary`. The values of the paper are shown only beside results on
the paper's data.

  python -m experiments.table1_norb --preset=quick
"""

from collections.abc import Iterator, Mapping

import numpy as np

from drnet_jax.base.wording import interval
from experiments.shared import plot, probed, runs, script, variations
from experiments.shared.figure import Figure, Table

CODES = ("content", "pose")
KINDS = {"linear": "linear probe", "mlp": "MLP probe"}

RECALLED = {"with": {"content": 93.3, "pose": 60.9}, "without": {"content": 72.6, "pose": 80.8}}
"""Values of the paper in percent, for beta = 0.1 and 0; recalled from memory, not checked."""

RECALLED_OTHERS = {"Mathieu et al. 2016": 86.5}

Cells = dict[str, dict[str, dict[str, float]]]


def draw(trained: runs.Trained, without: runs.Trained) -> Iterator[Figure]:
    """Yields bars of the accuracies in the table.

    Raises:
      ValueError: unless the second run, and only it, has beta = 0 and both have probes of category.
    """
    names, cells = {}, {}
    for name, each in (("with", trained), ("without", without)):
        beta = each.run.config.drnet.adversarial_weight
        if (beta > 0) != (name == "with"):  # Swapped runs would make a plausible, wrong table.
            expected = "above 0" if name == "with" else "0"
            raise ValueError(
                f"{each.run.workdir} has adversarial_weight={beta:g}; expected {expected}."
            )
        names[name] = f"beta = {beta:g}"
        cells[name] = read(each)
    is_paper = not any(each.run.source.stand_in for each in (trained, without))
    groups = {
        f"{code}, {words}": {names[name]: cells[name][code][kind] for name in names}
        for code in CODES
        for kind, words in KINDS.items()
    }
    chance = cells["with"]["content"]["linear"]["chance"]
    yield Figure(
        "table1_norb",
        plot.bars(groups, y_label="accuracy of category [%]", references={"chance": chance}),
        "Category of unseen toys, read from the content or from the pose of one frame: it should "
        "be easy to read from content, and no better than chance from pose. Accuracy with 95 % "
        "intervals.",
        [table(names, cells, is_paper=is_paper)],
        arrays={
            # [run, code, kind] in the order of the table.
            end: np.array(
                [[[c[code][k][end] for k in KINDS] for code in CODES] for c in cells.values()],
                float,
            )
            for end in ("mean", "low", "high")
        },
        numbers={"percent": cells}
        | ({"paper_recalled": RECALLED | RECALLED_OTHERS} if is_paper else {}),
    )


def read(trained: runs.Trained) -> Cells:
    """Returns the accuracies of the probes in percent, by code and kind of probe.

    Raises:
      ValueError: if a probe was not scored on unseen toys.
    """
    cells: Cells = {}
    for code in CODES:
        for kind in KINDS:
            score = probed.score(trained.scores, "category", code, kind)
            # Toys that were seen in training are easier, and not what the paper shows.
            if score is None or score["on"] != "held_out_objects":
                raise ValueError(
                    f"{trained.run.workdir / 'evaluation.json'} has no {kind} probe of category "
                    f"in {code} for held-out toys; --mode=evaluate adds it if there are enough."
                )
            keys = ("mean", "low", "high", "chance")
            # An interval may be unknown.
            percent = {key: score[key] and 100 * score[key] for key in keys}
            cells.setdefault(code, {})[kind] = percent
    return cells


def table(names: Mapping[str, str], cells: Mapping[str, Cells], *, is_paper: bool) -> Table:
    """Returns the accuracies; with `is_paper`, the paper's values are in an additional column."""
    heads = ["category of unseen toys, accuracy [%]", *KINDS.values()]
    rows = []
    for name, words in names.items():
        for code in CODES:
            scores = [interval(cells[name][code][kind], 1) for kind in KINDS]
            rows.append([f"{words}, {code}", *scores])
    chances = [f"{cells['with']['content'][kind]['chance']:.1f}" for kind in KINDS]
    rows.append(["chance, the most frequent category", *chances])
    if is_paper:
        heads.append("paper, beta 0.1 and 0 [recalled]")
        papers = [f"{RECALLED[name][code]:.1f}" for name in names for code in CODES]
        for row, paper in zip(rows, [*papers, "-"], strict=True):
            row.append(paper)
        rows += [[name, *("-" * len(KINDS)), f"{value}"] for name, value in RECALLED_OTHERS.items()]
    return Table(heads, rows)


if __name__ == "__main__":
    script.start(draw, "norb", variations=variations.ADVERSARY)
