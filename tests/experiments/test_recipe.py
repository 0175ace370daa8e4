"""The comparison of recipes, on tiny networks."""

import json
import re
import types

import jax
import ml_collections
import numpy as np
import pytest

from drnet_jax.evaluation.judges.classifier import Judge
from drnet_jax.evaluation.score import mean_training_frame
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
    """A referee whose judge takes everything for a 3; real judges have tests of their own."""
    referee = budget.Referee(run_lib.create_run(base, tmp_path_factory.mktemp("referee")))
    threes = np.eye(10)[[[3, 3]]]
    judge = Judge(lambda frames: np.repeat(threes, len(frames), axis=0), record={"chance": 0.1})
    vars(referee)["_answers"] = judge, mean_training_frame(referee.run)
    return referee


def test_recipes_move_step_by_step_from_the_paper_to_the_preset():
    base, full = recipe.base_config("quick"), load_config("full")
    assert base.data.validation
    configs = {name: recipe.recipe_config(base, name, 7) for name in recipe.RECIPES}
    paper, scaled, far, attention, shipped = configs.values()
    assert shipped.to_dict() == base.to_dict() | {"seed": 7}
    for name in ("zero_speeds", "max_frame_gap"):
        assert paper.data[name] == scaled.data[name] == full.data[name]
    for name in ("content_encoder", "pose_encoder", "decoder", "pose_dim", "content_dim"):
        assert paper.model[name] == full.model[name]
    for name in set(full.drnet) - {"batch_size", "num_steps"}:
        assert paper.drnet[name] == full.drnet[name]
    for config, weights in ((scaled, (0.01, 0.001)), (far, (0.01, 0.001)), (attention, (1, 0.1))):
        assert (config.drnet.similarity_weight, config.drnet.adversarial_weight) == weights
    assert (far.data.zero_speeds, far.data.max_frame_gap) == (False, 500)
    assert far.drnet.schedule == "cosine"
    assert attention.model == base.model


@pytest.fixture
def clock(monkeypatch):
    """Makes a step take a hundredth of a second and the first one a minute, without networks."""
    now = [0.0]
    compiled = []

    def step(num_steps, state, batch):
        now[0] += 0.01 if compiled else 60
        compiled.append(batch)
        return state + 1, {}

    def stage(run):
        return types.SimpleNamespace(
            step=step,
            inputs=lambda first, _: (number for number in range(10**6)),
            num_steps=run.config.drnet.num_steps,
        )

    monkeypatch.setattr(budget, "drnet_stage", stage)
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
    """The data and the seed of a recipe do not matter, and diverged networks have no score."""
    config = recipe.recipe_config(base, "paper", 5)
    config.model.width = 2
    run = run_lib.create_run(config, tmp_path)
    record = referee.score(run, run.init_drnet())
    state = referee.run.init_drnet()
    broken = state.replace(autoencoder=jax.tree.map(lambda x: x * np.nan, state.autoencoder))
    diverged = referee.score(referee.run, broken)
    for name in ("mean_frame_psnr", "identity_of_truth"):
        assert record[name] == diverged[name] is not None
    assert record["swap_psnr"] > 0 and diverged["swap_psnr"] is None


def made_up(base, name, seed, psnr):
    """Returns a record of four scores that end at a swap PSNR of `psnr`."""
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
        }
        for i in range(4)
    ]
    record = dict(recipe=name, seed=seed, budget=8.0, num_steps=800, data="data", scores=scores)
    return record | dict(settings=config.to_dict(), device=recipe._device())


@pytest.fixture
def kept(base, tmp_path):
    """A folder with the records of two seeds; the first recipe scores 20 and 23 dB."""
    for number, name in enumerate(recipe.RECIPES):
        for seed in (1, 2):
            record = made_up(base, name, seed, 17 + 3 * seed + number)
            data = record["settings"]["data"]
            if seed == 2:  # An old record has old names of settings.
                data["max_step"] = data.pop("max_frame_gap")
            (tmp_path / f"{name}_seed{seed}.json").write_text(json.dumps(record))
    return tmp_path


def test_a_diverged_run_does_not_keep_others_from_being_drawn(base, kept):
    records = recipe.measure(base, kept, 8.0, (1, 2))
    records[0]["scores"][-1]["swap_psnr"] = None
    diverged = [row[0] for row in recipe.draw(records).tables[0].rows if "nan [nan" in row[-1]]
    assert diverged == ["paper"]


def test_finished_ones_are_drawn_as_they_are(base, kept, monkeypatch):
    monkeypatch.setattr(recipe, "fit", None)
    figure = recipe.draw(recipe.measure(base, kept, 8.0, (1, 2)))
    # Mean and range of 20 and 23, and of one less at each earlier time.
    expected = [f"{21.5 - i:.2f} [{20 - i:.2f}, {23 - i:.2f}]" for i in (3, 2, 1, 0)]
    assert figure.tables[0].rows[0] == ("paper", "800", *expected)
    assert len(figure.numbers["trained"]) == 2 * len(recipe.RECIPES)
    assert figure.arrays["swap_psnr"].shape == (2 * len(recipe.RECIPES), 4)
    assert figure.picture.shape[0] > 900  # Two plots.


@pytest.mark.parametrize("seed", [1, 2])
def test_only_what_is_missing_is_trained(base, kept, monkeypatch, seed):
    """It gets as many steps as with the other seed."""
    asked = []

    def fit(config, workdir, referee):
        asked.append((config.seed, config.drnet.num_steps, config.data.max_frame_gap))
        return made_up(base, "paper", 2, 30)["scores"]

    monkeypatch.setattr(recipe, "fit", fit)
    monkeypatch.setattr(recipe, "steps_that_fit", None)
    path = kept / f"paper_seed{seed}.json"
    path.unlink()
    records = recipe.measure(base, kept, 8.0, (1, 2))
    assert asked == [(seed, 800, 20)]
    assert [r["seed"] for r in records] == [1] * len(recipe.RECIPES) + [2] * len(recipe.RECIPES)
    record = json.loads(path.read_text())
    assert (record["num_steps"], record["settings"]["drnet"]["num_steps"]) == (800, 800)
    assert "VALIDATION: 450 of the training digits" in record["data"]


def test_records_of_another_question_are_refused(base, kept, monkeypatch):
    changed = ml_collections.ConfigDict(base.to_dict())
    changed.model.pose_dim = 4
    device = recipe._device()
    for config, seconds, other, message in (
        (base, 9.0, device, "budget is 8.0 there and 9.0 here"),
        (changed, 8.0, device, "model.pose_dim is 3 there and 4 here"),
        (base, 8.0, "8 x TPU", f"device is {device!r} there and '8 x TPU' here"),
    ):
        monkeypatch.setattr(recipe, "_device", lambda device=other: device)
        expected = f"paper_seed1.json answers another question, choose another --out: {message}."
        with pytest.raises(ValueError, match=re.escape(expected)):
            recipe.measure(config, kept, seconds, (1,))
    (kept / "paper_seed1.json").write_text("{")
    with pytest.raises(ValueError, match=r"paper_seed1.json is damaged: "):
        recipe.measure(base, kept, 8.0, (1,))
