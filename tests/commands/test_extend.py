"""A run goes on to a later end than it was begun with."""

import json
import shutil

import chex
import pytest

import drnet_jax
from drnet_jax.base.errors import InputError
from drnet_jax.commands import train
from drnet_jax.runs import extension
from drnet_jax.runs import run as run_lib
from drnet_jax.runs.workdir import STAGES, saved_steps
from tests.conftest import tiny_config


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of a finished run of six steps a stage, with checkpoints of 2, 4 and 6."""
    return shutil.copytree(trained, tmp_path / "run")


def final_states(config, workdir):
    return run_lib.create_run(config, workdir).restore()


def losses(workdir):
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    timed = ("steps_per_second", "input_wait", "crc32")
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]


def lengthen(config, **steps):
    for stage, num_steps in steps.items():
        config[stage].num_steps = num_steps
    return config


@pytest.fixture(scope="module")
def long(data_dir, tmp_path_factory):
    """A run of ten and eight steps that had them from its beginning, without scores."""
    workdir = tmp_path_factory.mktemp("long")
    with pytest.MonkeyPatch.context() as patch:
        for command in (train.evaluate, train.generate):
            patch.setattr(command, "write", lambda *args: None)
        train.run(lengthen(tiny_config(data_dir), drnet=10, predictor=8), workdir)
    return workdir


def test_an_extended_run_equals_one_that_was_longer_from_its_beginning(
    workdir, config, long, capsys
):
    lengthen(config, drnet=10, predictor=8)
    train.run(config, workdir, extend=True)
    assert capsys.readouterr().out.startswith(
        "Extending drnet from 6 to 10 steps: it goes on after step 4, as statistics of BatchNorm "
        "were recomputed after the last one.\n"
        "Extending predictor from 6 to 8 steps: it begins anew.\n"
        "The predictor is trained again from its start, as its encoders change.\n"
        "What is replaced is kept in before_extension/ until the run is finished again.\n"
        "Resuming drnet after step 4.\n"
    )
    chex.assert_trees_all_equal(final_states(config, workdir), final_states(config, long))
    assert losses(workdir) == losses(long)
    # Scores, pictures and report are there again, what was kept is not.
    for name in ("evaluation.json", "samples/rollout.npz", "report.html"):
        assert (workdir / name).stat().st_mtime > (workdir / "config.json").stat().st_mtime
    assert not (workdir / "before_extension").exists()
    train.run(config, workdir, extend=True)
    assert "is finished: open" in capsys.readouterr().out


@pytest.mark.usefixtures("training_only")
def test_the_predictor_alone_goes_on_where_it_ended(workdir, config, tmp_path, capsys):
    train.run(lengthen(config, predictor=8), workdir, extend=True)
    assert capsys.readouterr().out.startswith(
        "Extending predictor from 6 to 8 steps: it goes on after step 6.\n"
    )
    train.run(config, tmp_path / "long")
    pair = (final_states(config, path) for path in (workdir, tmp_path / "long"))
    chex.assert_trees_all_equal(*pair)


class KilledError(Exception):
    """The end of a process."""


@pytest.mark.usefixtures("training_only")
@pytest.mark.parametrize(
    ("moment", "again"),
    [
        ("moving drnet", True),
        ("moving predictor", False),
        ("settings", True),
        ("training", False),
    ],
)
def test_an_extension_can_end_at_any_moment(
    moment, again, workdir, config, long, monkeypatch, data_dir
):
    """The old run is complete in one of the two folders, and the same command ends like `long`."""
    before = final_states(config, workdir)
    lengthen(config, drnet=10, predictor=8)
    with monkeypatch.context() as patch:

        def kill(*args):
            raise KilledError

        if moment.startswith("moving"):
            move = extension.files.move

            def move_until(folder, target):
                if folder.name == {"moving drnet": "6", "moving predictor": "predictor"}[moment]:
                    raise KilledError
                move(folder, target)

            patch.setattr(extension.files, "move", move_until)
        patch.setattr(train, "write_settings" if moment == "settings" else "fit_stage", kill)
        with pytest.raises(KilledError):
            train.run(config, workdir, extend=True)
    kept = workdir / "before_extension"
    assert (kept / "report.html").exists()
    if moment in ("settings", "training"):
        chex.assert_trees_all_equal(final_states(tiny_config(data_dir), kept), before)
        assert drnet_jax.load(kept).config.drnet.num_steps == 6
    if not again and moment != "training":
        # With the old settings, the old run is made again.
        train.run(tiny_config(data_dir), workdir)
        chex.assert_trees_all_equal(final_states(tiny_config(data_dir), workdir), before)
        return
    train.run(config, workdir, extend=again)
    chex.assert_trees_all_equal(final_states(config, workdir), final_states(config, long))
    assert not kept.exists()


@pytest.mark.usefixtures("training_only")
def test_an_extension_that_is_extended_keeps_the_finished_run(
    workdir, config, long, monkeypatch, data_dir
):
    before = final_states(config, workdir)
    fit_stage = train.fit_stage

    def fit_first_stage(run, stage, *args):
        if stage.name == "predictor":
            raise KilledError
        return fit_stage(run, stage, *args)

    with monkeypatch.context() as patch:
        patch.setattr(train, "fit_stage", fit_first_stage)
        with pytest.raises(KilledError):
            train.run(lengthen(config, drnet=8), workdir, extend=True)
        with pytest.raises(KilledError):
            train.run(lengthen(config, drnet=10), workdir, extend=True)
    chex.assert_trees_all_equal(
        final_states(tiny_config(data_dir), workdir / "before_extension"), before
    )
    train.run(lengthen(config, predictor=8), workdir, extend=True)
    chex.assert_trees_all_equal(final_states(config, workdir), final_states(config, long))


def test_more_steps_without_the_flag_are_refused_by_its_name(workdir, config):
    message = "config.drnet.num_steps is 6 there and 8 here; --extend trains it on to more steps."
    with pytest.raises(InputError, match=message):
        train.run(lengthen(config, drnet=8), workdir)
    assert (workdir / "report.html").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drnet.num_steps": 4}, r"another run: config.drnet.num_steps is 6 there and 4 here\."),
        (
            {"drnet.num_steps": 8, "model.width": 3},
            r"another run: config.model.width is 2 there and 3 here\.",
        ),
    ],
)
def test_an_extension_is_nothing_but_more_steps(changes, message, workdir, config):
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        train.run(config, workdir, extend=True)


def test_there_must_be_a_run_to_extend(config, tmp_path):
    with pytest.raises(InputError, match="--extend needs a run to extend, and there is none in"):
        train.run(config, tmp_path / "run", extend=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("stage", "changes", "reason"),
    [
        ("drnet", {"schedule": "cosine"}, "config.drnet.schedule=cosine depends on it, so the st"),
        ("predictor", {"schedule": "cosine"}, "config.predictor.schedule=cosine depends on it"),
        ("predictor", {"scheduled_sampling": 0.5}, "config.predictor.scheduled_sampling=0.5 dep"),
        (
            "predictor",
            {"passes_per_set": 2},
            "the size of a set, at most config.predictor.num_steps, de",
        ),
    ],
)
def test_what_depends_on_the_number_of_steps_forbids_an_extension(
    stage, changes, reason, workdir, config
):
    config[stage].update(changes)
    stored = config.to_dict()
    lengthen(config, **{stage: 8})
    expected = f"config.{stage}.num_steps cannot be extended from 6 to 8: {reason}"
    with pytest.raises(ValueError, match=expected):
        extension.check(stored, config.to_dict(), workdir)
    if stage == "predictor":
        # If it has not begun, or begins anew, it may have any length.
        lengthen(config, drnet=8)
        extension.check(stored, config.to_dict(), workdir)
        lengthen(config, drnet=6)
    shutil.rmtree(workdir / "checkpoints" / stage)
    extension.check(stored, config.to_dict(), workdir)


def test_the_checkpoint_before_the_last_must_be_there(workdir, config):
    for step in (2, 4):
        shutil.rmtree(workdir / "checkpoints" / "drnet" / str(step))
    stored = config.to_dict()
    extension.check(stored, lengthen(config, predictor=8).to_dict(), workdir)
    with pytest.raises(ValueError, match="cannot be extended: drnet would go on from the checkpoi"):
        extension.check(stored, lengthen(config, drnet=8).to_dict(), workdir)
    assert [saved_steps(workdir, stage) for stage in STAGES] == [[6], [2, 4, 6]]
