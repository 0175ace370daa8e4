"""Preparing: interrupted, repeated, refused; always the same bytes or nothing complete."""

import errno
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from tensorflow_datasets.core import writer

from drnet_jax.base import files
from drnet_jax.data.preparation import prepare
from drnet_jax.data.preparation.builder import SPLITS, Clip, Job
from drnet_jax.data.preparation.parts import Parts
from tests.helpers import squares


def create(folder, kind=squares.CountingToy, unreadable=(), **settings):
    builder = squares.create(folder, kind, **settings)
    builder.made, builder.unreadable = [], frozenset(unreadable)
    return builder


def parts_of(builder):
    return Parts(builder.data_path.with_name(".1.0.0.parts"))


def contents(folder):
    """Returns the bytes of all files of a prepared data set."""
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def start(folder, kind):
    """Starts a process that prepares, and returns it and where it works."""
    command = [sys.executable, squares.__file__, str(folder), kind]
    root = pathlib.Path(squares.__file__).parent.parent.parent
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(root)}, stderr=subprocess.PIPE
    )
    return process, folder / "toy" / "toy_16_4_2"


def wait_for(condition, process):
    deadline = time.monotonic() + 30
    while not condition():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return contents(prepare.prepare(squares.create(tmp_path_factory.mktemp("undisturbed"))))


def test_what_is_prepared_is_read_back(tmp_path):
    builder = create(tmp_path)
    assert not prepare.is_prepared(builder)
    folder = prepare.prepare(builder)
    assert prepare.is_prepared(builder)
    assert folder == builder.data_path
    for split in SPLITS:
        expected = [clip for job in builder.jobs()[split] for clip in builder.make(job)]
        records = builder.as_data_source(split)
        assert len(records) == len(expected) == 8
        for record, clip in zip(records, expected, strict=True):
            np.testing.assert_array_equal(record["frames"], clip.frames)
            np.testing.assert_array_equal(record["position"], clip.factors["position"])
            assert record["name"].decode() == clip.name
            assert record["length"] == len(clip.frames)
            assert squares.ACTIONS[record["action"]] == clip.factors["action"]
            assert record["person"].decode() == clip.factors["person"]
    assert {path.name for path in folder.parent.iterdir()} == {"1.0.0", ".1.0.0.lock"}


def test_a_complete_data_set_is_left_alone(tmp_path, capsys):
    first = create(tmp_path)
    before = contents(prepare.prepare(first))
    assert capsys.readouterr().out == (f"Preparing Moving squares: 8 jobs, in {first.data_path}.\n")
    second = create(tmp_path)
    assert contents(prepare.prepare(second)) == before
    assert second.made == []
    assert capsys.readouterr().out == ""
    assert len(second.as_data_source("train")) == 8


@pytest.mark.parametrize("workers", [1, 5])
def test_bytes_do_not_depend_on_the_threads(tmp_path, undisturbed, workers):
    assert contents(prepare.prepare(create(tmp_path), workers=workers)) == undisturbed


def test_killed_while_making_goes_on_to_the_same_bytes(tmp_path, undisturbed):
    process, folder = start(tmp_path, "SlowToy")
    wait_for(lambda: len(list(folder.glob(".1.0.0.parts/*.part"))) >= 3, process)
    kill(process)
    builder = create(tmp_path)
    assert not prepare.is_prepared(builder)
    finished = len(list(folder.glob(".1.0.0.parts/*.part")))
    assert 3 <= finished < 8
    # In another process, since some orders of tfds change with the process.
    process, _ = start(tmp_path, "Toy")
    error = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 0, error
    assert contents(prepare.prepare(builder)) == undisturbed
    assert builder.made == []


def test_killed_while_writing_goes_on_to_the_same_bytes(tmp_path, undisturbed):
    process, folder = start(tmp_path, "StuckToy")
    wait_for(lambda: list(folder.glob("incomplete.*_1.0.0/*")), process)
    kill(process)
    builder = create(tmp_path)
    assert not prepare.is_prepared(builder)
    assert contents(prepare.prepare(builder)) == undisturbed
    assert builder.made == []
    assert {path.name for path in folder.iterdir()} == {"1.0.0", ".1.0.0.lock"}


def test_parts_left_behind_after_completion_are_deleted(tmp_path):
    builder = create(tmp_path)
    prepare.prepare(builder)
    parts_of(builder).folder.mkdir()
    prepare.prepare(builder)
    assert not parts_of(builder).folder.exists()


@pytest.mark.parametrize("damage", ["empty", "truncated", "changed"])
def test_damaged_parts_are_made_anew(tmp_path, undisturbed, damage):
    builder = create(tmp_path)
    jobs = builder.jobs()["train"]
    parts = parts_of(builder)
    parts.folder.mkdir(parents=True)
    for job in jobs[:2]:
        parts.store(job, builder.make(job))
    path = pathlib.Path(parts._path(jobs[1]))
    stored = bytearray(path.read_bytes())
    if damage == "changed":
        stored[len(stored) // 2] ^= 1
    path.write_bytes(stored[: {"empty": 0, "truncated": 700, "changed": None}[damage]])
    builder.made.clear()
    assert contents(prepare.prepare(builder)) == undisturbed
    assert jobs[0].name not in builder.made
    assert jobs[1].name in builder.made


def test_parts_notice_any_damage(tmp_path):
    parts, job = Parts(tmp_path), Job("é", (1, "a"))
    clip = Clip("name", np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1), {"label": "b", "x": 1.5})
    parts.store(job, [clip])
    path = pathlib.Path(parts._path(job))
    stored = path.read_bytes()
    for i in range(0, len(stored), 5):
        path.write_bytes(stored[:i] + bytes([stored[i] ^ 255]) + stored[i + 1 :])
        assert parts.load(job) is None
    path.write_bytes(stored)
    (found,) = parts.load(job)
    assert (found.name, found.factors) == (clip.name, clip.factors)
    np.testing.assert_array_equal(found.frames, clip.frames)


def test_parts_are_of_one_job_alone(tmp_path):
    parts = Parts(tmp_path)
    parts.store(Job("a", (1,)), [])
    assert parts.load(Job("a", (1,))) == []
    assert parts.load(Job("a", (2,))) is None
    with pytest.raises(TypeError, match="x is None; allowed: numbers, texts and arrays of those"):
        parts.store(Job("b"), [Clip("b", np.zeros((1, 2, 2, 1), np.uint8), {"x": None})])


def test_large_splits_are_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "_SHARD_BYTES", 20 * squares.SIZE**2)
    builder = create(tmp_path)
    names = {path.name for path in prepare.prepare(builder).glob("*train*")}
    assert len(names) == 3
    expected = [clip.name for job in builder.jobs()["train"] for clip in builder.make(job)]
    assert [record["name"].decode() for record in builder.as_data_source("train")] == expected


def test_skipped_inputs_are_listed(tmp_path, caplog):
    builder = create(tmp_path, squares.HoledToy, [("train", i) for i in range(12)], num_jobs=20)
    folder = prepare.prepare(builder, max_skipped=0.3)
    assert [record.getMessage() for record in caplog.records] == [
        *(f"Skipped train é {i}.avi: train é {i}.avi has no video in it." for i in range(10)),
        "Skipped 2 more.",
    ]
    assert len(builder.as_data_source("train")) == 16
    assert (
        "- train é 11.avi: train é 11.avi has no video in it.\n" in (folder / "card.md").read_text()
    )


def test_too_many_skipped_inputs_are_refused(tmp_path):
    builder = create(tmp_path, squares.HoledToy, [("train", 1), ("test", 2)])
    with pytest.raises(ValueError) as error:
        prepare.prepare(builder, max_skipped=0.2)
    assert str(error.value) == (
        "Moving squares: 2 of 8 inputs cannot be used, the first: train é 1.avi has no video in "
        "it; at most 0.2 of all are allowed: mend them, or allow more by "
        "config.data.max_skipped=0.25."
    )
    assert not prepare.is_prepared(builder)
    again = create(tmp_path, squares.HoledToy, [("train", 1)])
    prepare.prepare(again, max_skipped=0.25)
    assert again.made == ["test é 2.avi"]
    assert len(again.as_data_source("train")) == 6


def test_a_split_without_clips_is_refused(tmp_path):
    builder = create(tmp_path, squares.HoledToy, [("test", i) for i in range(4)])
    expected = "The split 'test' would have no clips. Moving squares: 4 of 8 inputs cannot be used"
    with pytest.raises(ValueError, match=re.escape(f"{expected}, the first: test é 0.avi has")):
        prepare.prepare(builder, max_skipped=1)
    with pytest.raises(ValueError, match="there is nothing to make the split 'train' of"):
        prepare.prepare(create(tmp_path, num_jobs=0))


def test_names_occur_once(tmp_path, monkeypatch):
    builder = create(tmp_path)
    twins = {split: [Job("a.avi", (split, 0))] for split in SPLITS}
    monkeypatch.setattr(builder, "jobs", lambda: twins)
    with pytest.raises(ValueError, match=r"'a\.avi' occurs 2 times; allowed: once"):
        prepare.prepare(builder)
    builder = create(tmp_path)
    namesakes = [Clip("x", clip.frames, clip.factors) for clip in builder.make(Job("", ("", 0)))]
    monkeypatch.setattr(builder, "make", lambda job: namesakes[:1])
    with pytest.raises(ValueError, match=r"two clips are named 'x', of 'train é 0\.avi' and of"):
        prepare.prepare(builder)


def test_a_failing_job_is_named(tmp_path, monkeypatch):
    builder = create(tmp_path)
    monkeypatch.setattr(builder, "make", lambda job: 1 / (job.arguments[1] - 2))
    with pytest.raises(RuntimeError, match=r"^Moving squares: '.* é .*\.avi' failed: "):
        prepare.prepare(builder)
    good = builder.made
    for frames in (np.zeros((0, 16, 16, 1), np.uint8), np.zeros((1, 8, 8, 1), np.uint8)):
        builder = create(tmp_path)
        factors = squares.Toy.make(builder, Job("", ("", 0)))[0].factors
        clips = [Clip("x", frames, factors)]
        monkeypatch.setattr(builder, "make", lambda job, clips=clips: clips)
        with pytest.raises(RuntimeError, match="failed: ValueError: "):
            prepare.prepare(builder)
    assert good == []


def test_a_full_disk_while_making(tmp_path, monkeypatch):
    builder = create(tmp_path)
    write = files.write_atomically
    written = []

    def fill(path, data):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        return write(path, data)

    monkeypatch.setattr(files, "write_atomically", fill)
    with pytest.raises(ValueError) as error:
        prepare.prepare(builder, workers=1)
    assert str(error.value) == (
        f"Clips cannot be written to {builder.data_path}: No space left on device."
    )
    monkeypatch.undo()
    again = create(tmp_path)
    prepare.prepare(again)
    assert len(again.made) == 5


def test_a_full_disk_while_writing(tmp_path, monkeypatch, undisturbed):
    builder = create(tmp_path)

    def fill(self, path, examples):
        # As ArrayRecord puts it.
        raise RuntimeError(f"write() failed: No space left on device; writing {path}; at byte 0")

    with monkeypatch.context() as patch:
        patch.setattr(writer.ExampleWriter, "write", fill)
        with pytest.raises(
            ValueError, match=r"/1\.0\.0: write\(\) failed: No space left on device\.$"
        ):
            prepare.prepare(builder)
    assert not prepare.is_prepared(builder)
    builder.made.clear()
    assert contents(prepare.prepare(builder)) == undisturbed
    assert builder.made == []


def test_places_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match=r"^Clips cannot be written to .*file.*: Not a directory\.$"
    ):
        prepare.prepare(create(tmp_path / "file"))


def test_a_second_process_waits(tmp_path, capsys):
    builder = create(tmp_path)
    thread = threading.Thread(target=prepare.prepare, args=(builder,))
    with prepare._locked(builder):
        thread.start()
        deadline = time.monotonic() + 30
        while not (said := capsys.readouterr().out):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert said == "Waiting for another process that prepares Moving squares.\n"
        assert builder.made == []
    thread.join()
    assert prepare.is_prepared(builder)
