"""Scripts of experiments/ on tiny finished runs."""

import dataclasses
import json
import shutil
import subprocess
import sys

import ml_collections
import numpy as np
import pytest
from PIL import Image

from drnet_jax.base.arrays import as_uint8
from drnet_jax.commands import evaluate, generate, train
from drnet_jax.evaluation import neighbors, rollouts
from drnet_jax.evaluation.score import SCHEMA_VERSION
from drnet_jax.pictures import grids as viz
from drnet_jax.pictures.drawing import GENERATED, OBSERVED
from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs.run import create_run
from drnet_jax.runs.workdir import STAGES
from drnet_jax.training.loop import StoppedError
from experiments import (
    fig3_mnist,
    fig4_norb_adversarial,
    fig5_interpolation,
    fig5_suncg,
    fig6_kth_generation,
    fig7_kth_long,
    nearest_neighbors,
)
from experiments.shared import figure, generation, held_out, runs, variations
from tests.conftest import ROOT
from tests.test_configs import load


def tiny(name, data_dir):
    config = load(name, "smoke")
    config.data.update(image_size=16, data_dir=str(data_dir))
    config.model.update(width=2, content_dim=4, pose_dim=3, discriminator_width=8)
    config.drnet.update(batch_size=4, num_steps=2)
    config.predictor.update(batch_size=4, num_steps=2, hidden_dim=8, num_observed=3)
    config.evaluation.update(num_clips=4, batch_size=4, horizon=3, rollout_steps=6)
    config.evaluation.update(probe_clips=60)
    config.rollout.update(num_clips=2, num_steps=8, frames_at_once=16)
    return config


def make_finished(config, workdir):
    """Leaves in `workdir` what a run leaves there, with networks that learned nothing."""
    run = create_run(config, workdir)
    drnet, predictor = run.init_drnet(), run.init_predictor()
    for stage, state in zip(STAGES, (drnet, predictor), strict=True):
        with run.checkpoints(stage) as checkpoints:
            checkpoints.save(0, state)
    writer.write_json(workdir / "config.json", run.config.to_dict())
    if run.source.clips_end:
        # Nothing else is read of those, and it takes its time.
        mean_frame = np.full(run.frame_shape, 0.5, np.float32)
        scores = rollouts.score(run, drnet, predictor, None, mean_frame)
        scores["neighbors"] = neighbors.score(run, drnet, predictor)
        scores["schema_version"] = SCHEMA_VERSION
        writer.write_json(workdir / "evaluation.json", scores)
    else:
        evaluate.write(run, drnet, predictor)
    (workdir / "report.html").write_text("")


@pytest.fixture(scope="module")
def turntable(tmp_path_factory):
    """A finished run of chairs."""
    config = tiny("suncg", tmp_path_factory.mktemp("chairs"))
    config.data.stand_in.num_identities = 14
    workdir = tmp_path_factory.mktemp("suncg")
    make_finished(config, workdir)
    return runs.finish(config, workdir)


def people_config(tmp_path_factory):
    """Returns the settings of a run of people, whose clips end; prepared once for all tests."""
    config = tiny("kth", tmp_path_factory.getbasetemp() / "people")
    config.data.stand_in.update(num_people=2, clip_length=30)
    return config


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A finished run of people."""
    config = people_config(tmp_path_factory)
    workdir = tmp_path_factory.mktemp("kth")
    make_finished(config, workdir)
    return runs.finish(config, workdir)


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    """A finished run of people with one encoder."""
    config = people_config(tmp_path_factory)
    variations.one_encoder(config)
    workdir = tmp_path_factory.mktemp("kth_one_encoder")
    make_finished(config, workdir)
    return runs.finish(config, workdir)


def written(out, name):
    """Returns the record and the arrays of a figure whose picture can be opened."""
    with Image.open(out / f"{name}.png") as picture:
        picture.load()
    with np.load(out / f"{name}.npz") as arrays:
        return json.loads((out / f"{name}.json").read_text()), dict(arrays)


def test_swaps_and_rollouts(turntable, tmp_path):
    fig3_mnist.draw(tmp_path, turntable, num_steps=6)
    record, arrays = written(tmp_path, "fig3_left")
    assert record["runs"] == [json.loads(json.dumps(turntable.record))]
    np.testing.assert_array_equal(
        arrays["swapped"], held_out.swap(turntable.model, arrays["contents"], arrays["poses"])
    )
    record, arrays = written(tmp_path, "fig3_right")
    assert record["rollout"] == turntable.scores["rollout"]
    assert arrays["generated"].shape == arrays["truth"].shape == (5, 6, 16, 16, 3)
    rolled = turntable.model.rollout(arrays["observed"], 6)
    np.testing.assert_array_equal(arrays["generated"], rolled)


def test_swaps_of_held_out_chairs(turntable, tmp_path, capsys):
    fig5_suncg.draw(tmp_path, turntable)
    record, arrays = written(tmp_path, "fig5_suncg")
    assert record["runs"][0]["stand_in"]
    assert record["swap"] == turntable.scores["swap"]
    assert arrays["swapped"].shape == (8, 8, 16, 16, 3)
    printed = capsys.readouterr().out
    assert "STAND-IN, not the data of the paper" in printed
    assert f"{record['swap']['model']['psnr']['mean']:.2f}" in printed


def test_interpolation_begins_and_ends_where_it_says(turntable, tmp_path):
    fig5_interpolation.draw(tmp_path, turntable)
    _, arrays = written(tmp_path, "fig5_interpolation_suncg")
    model, starts, ends = turntable.model, arrays["starts"], arrays["ends"]
    content = model.content(starts)
    for i, frames in ((0, starts), (-1, ends)):
        decoded = as_uint8(model.decode(content, model.pose(frames)))
        # The last bit may differ: batches of other sizes are other programs.
        np.testing.assert_allclose(arrays["between"][:, i].astype(int), decoded, atol=1)
    assert arrays["between"].shape == (7, 9, 16, 16, 3)


@pytest.mark.parametrize(
    ("script", "name", "num_steps"),
    [(fig6_kth_generation, "fig6_kth_generation", 30), (fig7_kth_long, "fig7_kth_long", 100)],
)
def test_generation_of_every_action(people, autoencoder, tmp_path, capsys, script, name, num_steps):
    script.draw(tmp_path, people, autoencoder)
    record, arrays = written(tmp_path, name)
    assert len(set(record["actions"])) == 6
    for array, run in (("generated", people), ("generated_autoencoder", autoencoder)):
        assert arrays[array].shape == (6, num_steps, 16, 16, 1)
        rolled = run.model.rollout(arrays["observed"], num_steps)
        np.testing.assert_array_equal(arrays[array], rolled)
    printed = capsys.readouterr().out
    for each, run in (("DrNET", people), ("autoencoder + LSTM", autoencoder)):
        scores = record["rollout"][each]
        assert scores == run.scores["rollout"]
        for step in set(script.STEPS) & set(scores["steps"]):
            at = scores["steps"].index(step)
            assert f"{scores['psnr']['model']['mean'][at]:.2f}" in printed
    for truth, length in zip(arrays["truth"], arrays["lengths"], strict=True):
        assert np.all(truth[length - 3 :] == generate.NO_TRUTH)


def test_a_baseline_with_two_encoders_is_refused(people, tmp_path):
    with pytest.raises(ValueError, match=r"has content_encoder='dcgan_unet'; expected 'none'\.$"):
        fig6_kth_generation.draw(tmp_path, people, people)


def test_clips_of_actions_are_long_enough_where_there_are_such(people):
    names, clips = generation.one_clip_per_action(people.run, 18)
    store = people.run.source.stores["test"]
    feature = people.run.source.builder.info.features["action"]
    for name, number in zip(names, clips.numbers, strict=True):
        action = feature.str2int(name)
        lengths = [
            length
            for factors, length in zip(store.factors, store.lengths, strict=True)
            if factors["action"] == action
        ]
        assert store.factors[number]["action"] == action
        assert store.lengths[number] >= min(18, max(lengths))


def test_runs_with_and_without_adversary(turntable, tmp_path):
    workdir = shutil.copytree(turntable.run.workdir, tmp_path / "without")
    config = turntable.run.config.to_dict()
    config["drnet"]["adversarial_weight"] = 0.0
    (workdir / "config.json").write_text(json.dumps(config))
    without = runs.finish(ml_collections.ConfigDict(config), workdir)
    fig4_norb_adversarial.draw(tmp_path, turntable, without)
    record, arrays = written(tmp_path, "fig4_norb_adversarial")
    np.testing.assert_array_equal(arrays["with"], arrays["without"])
    assert record["without"]["adversarial_weight"] == 0
    with pytest.raises(ValueError, match=r"has adversarial_weight=0.1; expected 0\.$"):
        fig4_norb_adversarial.draw(tmp_path, without, turntable)


def test_neighbors_of_rollouts(people, tmp_path, capsys):
    nearest_neighbors.draw(tmp_path, people)
    record, arrays = written(tmp_path, "nearest_neighbors_kth")
    scores = people.scores["neighbors"]
    assert record["neighbors"] == scores
    # Rollouts of all four clips are shown: three training frames for each, and for the real ones.
    assert arrays["neighbors"].shape == (8, 3, 16, 16, 1)
    assert np.all(np.diff(arrays["distances"], axis=1) >= 0)
    printed = capsys.readouterr().out
    for name, closest in zip(("generated", "real"), np.split(arrays["distances"], 2), strict=True):
        assert scores[name]["median"]["mean"] == pytest.approx(np.median(closest[:, 0]))
        assert f"{np.median(closest[:, 0]):.4f}" in printed
    assert f"closest of all {scores['num_known_frames']:,} training frames" in record["caption"]


def test_scores_that_a_run_lacks_are_named(people, tmp_path):
    with pytest.raises(ValueError, match=r"json has no few_shot; --mode=evaluate adds that"):
        runs.part(people, "few_shot")


def test_pairs_show_different_contents(turntable):
    first, second = held_out.pairs(turntable.run, "a name", 6)
    again, _ = held_out.pairs(turntable.run, "a name", 6)
    np.testing.assert_array_equal(first, again)
    assert all(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_finished_run_is_used_as_it_is(turntable, monkeypatch, capsys):
    monkeypatch.setattr(train, "prepare", None)
    config = load("suncg", "quick")
    again = runs.finish(config, turntable.run.workdir)
    assert again.run.config.to_dict() == turntable.run.config.to_dict()
    assert "has settings of its own: config.data." in capsys.readouterr().out
    poses = [np.asarray(each.model.pose(np.ones((2, 16, 16, 3)))) for each in (again, turntable)]
    np.testing.assert_array_equal(*poses)


def test_a_run_that_is_not_finished_is_trained(turntable, tmp_path, monkeypatch):
    def prepare(config, workdir):
        assert config.data.image_size == 16
        return lambda: shutil.copytree(turntable.run.workdir, workdir)

    monkeypatch.setattr(train, "prepare", prepare)
    config = ml_collections.ConfigDict(turntable.run.config.to_dict())
    assert runs.finish(config, tmp_path / "new").scores == turntable.scores


def test_runs_of_other_data_are_refused_in_a_line(turntable, tmp_path):
    command = [sys.executable, "-m", "experiments.fig3_mnist", f"--out={tmp_path}"]
    command += [f"--workdir={turntable.run.workdir}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    expected = f"{turntable.run.workdir} is a run of suncg; expected one of moving_mnist."
    assert done.stderr.strip() == expected


def test_captions_are_below_and_stand_ins_stand_out():
    picture = np.full((40, 300, 3), 7, np.uint8)
    plain, stand_in = (
        figure.with_caption(picture, "word " * 20, "note", stand_in=flag) for flag in (False, True)
    )
    np.testing.assert_array_equal(plain[:40], picture)
    has = [(image == GENERATED).all(-1).any() for image in (plain, stand_in)]
    assert has == [False, True]


def test_rows_of_frames_have_their_places():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 80, 80, 3), np.uint8)
    rows = [[*frames[0]], [frames[1, 0], None, frames[1, 2]]]
    groups = [("left", OBSERVED, 1), ("right", GENERATED, 2)]
    picture = viz.labeled_rows(rows, ["a\nb", "c"], ["1", "2", "3"], groups=groups)
    for row in rows:
        for frame in row:
            if frame is not None:
                corners = np.argwhere((picture == frame[0, 0]).all(-1))
                assert any(
                    np.array_equal(picture[y : y + 80, x : x + 80], frame) for y, x in corners
                )
    with pytest.raises(ValueError, match=r"2 rows of \[3, 3\] frames, 1 labels, 3 headings"):
        viz.labeled_rows(rows, ["a"], ["1", "2", "3"], groups=groups)


def test_runs_of_other_data_are_not_compared(turntable, tmp_path):
    runs.check_same_data([turntable, turntable])
    config = ml_collections.ConfigDict(turntable.run.config.to_dict())
    config.data.consecutive = True  # The same clips, and the same of them are held out.
    same = dataclasses.replace(turntable.run, config=config)
    runs.check_same_data([turntable, dataclasses.replace(turntable, run=same)])
    config = ml_collections.ConfigDict(turntable.run.config.to_dict())
    config.data.stand_in.num_identities = 7
    other = dataclasses.replace(turntable.run, config=config, workdir=tmp_path)
    with pytest.raises(ValueError, match=r"not of the same data: config.data.stand_in.num_"):
        runs.check_same_data([turntable, dataclasses.replace(turntable, run=other)])


def test_scores_of_another_version_are_made_again(turntable, tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(turntable.run.workdir, workdir)
    asked = []
    monkeypatch.setattr(evaluate, "prepare", lambda *args: lambda: asked.append(args[1]))
    config = ml_collections.ConfigDict(turntable.run.config.to_dict())
    runs.finish(config, workdir)
    assert not asked
    record = json.loads((workdir / "evaluation.json").read_text())
    record["schema_version"] -= 1
    (workdir / "evaluation.json").write_text(json.dumps(record))
    runs.finish(config, workdir)
    assert asked == [workdir]
    assert "is scored again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "Stopped. The same command goes on from there."),
        (StoppedError("Saved."), 130, "Saved. The same command goes on from there."),
        (ValueError("What is\nwrong."), 2, "What is"),
    ],
)
def test_a_script_ends_with_one_line(error, code, said, capsys):
    with pytest.raises(SystemExit) as end, runs.errors_in_one_line():
        raise error
    assert end.value.code == code
    printed = capsys.readouterr()
    assert (printed.out + printed.err).splitlines() == [said]
