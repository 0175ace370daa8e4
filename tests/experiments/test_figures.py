"""Scripts that draw frames of runs, and what all scripts share, on tiny finished runs."""

import dataclasses
import json
import shutil

import ml_collections
import numpy as np
import pytest
from PIL import Image

from drnet_jax.base.arrays import as_uint8
from drnet_jax.base.stopping import StoppedError
from drnet_jax.commands import evaluate, train
from drnet_jax.evaluation import neighbors, rollouts
from drnet_jax.evaluation.score import SCHEMA_VERSION
from drnet_jax.pictures import grids
from drnet_jax.pictures.drawing import GENERATED
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs.run import create_run
from drnet_jax.runs.workdir import STAGES
from experiments import (
    fig3_mnist,
    fig4_norb_adversarial,
    fig5_interpolation,
    fig5_suncg,
    fig6_kth_generation,
    fig7_kth_long,
    nearest_neighbors,
)
from experiments.shared import figure, generation, held_out, runs, script, variations
from tests.conftest import tiny_config
from tests.helpers import finished
from tests.helpers.finished import people_config
from tests.test_configs import load


@pytest.fixture(scope="module")
def digits(trained, data_dir):
    """The trained run of digits."""
    return runs.finish(tiny_config(data_dir), trained)


def make_finished(config, workdir, scores=None):
    """Leaves what a run of people leaves in `workdir`, with networks that learned nothing."""
    run = create_run(config, workdir)
    drnet, predictor = run.init_drnet(), run.init_predictor()
    for stage, state in zip(STAGES, (drnet, predictor), strict=True):
        with run.checkpoints(stage) as checkpoints:
            checkpoints.save(0, state)
    if scores is None:
        # The figures of people read no other scores.
        mean_frame = np.full(run.frame_shape, 0.5, np.float32)
        scores = rollouts.score(run, drnet, predictor, None, mean_frame)
        scores["neighbors"] = neighbors.score(run, drnet, predictor)
        scores["schema_version"] = SCHEMA_VERSION
    finished.finish(config, workdir, scores)
    (workdir / "report.html").touch()
    return runs.finish(config, workdir)


@pytest.fixture(scope="module")
def people(data_dir, tmp_path_factory):
    """A finished run of people."""
    return make_finished(people_config(data_dir), tmp_path_factory.mktemp("kth"))


@pytest.fixture(scope="module")
def autoencoder(people, data_dir, tmp_path_factory):
    """A finished run of people with one encoder, whose scores are 1 dB higher."""
    config, scores = people_config(data_dir), people.scores
    variations.one_encoder(config)
    psnr = scores["rollout"]["psnr"]["model"]
    psnr["mean"] = [mean + 1 for mean in psnr["mean"]]
    return make_finished(config, tmp_path_factory.mktemp("kth_one_encoder"), scores)


def copy_of(trained, workdir, **drnet):
    """Returns a copy of a run in another workdir, with other settings of its first stage."""
    shutil.copytree(trained.run.workdir, workdir)
    config = ml_collections.ConfigDict(trained.run.config.to_dict())
    config.drnet.update(drnet)
    writer.write_json(workdir / "config.json", config.to_dict())
    return runs.finish(config, workdir)


def test_swaps_and_rollouts_of_digits(digits):
    left, right = fig3_mnist.draw(digits, num_steps=6)
    contents, poses = left.arrays["contents"], left.arrays["poses"]
    swapped = held_out.swap(digits.model, contents, poses)
    np.testing.assert_array_equal(left.arrays["swapped"], swapped)
    np.testing.assert_array_equal(left.picture, grids.swap_grid(poses, contents, swapped))
    assert left.numbers["swap"] == digits.scores["swap"]
    assert f"{left.numbers['swap']['model']['psnr']['mean']:.2f}" in str(left.tables[0])
    generated = right.arrays["generated"]
    assert generated.shape == right.arrays["truth"].shape == (5, 6, 16, 16, 3)
    np.testing.assert_array_equal(generated, digits.model.rollout(right.arrays["observed"], 6))
    assert right.numbers["rollout"] == digits.scores["rollout"]


def test_swaps_of_held_out_chairs(digits):
    (each,) = fig5_suncg.draw(digits)
    assert each.arrays["swapped"].shape == (8, 8, 16, 16, 3)
    assert each.numbers["swap"] == digits.scores["swap"]
    unknown = held_out.swap_table({"swap": None}, "a title")
    assert str(unknown) == (
        "a title\nNo scores of swaps: the true frames are unknown for these data."
    )


def test_interpolation_starts_and_ends_at_the_real_poses(digits):
    (each,) = fig5_interpolation.draw(digits)
    assert each.name == "fig5_interpolation_moving_mnist"
    assert each.arrays["between"].shape == (7, 9, 16, 16, 3)
    model, starts, ends = digits.model, each.arrays["starts"], each.arrays["ends"]
    content = model.content(starts)
    for i, frames in ((0, starts), (-1, ends)):
        decoded = as_uint8(model.decode(content, model.pose(frames)))
        # The last bit may differ: batches of other sizes are other programs.
        np.testing.assert_allclose(each.arrays["between"][:, i].astype(int), decoded, atol=1)


@pytest.mark.parametrize(("module", "num_steps"), [(fig6_kth_generation, 30), (fig7_kth_long, 100)])
def test_generation_of_every_action(people, autoencoder, module, num_steps):
    (each,) = module.draw(people, autoencoder)
    assert each.name == module.__name__.removeprefix("experiments.")
    assert len(set(each.numbers["actions"])) == 6
    for array, run in (("generated", people), ("generated_autoencoder", autoencoder)):
        assert each.arrays[array].shape == (6, num_steps, 16, 16, 1)
        rolled = run.model.rollout(each.arrays["observed"], num_steps)
        np.testing.assert_array_equal(each.arrays[array], rolled)
    printed = str(each.tables[0])
    for name, run in (("DrNET", people), ("autoencoder + LSTM", autoencoder)):
        scores = each.numbers["rollout"][name]
        assert scores == run.scores["rollout"]
        for step in set(module.STEPS) & set(scores["steps"]):
            at = scores["steps"].index(step)
            assert f"{scores['psnr']['model']['mean'][at]:.2f}" in printed
    for truth, length in zip(each.arrays["truth"], each.arrays["lengths"], strict=True):
        assert np.all(truth[length - 3 :] == runs.NO_TRUTH)
    with pytest.raises(ValueError, match=r"has content_encoder='dcgan_unet'; expected 'none'\.$"):
        next(module.draw(people, people))


def test_clips_of_actions_are_long_enough_if_possible(people):
    names, clips = generation.one_clip_per_action(people.run, 18)
    source = people.run.source
    every_clip = source.all_clips("test")
    classes, class_names = source.truth.labels("test", every_clip)
    lengths = source.lengths("test", every_clip)
    for name, number in zip(names, clips.numbers, strict=True):
        assert class_names[classes[number]] == name
        assert lengths[number] >= min(18, lengths[classes == classes[number]].max())


def test_runs_with_and_without_adversary(digits, tmp_path):
    without = copy_of(digits, tmp_path / "without", adversarial_weight=0.0)
    (each,) = fig4_norb_adversarial.draw(digits, without)
    np.testing.assert_array_equal(each.arrays["with"], each.arrays["without"])
    assert each.numbers["without"]["adversarial_weight"] == 0
    assert each.numbers["with"]["leakage"] == digits.scores["leakage"]
    auc = digits.scores["leakage"]["discriminator"]["same_clip"]["mean"]
    assert str(each.tables[-1]).count(f" {auc:.3f} [") == 2
    with pytest.raises(ValueError, match=r"has adversarial_weight=0.\d+; expected 0\.$"):
        next(fig4_norb_adversarial.draw(without, digits))


def test_neighbors_of_rollouts(people):
    (each,) = nearest_neighbors.draw(people)
    scores = people.scores["neighbors"]
    assert each.numbers["neighbors"] == scores
    # Rollouts of all four clips are shown: three training frames for each, and for the real ones.
    assert each.arrays["neighbors"].shape == (8, 3, 16, 16, 1)
    distances = each.arrays["distances"]
    assert np.all(np.diff(distances, axis=1) >= 0)
    for name, closest in zip(("generated", "real"), np.split(distances, 2), strict=True):
        assert scores[name]["median"]["mean"] == pytest.approx(np.median(closest[:, 0]))
        assert f"{np.median(closest[:, 0]):.4f}" in str(each.tables[0])
    assert f"closest of all {scores['num_known_frames']:,} training frames" in each.caption
    with pytest.raises(ValueError, match=r"json has no few_shot; --mode=evaluate adds it"):
        runs.part(people, "few_shot")


def test_pairs_show_different_contents(digits):
    first, second = held_out.pairs(digits.run, "a name", 6)
    again, _ = held_out.pairs(digits.run, "a name", 6)
    np.testing.assert_array_equal(first, again)
    assert all(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_finished_run_is_used_as_it_is(digits, monkeypatch, capsys):
    monkeypatch.setattr(train, "run", None)
    again = runs.finish(load("mnist", "quick"), digits.run.workdir)
    assert again.run.config.to_dict() == digits.run.config.to_dict()
    assert f"{digits.run.workdir} keeps its own settings: config." in capsys.readouterr().out
    assert again.record["other_settings"].startswith("config.")
    assert digits.record["other_settings"] is None
    poses = [np.asarray(each.model.pose(np.ones((2, 16, 16, 3)))) for each in (again, digits)]
    np.testing.assert_array_equal(*poses)


def test_a_run_that_is_not_finished_is_trained(digits, tmp_path, monkeypatch):
    def run(config, workdir):
        assert config.data.image_size == 16
        shutil.copytree(digits.run.workdir, workdir)

    monkeypatch.setattr(train, "run", run)
    config = ml_collections.ConfigDict(digits.run.config.to_dict())
    assert runs.finish(config, tmp_path / "new").scores == digits.scores


def test_scores_of_another_version_are_made_again(digits, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(evaluate, "run", lambda config, workdir: asked.append(workdir))
    workdir = tmp_path / "run"
    config = copy_of(digits, workdir).run.config
    record = digits.scores | {"schema_version": 5}  # The same scores under other names.
    writer.write_json(workdir / "evaluation.json", record)
    runs.finish(config, workdir)
    assert not asked
    record["schema_version"] = 4
    writer.write_json(workdir / "evaluation.json", record)
    runs.finish(config, workdir)
    assert asked == [workdir]
    assert f"Scoring {workdir} again" in capsys.readouterr().out


def test_runs_of_other_data_are_refused(digits, tmp_path):
    workdir = digits.run.workdir
    with pytest.raises(ValueError, match=f"^{workdir} is a run of moving_mnist; expected one of k"):
        runs.finish(load("kth", "smoke"), workdir)
    runs.check_same_data([digits, digits])
    config = ml_collections.ConfigDict(digits.run.config.to_dict())
    config.data.consecutive = True  # The same clips, and the same of them are held out.
    same = dataclasses.replace(digits.run, config=config)
    runs.check_same_data([digits, dataclasses.replace(digits, run=same)])
    config.data.num_digits = 1
    other = dataclasses.replace(digits.run, config=config, workdir=tmp_path)
    with pytest.raises(ValueError, match=r"have different data: config.data.num_digits is 2"):
        runs.check_same_data([digits, dataclasses.replace(digits, run=other)])


def test_files_of_a_figure(people, tmp_path, capsys):
    table = figure.Table(("scores", "PSNR"), [("model", "24.7"), ("mean frame", "9.1")], "A title")
    picture = np.full((40, 300, 3), 7, np.uint8)
    arrays = {"frames": np.arange(6)}
    drawn = figure.Figure("name", picture, "A caption.", [table], arrays, {"more": 1})
    figure.write(tmp_path, drawn, [people.record] * 2, "fig6_kth_generation")
    record = json.loads((tmp_path / "name.json").read_text())
    assert record["tables"][0] == {
        "heads": ["scores", "PSNR"],
        "rows": [["model", "24.7"], ["mean frame", "9.1"]],
        "title": "A title",
    }
    assert record["runs"] == [json.loads(json.dumps(people.record))] * 2
    assert (record["script"], record["caption"]) == ("fig6_kth_generation", "A caption.")
    assert record["more"] == 1
    np.testing.assert_array_equal(np.load(tmp_path / "name.npz")["frames"], arrays["frames"])
    note = people.record["note"]
    with Image.open(tmp_path / "name.png") as image:
        written = np.asarray(image)
    plain, expected = (figure.with_caption(picture, "A caption.", note, stand_in=s) for s in (0, 1))
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(plain[: len(picture)], picture)
    # Stand-in data are highlighted.
    assert [(image == GENERATED).all(-1).any() for image in (plain, expected)] == [False, True]
    assert "STAND-IN, not the data of the paper" in note
    lines = ["A title", "scores      PSNR", "model       24.7", "mean frame   9.1", f"Data: {note}"]
    lines += [str(tmp_path / f"name.{kind}") for kind in ("png", "npz", "json")]
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "Stopped. The same command continues from there."),
        (StoppedError("Saved.", 15), 143, "Saved. The same command continues from there."),
        (ValueError("What is\nwrong."), 2, "What is"),
    ],
)
def test_a_script_ends_with_one_line(error, code, line, capsys):
    with pytest.raises(SystemExit) as end, script.errors_in_one_line():
        raise error
    assert end.value.code == code
    printed = capsys.readouterr()
    assert (printed.out + printed.err).splitlines() == [line]
