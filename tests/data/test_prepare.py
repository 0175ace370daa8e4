"""Preparation: interrupted, repeated or refused, it leaves the same bytes or no data set."""

import errno
import functools
import hashlib
import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import unittest.mock

import jax
import numpy as np
import pytest
from array_record.python import array_record_module

from drnet_jax.base import files
from drnet_jax.data.preparation import prepare, write_folder
from drnet_jax.data.preparation.builder import SPLITS, Clip, Job
from tests.helpers import squares
from tests.helpers.squares import create

prepare_clips = functools.partial(prepare.prepare_clips, max_skipped=0)


def contents(folder):
    """Returns the bytes of all files of a prepared data set."""
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def kill_while(stage, folder):
    """Prepares in another process, which is killed in the middle of `stage`."""
    command = [sys.executable, "-m", "tests.helpers.squares", str(folder), stage]
    root = pathlib.Path(squares.__file__).parent.parent.parent
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with subprocess.Popen(command, cwd=root, text=True, **pipes) as process:
        assert "Stuck.\n" in process.stdout, process.stderr.read()
        process.kill()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A complete data set; tests only read it."""
    builder = create(tmp_path_factory.mktemp("undisturbed"))
    assert not builder.data_path.exists()
    assert prepare_clips(builder) == builder.data_path
    return builder


@pytest.fixture(scope="module")
def undisturbed(prepared):
    return contents(prepared.data_path)


def test_what_is_prepared_is_read_back(prepared):
    assert prepared.data_path.exists()
    for split in SPLITS:
        expected = [clip for job in prepared.jobs()[split] for clip in prepared.make(job)]
        records = prepared.as_data_source(split)
        assert len(records) == len(expected) == 8
        for record, clip in zip(records, expected, strict=True):
            np.testing.assert_array_equal(record["frames"], clip.frames)
            np.testing.assert_array_equal(record["position"], clip.factors["position"])
            assert record["name"].decode() == clip.name
            assert record["length"] == len(clip.frames)
            assert squares.ACTIONS[record["action"]] == clip.factors["action"]
            assert record["person"].decode() == clip.factors["person"]
    names = {path.name for path in prepared.data_path.parent.iterdir()}
    assert names == {"1.0.0", ".1.0.0.lock"}


def test_tfds_itself_prepares_the_same_clips(prepared, tmp_path):
    builder = create(tmp_path)
    builder.download_and_prepare(file_format="array_record")
    for split in SPLITS:
        clips = zip(*(b.as_data_source(split) for b in (prepared, builder)), strict=True)
        for expected, actual in clips:
            jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_records_are_those_of_the_first_version(prepared):
    clip = prepared.make(prepared.jobs()["train"][0])[0]
    digest = hashlib.sha256(prepared.serialize(clip)).hexdigest()
    assert digest == "63bd556682084ae1b304830da635744027096f1b6f45b6331da2910dc0b4982b"


@pytest.mark.parametrize("workers", [1, 5])
def test_bytes_do_not_depend_on_the_threads(tmp_path, undisturbed, workers, capsys):
    builder = create(tmp_path)
    assert contents(prepare_clips(builder, workers=workers)) == undisturbed
    assert capsys.readouterr().out == f"Preparing Moving squares: 8 jobs, in {builder.data_path}.\n"


def test_a_complete_data_set_is_left_alone(prepared, undisturbed, capsys):
    again = create(prepared.data_path.parent.parent.parent)
    prepare._parts(again).mkdir()  # Left by a crash between the last two steps.
    assert contents(prepare_clips(again)) == undisturbed
    assert not prepare._parts(again).exists()
    assert again.made == []
    assert capsys.readouterr().out == ""
    assert len(again.as_data_source("train")) == 8


def test_a_killed_preparation_resumes_to_the_same_bytes(tmp_path, undisturbed):
    builder = create(tmp_path)
    folder = builder.data_path.parent
    kill_while("making", tmp_path)
    assert len(list(folder.glob(".1.0.0.parts/*.records"))) == 3
    assert not builder.data_path.exists()
    # Another process resumes, because the order of some sets in tfds depends on the process.
    kill_while("writing", tmp_path)
    assert list(folder.glob("incomplete.*_1.0.0/*"))
    assert not builder.data_path.exists()
    assert contents(prepare_clips(builder)) == undisturbed
    assert builder.made == []
    assert {path.name for path in folder.iterdir()} == {"1.0.0", ".1.0.0.lock"}


def test_damaged_parts_are_made_again(tmp_path, undisturbed):
    builder = create(tmp_path)
    intact, *damaged = builder.jobs()["train"]
    for job in (intact, *damaged):
        records = [builder.serialize(clip) for clip in builder.make(job)]
        files.write_checked(prepare._part(builder, job), records)
    for job, keep in zip(damaged, (0, 700, None), strict=True):
        path = prepare._part(builder, job)
        stored = bytearray(path.read_bytes())
        stored[len(stored) // 2] ^= 1
        path.write_bytes(stored[:keep])
    builder.made.clear()
    assert contents(prepare_clips(builder)) == undisturbed
    assert intact.name not in builder.made
    assert {job.name for job in damaged} < set(builder.made)


def test_a_part_is_reused_only_for_the_same_job(tmp_path):
    jobs = [Job("é"), Job("é", (1,)), Job("é", (1, "a")), Job("e", (1,))]
    assert len({prepare._part(create(tmp_path), job) for job in jobs}) == 4
    assert prepare._part(create(tmp_path), jobs[1]) == prepare._part(create(tmp_path), jobs[1])


def test_large_splits_are_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(write_folder, "_FILE_BYTES", 20 * squares.SIZE**2)
    builder = create(tmp_path)
    names = {path.name for path in prepare_clips(builder).glob("*train*")}
    assert len(names) == 3
    expected = [clip.name for job in builder.jobs()["train"] for clip in builder.make(job)]
    assert [record["name"].decode() for record in builder.as_data_source("train")] == expected


def test_skipped_inputs_are_listed(tmp_path, caplog):
    builder = create(tmp_path, unreadable=[("train", i) for i in range(12)], num_jobs=20)
    folder = prepare_clips(builder, max_skipped=0.3)
    assert [record.getMessage() for record in caplog.records] == [
        *(f"Skipped train é {i}.avi: train é {i}.avi has no video in it." for i in range(10)),
        "Skipped 2 more.",
    ]
    assert len(builder.as_data_source("train")) == 16
    assert (
        "- train é 11.avi: train é 11.avi has no video in it.\n" in (folder / "card.md").read_text()
    )


def test_too_many_skipped_inputs_are_refused(tmp_path):
    builder = create(tmp_path, unreadable=[("train", 1), ("test", 2)])
    with pytest.raises(ValueError) as error:
        prepare_clips(builder, max_skipped=0.2)
    assert str(error.value) == (
        "Moving squares: 2 of 8 inputs cannot be used, the first: train é 1.avi has no video in "
        "it; at most 0.2 of all are allowed: fix them, or allow more with "
        "config.data.max_skipped=0.25."
    )
    assert not builder.data_path.exists()
    again = create(tmp_path, unreadable=[("train", 1)])
    prepare_clips(again, max_skipped=0.25)
    assert again.made == ["test é 2.avi"]
    assert len(again.as_data_source("train")) == 6


def test_a_split_without_clips_is_refused(tmp_path):
    builder = create(tmp_path, unreadable=[("test", i) for i in range(4)])
    expected = "The split 'test' would have no clips. Moving squares: 4 of 8 inputs cannot be used"
    with pytest.raises(ValueError, match=re.escape(f"{expected}, the first: test é 0.avi has")):
        prepare_clips(builder, max_skipped=1)
    with pytest.raises(ValueError, match="the split 'train' has no inputs"):
        prepare_clips(create(tmp_path, num_jobs=0))


def test_repeated_names_are_refused(tmp_path, monkeypatch):
    builder = create(tmp_path)
    twins = {split: [Job("a.avi", (split, 0))] for split in SPLITS}
    monkeypatch.setattr(builder, "jobs", lambda: twins)
    with pytest.raises(ValueError, match=r"'a\.avi' occurs 2 times; allowed: once"):
        prepare_clips(builder)
    builder = create(tmp_path)
    namesakes = [Clip("x", clip.frames, clip.factors) for clip in builder.make(Job("", ("", 0)))]
    monkeypatch.setattr(builder, "make", lambda job: namesakes[:1])
    with pytest.raises(
        ValueError, match=r"two clips are named 'x', one from 'train é 0\.avi' and one"
    ):
        prepare_clips(builder)


@pytest.mark.parametrize(
    ("shape", "factors", "message"),
    [
        ((-1,), {}, "ValueError: negative dimensions"),  # Raised by `make`.
        ((1, 16, 16, 1), {"height": None}, "TypeError: .*height"),
        ((1, 16, 16, 1), {"width": 1}, "KeyError: .width"),
    ],
)
def test_a_failing_job_is_named_and_stops_all(tmp_path, monkeypatch, shape, factors, message):
    builder = create(tmp_path)
    make = builder.make

    def make_one_badly(job):
        [clip, _] = make(job)
        if job.arguments[1] != 2:
            return [clip]
        return [Clip("x", np.zeros(shape, np.uint8), clip.factors | factors)]

    monkeypatch.setattr(builder, "make", make_one_badly)
    with pytest.raises(RuntimeError, match=rf"^Moving squares: '\w+ é 2\.avi' failed: {message}"):
        prepare_clips(builder)


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        (np.zeros((0, 16, 16, 1), np.uint8), "the clip 'x' has no frames"),
        (
            np.zeros((1, 8, 8, 1), np.uint8),
            r"the frames of the clip 'x' are uint8 \[1, 8, 8, 1\]; ",
        ),
        (np.zeros((1, 16, 16, 1)), r"the frames of the clip 'x' are float64 \[1, 16, 16, 1\]; "),
    ],
)
def test_frames_that_cannot_be_clips_are_said(tmp_path, monkeypatch, frames, problem):
    builder = create(tmp_path)
    make = builder.make
    monkeypatch.setattr(builder, "make", lambda job: [Clip("x", frames, make(job)[0].factors)])
    with pytest.raises(ValueError, match=rf"^Moving squares: '\w+ é \d\.avi': {problem}"):
        prepare_clips(builder)


def test_one_bad_input_does_not_stop_a_small_folder(tmp_path, caplog):
    builder = create(tmp_path, unreadable=[("train", 1)])
    prepare_clips(builder, max_skipped=0.05)
    assert len(builder.as_data_source("train")) == 6
    assert "Skipped train é 1.avi: train é 1.avi has no video in it." in caplog.text
    strict = create(tmp_path / "strict", unreadable=[("train", 1)])
    with pytest.raises(ValueError, match="1 of 8 inputs cannot be used"):
        prepare_clips(strict, max_skipped=0)


def test_a_full_disk_while_making_is_an_error(tmp_path, monkeypatch):
    builder = create(tmp_path)
    left = [files.write_atomically] * 3

    def fill(path, data):
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return left.pop()(path, data)

    monkeypatch.setattr(files, "write_atomically", fill)
    with pytest.raises(ValueError) as error:
        prepare_clips(builder, workers=1)
    assert str(error.value) == (
        f"Clips cannot be written to {builder.data_path}: No space left on device."
    )
    monkeypatch.undo()
    again = create(tmp_path)
    prepare_clips(again)
    assert len(again.made) == 5


def test_a_full_disk_while_writing_is_an_error(tmp_path, monkeypatch, undisturbed):
    builder = create(tmp_path)
    writer = unittest.mock.Mock()  # Fails as ArrayRecord's writer does.
    error = RuntimeError("write() failed: No space left on device; writing x.array_record; at")
    writer.return_value.write.side_effect = error
    with monkeypatch.context() as patch:
        patch.setattr(array_record_module, "ArrayRecordWriter", writer)
        with pytest.raises(
            ValueError, match=r"/1\.0\.0: write\(\) failed: No space left on device\.$"
        ):
            prepare_clips(builder)
    assert not builder.data_path.exists()
    assert not list(builder.data_path.parent.glob("incomplete.*"))
    builder.made.clear()
    assert contents(prepare_clips(builder)) == undisturbed
    assert builder.made == []


def test_a_place_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match=r"^Clips cannot be written to .*file.*: Not a directory\.$"
    ):
        prepare_clips(create(tmp_path / "file"))


def test_a_second_process_waits(tmp_path, monkeypatch):
    builder = create(tmp_path)
    said = queue.SimpleQueue()
    monkeypatch.setattr(files, "print", lambda line, flush: said.put(line), raising=False)
    thread = threading.Thread(target=prepare_clips, args=(builder,))
    with prepare._locked(builder):
        thread.start()
        waiting = said.get(timeout=30)
        assert waiting == "Waiting for another process that prepares Moving squares."
        assert builder.made == []
    thread.join()
    assert builder.data_path.exists()
