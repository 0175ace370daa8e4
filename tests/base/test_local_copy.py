"""Folders of a bucket that are copied to this machine, and data sets that are prepared there."""

import fsspec
import numpy as np
import pytest
from etils import epath

from drnet_jax.base import files, local_copy
from drnet_jax.data.moving_mnist import digits, idx
from drnet_jax.data.preparation import prepare
from tests.helpers import idx_files, toy_clips


@pytest.fixture
def on_host(tmp_path, monkeypatch):
    """Makes this machine one of several, each with a cache of its own."""

    def switch(name):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))

    switch("a")
    return switch


def content(folder):
    return {path.name: files.read(path) for path in folder.iterdir() if path.name[0] != "."}


def test_a_local_folder_is_its_own_copy(tmp_path):
    folder = epath.Path(tmp_path)
    assert local_copy.place(folder) == local_copy.download(folder) == folder
    assert local_copy.original(folder) is None


def test_a_copy_follows_its_folder(bucket, on_host, capsys):
    for name in ("a.mp4", "below/b.mp4", "below/c d.mp4"):
        files.write_atomically(bucket / name, name)
    copy = local_copy.download(bucket)
    assert (copy / "below" / "c d.mp4").read_text() == "below/c d.mp4"
    assert "Fetching 3 files" in capsys.readouterr().out
    assert local_copy.download(bucket) == copy
    assert capsys.readouterr().out == ""
    times = (copy / "a.mp4").stat().mtime
    on_host("b")
    assert (local_copy.download(bucket) / "a.mp4").stat().mtime == times
    on_host("a")
    files.write_atomically(bucket / "a.mp4", "longer than it was")
    (bucket / "below" / "b.mp4").unlink()
    (copy / "below" / "c d.mp4").write_text("half")  # As if the first download had been killed.
    local_copy.download(bucket)
    assert (copy / "a.mp4").read_text() == "longer than it was"
    assert not (copy / "below" / "b.mp4").exists()
    assert (copy / "below" / "c d.mp4").read_text() == "below/c d.mp4"


def test_a_single_file_is_copied_as_one(bucket, on_host):
    files.write_atomically(bucket / "a.mp4", "video")
    copy = local_copy.download(bucket / "a.mp4")
    assert copy.name == "a.mp4"
    assert copy.read_text() == "video"
    assert local_copy.download(bucket / "a.mp4") == copy


def test_a_name_that_leads_out_of_the_folder_is_refused(on_host, monkeypatch):
    bucket = fsspec.filesystem("memory")
    found = {"bucket/a/../../x": {"type": "file"}}
    monkeypatch.setattr(bucket, "find", lambda root, detail: found)
    monkeypatch.setattr(fsspec, "url_to_fs", lambda _: (bucket, "bucket/a"))
    with pytest.raises(ValueError, match=r"gs://bucket/a holds '../../x'; allowed: names without"):
        local_copy.download(epath.Path("gs://bucket/a"))


def test_clips_are_prepared_once_for_all_hosts(bucket, on_host, monkeypatch):
    builder = toy_clips.create(local_copy.place(bucket))
    made = content(builder.data_path)
    remote = local_copy.original(builder.data_path)
    assert remote.is_relative_to(bucket)
    assert content(remote) == made
    on_host("b")
    monkeypatch.setattr(toy_clips.Toy, "make", None)
    other = toy_clips.create(local_copy.place(bucket))
    assert other.data_path != builder.data_path
    assert content(other.data_path) == made
    assert len(other.as_data_source(split="train")) == 4


def test_an_upload_that_was_killed_is_done_again(bucket, on_host):
    """Without the file that is written last, the data in a bucket do not count."""
    builder = toy_clips.create(local_copy.place(bucket))
    remote = local_copy.original(builder.data_path)
    (remote / "dataset_info.json").unlink()
    (remote / "card.md").write_text("from an earlier version")
    assert not local_copy.is_complete(builder.data_path)
    on_host("b")
    again = toy_clips.create(local_copy.place(bucket))
    assert content(remote) == content(again.data_path) == content(builder.data_path)


def test_data_that_were_made_again_are_fetched_again(bucket, on_host):
    builder = toy_clips.create(local_copy.place(bucket))
    remote = local_copy.original(builder.data_path)
    text = files.read(remote / "dataset_info.json")
    files.write_atomically(remote / "dataset_info.json", text + b"\n")
    files.write_atomically(remote / "card.md", "new")
    prepare.prepare_clips(builder, max_skipped=0)
    assert (builder.data_path / "card.md").read_text() == "new"


def test_digits_are_prepared_once_for_all_hosts(bucket, on_host, monkeypatch):
    first = digits.load("embedded", folder=None, data_dir=local_copy.place(bucket))
    on_host("b")
    monkeypatch.setattr(digits.MnistDigits, "download_and_prepare", None)
    second = digits.load("embedded", folder=None, data_dir=local_copy.place(bucket))
    assert second.note == first.note
    assert (second.train_images == first.train_images).all()


def test_a_users_digits_are_read_from_a_bucket(bucket, on_host):
    for split, (images, labels) in idx.FILES.items():
        num = {"train": 5, "test": 3}[split]
        files.write_atomically(bucket / images, idx_files.images_file(num))
        files.write_atomically(bucket / labels, idx_files.labels_file(*range(num)))
    data_dir = local_copy.place(bucket / "data")
    found = digits.load("full", folder=str(bucket), data_dir=data_dir)
    assert found.note.endswith(f"digits, not those of MNIST, from {bucket}")
    np.testing.assert_array_equal(found.test_labels, [0, 1, 2])


def test_a_bucket_that_is_not_there_is_refused_before_clips_are_made(
    bucket_server, on_host, monkeypatch
):
    monkeypatch.setattr(toy_clips.Toy, "make", None)
    with pytest.raises(OSError, match=r"gs://absent/.* cannot be used: there is no such bucket"):
        toy_clips.create(local_copy.place(epath.Path("gs://absent/data")))
