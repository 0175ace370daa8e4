"""The comparison of recipes, on the tiniest networks."""

import json
import types

import jax
import ml_collections
import numpy as np
import pytest
from PIL import Image

from drnet_jax.commands import train
from drnet_jax.evaluation.judges.objects import Judge
from drnet_jax.runs import run as run_lib
from experiments import recipe
from experiments.shared import budget
from tests.conftest import load_config, tiny_config


@pytest.fixture(scope="module")
def base(data_dir):
    config = tiny_config(data_dir)
    config.data.validation = True
    config.evaluation.update(num_clips=6, batch_size=6)
    return config


@pytest.fixture(scope="module")
def referee(base, tmp_path_factory):
    """A referee whose judge takes everything for a 3; a true one has tests of its own."""
    referee = budget.Referee(run_lib.create_run(base, tmp_path_factory.mktemp("referee")))
    threes = np.eye(10)[[[3, 3]]]
    judge = Judge(10, lambda frames: np.repeat(threes, len(frames), axis=0), record={"chance": 0.1})
    vars(referee)["_judge"] = judge
    return referee


def test_recipes_are_the_papers_and_then_less_and_less_so():
    base, full = recipe.base_config("quick"), load_config("full")
    assert base.data.validation
    shipped, paper, scaled, far, attention = (
        recipe.recipe_config(base, name, 7)
        for name in ("shipped", "paper", "scaled_weights", "far_frames", "attention_paper_weights")
    )
    assert shipped.to_dict() == base.to_dict() | {"seed": 7}
    for name in ("zero_speeds", "max_frame_gap"):
        assert paper.data[name] == full.data[name]
    for name in ("content_encoder", "pose_encoder", "decoder", "pose_dim", "content_dim"):
        assert paper.model[name] == full.model[name]
    own = ("batch_size", "num_steps")
    assert {k: v for k, v in paper.drnet.items() if k not in own} == {
        k: v for k, v in full.drnet.items() if k not in own
    }
    weights = [(c.drnet.similarity_weight, c.drnet.adversarial_weight) for c in (scaled, far)]
    assert weights == [(0.01, 0.001)] * 2
    assert (far.data.zero_speeds, far.data.max_frame_gap, far.drnet.schedule) == (
        False,
        500,
        "cosine",
    )
    assert (scaled.data.zero_speeds, scaled.data.max_frame_gap) == (True, 20)
    assert (attention.drnet.similarity_weight, attention.drnet.adversarial_weight) == (1, 0.1)
    assert attention.model == base.model


@pytest.fixture
def clock(monkeypatch):
    """Makes a step take a hundredth of a second, and the first one a minute; for no networks."""
    now = [0.0]
    compiled = []

    def step(state, batch):
        now[0] += 0.01 if compiled else 60
        compiled.append(batch)
        return state + 1, {}

    def stage(run):
        return types.SimpleNamespace(
            step=step,
            batches=lambda first: (number for number in range(10**6)),
            num_steps=run.config.drnet.num_steps,
        )

    monkeypatch.setattr(train, "drnet_stage", stage)
    monkeypatch.setattr(run_lib.Run, "init_drnet", lambda run: 0)
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    return now


def test_steps_fit_into_the_budget(base, tmp_path, clock):
    assert budget.steps_that_fit(base, tmp_path, 30) == pytest.approx(3000, abs=1)


def test_neither_compiling_nor_scoring_counts(base, tmp_path, clock):
    config = ml_collections.ConfigDict(base.to_dict())
    config.drnet.num_steps = 80

    def score(run, state):
        clock[0] += 1000
        return {"state": state}

    scores = budget.fit(config, tmp_path, types.SimpleNamespace(score=score))
    assert [score["step"] for score in scores] == [10, 20, 40, 80]
    assert [score["state"] for score in scores] == [10, 20, 40, 80]
    assert [score["seconds"] for score in scores] == pytest.approx([0.1, 0.2, 0.4, 0.8])


def test_all_are_scored_on_the_same_clips(base, referee, tmp_path):
    """Whatever the data and the seed of a recipe are."""
    config = recipe.recipe_config(base, "paper", 5)
    config.model.width = 2
    run = run_lib.create_run(config, tmp_path)
    record = referee.score(run, run.init_drnet())
    own = referee.score(referee.run, referee.run.init_drnet())
    for name in ("mean_frame_psnr", "identity_of_truth"):
        assert record[name] == own[name]


def test_scores_of_what_has_diverged_are_missing(referee):
    state = referee.run.init_drnet()
    broken = state.replace(autoencoder=jax.tree.map(lambda x: x * np.nan, state.autoencoder))
    scores = referee.score(referee.run, broken)
    assert scores["swap_psnr"] is None
    assert scores["mean_frame_psnr"] > 0


def made_up(base, name, seed, psnr):
    """Returns a record of four scores, the last of which has swap PSNR `psnr`."""
    config = recipe.recipe_config(base, name, seed)
    config.drnet.num_steps = 800
    scores = [
        {
            "step": 100 * 2**i,
            "seconds": 1.0 * 2**i,
            "swap_psnr": psnr - 3 + i,
            "mean_frame_psnr": 15.0,
            "identity_kept": 0.1 * i,
            "identity_of_truth": 0.9,
            "identity_by_chance": 0.1,
            "position_error": 1.0,
            "reconstruction_psnr": 20.0,
        }
        for i in range(4)
    ]
    record = dict(
        recipe=name, seed=seed, budget=8.0, num_steps=800, data="data", device=recipe._device()
    )
    return record | dict(settings=config.to_dict(), scores=scores)


@pytest.fixture
def kept(base, tmp_path):
    """A folder with the records of two seeds; the first recipe scores 20 and 23 dB."""
    for number, name in enumerate(recipe.RECIPES):
        for seed in (1, 2):
            record = made_up(base, name, seed, 17 + 3 * seed + number)
            (tmp_path / f"{name}_seed{seed}.json").write_text(json.dumps(record))
    return tmp_path


def test_a_diverged_one_is_drawn_all_the_same(base, kept, capsys):
    path = kept / "paper_seed2.json"
    record = json.loads(path.read_text())
    record["scores"][-1]["swap_psnr"] = None
    path.write_text(json.dumps(record))
    recipe.draw(kept, *recipe.measure(base, kept, 8.0, (1, 2)))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "nan [nan" in line]
    assert line.startswith("paper ")


def test_all_seeds_take_the_steps_that_were_measured_once(base, kept, monkeypatch):
    (kept / "paper_seed1.json").unlink()
    monkeypatch.setattr(recipe, "steps_that_fit", None)
    monkeypatch.setattr(recipe, "fit", lambda config, *_: [{"step": config.drnet.num_steps}])
    _, records = recipe.measure(base, kept, 8.0, (1, 2))
    assert records[0]["recipe"] == "paper" and records[0]["num_steps"] == 800


def test_records_of_another_machine_are_refused(base, kept, monkeypatch):
    monkeypatch.setattr(recipe, "_device", lambda: "8 x TPU, 96 CPUs")
    with pytest.raises(ValueError, match=r"was measured on .*; expected 8 x TPU, 96 CPUs: give"):
        recipe.measure(base, kept, 8.0, (1, 2))


def test_finished_ones_are_drawn_as_they_are(base, kept, monkeypatch, capsys):
    monkeypatch.setattr(recipe, "fit", None)
    recipe.draw(kept, *recipe.measure(base, kept, 8.0, (1, 2)))
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = {line[0]: [cell.strip() for cell in line if cell.strip()] for line in reversed(lines)}
    # Mean and range of 20 and 23, and of one less at each earlier time.
    expected = [f"{21.5 - i:.2f} [{20 - i:.2f}, {23 - i:.2f}]" for i in (3, 2, 1, 0)]
    assert cells["paper"] == ["paper", "800", *expected]
    record = json.loads((kept / "recipe.json").read_text())
    assert len(record["trained"]) == 2 * len(recipe.RECIPES)
    with np.load(kept / "recipe.npz") as arrays:
        assert arrays["swap_psnr"].shape == (2 * len(recipe.RECIPES), 4)
    with Image.open(kept / "recipe.png") as picture:
        assert picture.size[1] > 1000


def test_only_what_is_missing_is_trained(base, kept, monkeypatch):
    """And for as many steps as with the other seed."""
    asked = []

    def fit(config, workdir, referee):
        asked.append((config.seed, config.drnet.num_steps, config.data.max_frame_gap))
        return made_up(base, "paper", 2, 30)["scores"]

    monkeypatch.setattr(recipe, "fit", fit)
    monkeypatch.setattr(recipe, "steps_that_fit", None)
    path = kept / "paper_seed2.json"
    path.unlink()
    _, records = recipe.measure(base, kept, 8.0, (1, 2))
    assert asked == [(2, 800, 20)]
    assert len(records) == 2 * len(recipe.RECIPES)
    record = json.loads(path.read_text())
    assert (record["num_steps"], record["settings"]["drnet"]["num_steps"]) == (800, 800)
    assert "VALIDATION: 450 of the training digits" in record["data"]


def test_records_of_another_question_are_refused(base, kept):
    with pytest.raises(ValueError, match=r"paper_seed1.json is of --budget=8; expected 9: give"):
        recipe.measure(base, kept, 9.0, (1,))
    changed = ml_collections.ConfigDict(base.to_dict())
    changed.model.pose_dim = 4
    message = r"other settings, give another --out: config.model.pose_dim is 3 there and 4 here"
    with pytest.raises(ValueError, match=message):
        recipe.measure(changed, kept, 8.0, (1,))
    (kept / "paper_seed1.json").write_text("{")
    with pytest.raises(ValueError, match=r"paper_seed1.json is damaged: "):
        recipe.measure(base, kept, 8.0, (1,))
