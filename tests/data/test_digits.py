"""Digits from files, from the package and from mirrors on a local server."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import logging
import pathlib
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath

from drnet_jax.data.moving_mnist import digits, idx, mnist_mirrors
from tests.helpers.idx_files import images_file, labels_file

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def no_mirrors(monkeypatch):
    """Leaves one mirror, which has no server; tests that need mirrors call `make_mirrors`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(mnist_mirrors, "MIRRORS", ("http://127.0.0.1:1/",))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder and the URL where a local server serves it."""
    folder = tmp_path_factory.mktemp("server")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield folder, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.fixture
def silent(monkeypatch):
    """The URL of the only mirror, which connects and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as running:
        url = f"http://127.0.0.1:{running.getsockname()[1]}/"
        monkeypatch.setattr(mnist_mirrors, "MIRRORS", (url,))
        yield url


@pytest.fixture(scope="module")
def embedded(data_dir):
    """Returns the embedded digits, prepared in `data_dir`."""
    return digits.load("embedded", folder=None, data_dir=data_dir)


@pytest.fixture
def mine(tmp_path):
    """Returns a folder with a user's own digits, three and two."""
    return write(tmp_path / "mine", small_files())


@pytest.fixture
def load(tmp_path):
    """Returns a function that loads digits; they are prepared in `tmp_path / "data"`."""

    def load(source, folder=None):
        folder = None if folder is None else str(folder)
        return digits.load(source, folder=folder, data_dir=tmp_path / "data")

    return load


@contextlib.contextmanager
def refused(error, message):
    """Expects an error of one line; yields a function that returns this line."""
    with pytest.raises(error, match=message) as caught:
        yield lambda: str(caught.value)
    assert "\n" not in str(caught.value)


def small_files() -> dict[str, bytes]:
    """Returns the files of three training digits and two test digits, by name."""
    return {
        TRAIN_IMAGES: images_file(3),
        TRAIN_LABELS: labels_file(7, 0, 9),
        TEST_IMAGES: images_file(2, first=100),
        TEST_LABELS: labels_file(4, 1),
    }


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # The same bytes every time.


def write(folder: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        broken = content.startswith(b"\x1f\x8b")
        (folder / f"{name}.gz").write_bytes(content if broken else packed(content))
    return folder


def make_mirrors(monkeypatch, server, *changes: dict[str, bytes]) -> None:
    """Lets `small_files` pass for MNIST; serves them from one mirror for each of `changes`."""
    folder, url = server
    files = small_files()
    sums = {name: hashlib.sha256(packed(files[name])).hexdigest() for name in files}
    monkeypatch.setattr(mnist_mirrors, "DOWNLOADS", sums)
    monkeypatch.setattr(idx, "MNIST_CHECKSUMS", {name: idx.md5(files[name]) for name in files})
    for number, change in enumerate(changes):
        write(folder / str(number), files | change)
    mirrors = tuple(f"{url}{number}/" for number in range(len(changes)))
    monkeypatch.setattr(mnist_mirrors, "MIRRORS", mirrors)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_plain_and_gzipped_files_are_read_under_either_name(tmp_path, suffix, pack):
    for name, content in small_files().items():
        (tmp_path / f"{name}{suffix}").write_bytes(pack(content))
    splits = idx.read_folder(epath.Path(tmp_path))
    assert splits["train"][0].shape == (3, 28, 28)
    assert splits["train"][0].dtype == np.uint8
    assert splits["train"][1].tolist() == [7, 0, 9]
    assert splits["test"][0][0, 0, :2].tolist() == [100, 101]
    assert splits["test"][1].tolist() == [4, 1]


BROKEN = {
    "magic": ({TRAIN_IMAGES: labels_file(1)}, "starts with '00000801', expected '00000803'"),
    "not idx": ({TEST_LABELS: b"<html>"}, "starts with '3c68746d', expected '00000801'"),
    "empty": ({TEST_LABELS: b""}, "starts with '', expected '00000801'"),
    "header": ({TEST_IMAGES: images_file(1)[:10]}, "ends within its header, after 10 bytes"),
    "short": ({TRAIN_LABELS: labels_file(7, 0, 9)[:-1]}, r"shape \(3,\), 3 bytes, but 2 follow"),
    "long": ({TRAIN_LABELS: labels_file(7, 0, 9) + b"0"}, r"shape \(3,\), 3 bytes, but 4 follow"),
    "size": ({TEST_IMAGES: images_file(2, 32, 20)}, "images of 32x20, expected 28x28"),
    "lengths": ({TEST_LABELS: labels_file(4)}, "idx1-ubyte.gz differ in length: 2 and 1"),
    "label": ({TEST_LABELS: labels_file(4, 10)}, "holds the label 10, expected 0 to 9"),
    "none": ({TEST_IMAGES: images_file(0), TEST_LABELS: labels_file()}, "holds no digits"),
    "gzip": ({TEST_IMAGES: b"\x1f\x8b"}, "is truncated or damaged gzip"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("source", ["full", "auto"])
def test_a_damaged_folder_is_an_error_in_one_line(tmp_path, load, source, change, message):
    folder = write(tmp_path / "mine", small_files() | change)
    with refused(ValueError, message) as text:
        load(source, folder)
    assert str(folder / next(iter(change))) in text()


def test_a_missing_folder_and_missing_files_are_named(tmp_path, load):
    folder = tmp_path / "mine"
    with refused(FileNotFoundError, r"There is no folder .*mine"):
        load("auto", folder)
    write(folder, {name: small_files()[name] for name in (TRAIN_LABELS, TEST_IMAGES)})
    with refused(FileNotFoundError, f"has no {TRAIN_IMAGES}, {TEST_LABELS} "):
        load("auto", folder)


def test_embedded_holds_500_different_digits_per_class(embedded):
    assert embedded.source == "embedded"
    assert embedded.train_images.shape == (4500, 28, 28)
    assert embedded.test_images.shape == (500, 28, 28)
    assert embedded.train_images.dtype == embedded.test_images.dtype == np.uint8
    assert np.bincount(embedded.train_labels).tolist() == [450] * 10
    assert np.bincount(embedded.test_labels).tolist() == [50] * 10
    every = np.concatenate([embedded.train_images, embedded.test_images])
    assert len({image.tobytes() for image in every}) == 5000
    # MNIST's first labels are well known, as is the mean over its pixels, 0.1307.
    assert embedded.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert abs(embedded.train_images.mean() / 255 - 0.1307) < 2e-3
    expected = "embedded: 4,500 training and 500 test digits of MNIST that ship with drnet_jax"
    assert embedded.note == expected


def test_builder_has_the_features_of_the_catalog(embedded, data_dir):
    builder = digits.MnistDigits(config="embedded", data_dir=data_dir)
    catalog = tfds.builder("mnist", data_dir=data_dir)
    assert repr(builder.info.features) == repr(catalog.info.features)
    assert builder.info.supervised_keys == catalog.info.supervised_keys
    assert set(builder.info.splits) == {"train", "test"}


def test_tensorflow_is_never_imported(mine, tmp_path):
    program = f"""
import sys
from drnet_jax.data.moving_mnist import digits
found = digits.load("full", folder={str(mine)!r}, data_dir={str(tmp_path)!r})
assert len(found.train_images) == 3
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=pathlib.Path.cwd())


def test_a_folder_is_prepared_once_and_again_when_it_changes(mine, load):
    for _ in range(2):  # Prepared, then reused.
        found = load("auto", mine)
        pixels = np.arange(3 * 28 * 28) % 251
        np.testing.assert_array_equal(found.train_images, pixels.reshape(3, 28, 28))
        assert found.train_labels.tolist() == [7, 0, 9]
        assert found.test_labels.tolist() == [4, 1]
        assert found.source == "full"
        assert found.note == f"full: 3 training and 2 test digits, not those of MNIST, from {mine}"
    write(mine, {TRAIN_LABELS: labels_file(1, 2, 3)})
    assert load("full", mine).train_labels.tolist() == [1, 2, 3]


def test_mnist_in_a_folder_serves_later_runs_without_it(mine, load, monkeypatch, server):
    make_mirrors(monkeypatch, server)
    note = "full: 3 training and 2 test digits, all of MNIST"
    assert load("full", mine).note == f"{note}, from {mine}"
    assert load("full").note == load("auto").note == note


def test_full_refuses_other_digits(mine, tmp_path):
    builder = digits.MnistDigits(config="full", data_dir=tmp_path / "data")
    settings = tfds.download.DownloadConfig(manual_dir=mine)
    with refused(ValueError, f"does not hold MNIST: {TRAIN_IMAGES}, .* differ"):
        builder.download_and_prepare(download_config=settings, file_format="array_record")


@pytest.mark.parametrize("source", ["full", "auto"])
def test_full_is_downloaded(tmp_path, load, monkeypatch, server, source):
    make_mirrors(monkeypatch, server, {})
    found = load(source)
    assert found.note == "full: 3 training and 2 test digits, all of MNIST"
    assert found.train_labels.tolist() == [7, 0, 9]
    kept = sorted(path.name for path in (tmp_path / "data/downloads/mnist").iterdir())
    assert kept == sorted(f"{name}.gz" for name in small_files())


def test_a_damaged_file_is_taken_from_the_next_mirror(tmp_path, monkeypatch, server, caplog):
    make_mirrors(monkeypatch, server, {TRAIN_LABELS: labels_file(1, 1, 1), TEST_LABELS: b""}, {})
    # A file that an earlier run left damaged is replaced, and an intact one is kept.
    intact = {TEST_LABELS: small_files()[TEST_LABELS]}
    folder = write(tmp_path, intact | {TRAIN_IMAGES: b"half"})
    written = (folder / f"{TEST_LABELS}.gz").stat().st_mtime_ns
    mnist_mirrors.download(epath.Path(folder), first=mnist_mirrors.MIRRORS[0])
    for name, content in small_files().items():
        assert (folder / f"{name}.gz").read_bytes() == packed(content)
    assert (folder / f"{TEST_LABELS}.gz").stat().st_mtime_ns == written
    # A mirror that has answered is asked first.
    first, second = mnist_mirrors.MIRRORS
    assert mnist_mirrors.find_mirror() == second
    with caplog.at_level(logging.INFO):
        mnist_mirrors.download(epath.Path(tmp_path / "new"), first=second)
    assert second in caplog.text and first not in caplog.text


def test_a_checksum_mismatch_on_every_mirror_is_an_error(tmp_path, load, monkeypatch, server):
    make_mirrors(monkeypatch, server, {TRAIN_LABELS: labels_file(1, 1, 1)})
    with refused(FileNotFoundError, f"{TRAIN_LABELS}.gz arrived damaged"):
        load("full")
    kept = [path.name for path in (tmp_path / "data/downloads/mnist").iterdir()]
    assert kept == [f"{TRAIN_IMAGES}.gz"]  # The file before it, and no part of the damaged one.


@pytest.mark.parametrize("missing", ["server", "file"])
def test_mnist_out_of_reach_is_an_error_that_says_what_to_do(load, monkeypatch, server, missing):
    if missing == "file":
        monkeypatch.setattr(mnist_mirrors, "MIRRORS", (f"{server[1]}nowhere/",))
    with refused(FileNotFoundError, "MNIST cannot be downloaded") as text:
        load("full")
    assert "config.data.digits_dir=" in text() and "config.data.digits=embedded" in text()


def test_auto_does_not_wait_for_a_hanging_network(data_dir, silent, monkeypatch, caplog):
    monkeypatch.setattr(mnist_mirrors, "_PROBE_SECONDS", 0.1)
    started = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no answer in 0.1 s"):
        mnist_mirrors.find_mirror()
    assert time.monotonic() - started < 5
    with caplog.at_level(logging.INFO):
        found = digits.load("auto", folder=None, data_dir=data_dir)
    assert found.source == "embedded"
    assert found.note.endswith("(MNIST was out of reach)")
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert any("Using the digits that ship with drnet_jax" in message for message in warnings)
    assert f"Digits: {found.note}" in caplog.messages


def test_a_silent_connection_is_given_up(tmp_path, silent, monkeypatch):
    monkeypatch.setattr(mnist_mirrors, "_STALL_SECONDS", 0.1)
    with pytest.raises(ConnectionError, match="timed out"):
        mnist_mirrors.download(epath.Path(tmp_path), first=silent)


@pytest.mark.parametrize("pattern", ["*-train.array_record-*", "dataset_info.json"])
def test_damaged_prepared_digits_name_the_folder_to_delete(mine, tmp_path, load, pattern):
    load("full", mine)
    (path,) = (tmp_path / "data/mnist_digits").glob(f"folder_*/1.0.0/{pattern}")
    path.write_bytes(path.read_bytes()[:200])
    expected = r"prepared digits in .*folder_\w+\S* are damaged .*delete that folder\.$"
    with refused(ValueError, expected):
        load("full", mine)


def test_prepared_digits_with_other_content_are_refused(mine, load, monkeypatch, server):
    make_mirrors(monkeypatch, server)
    load("full", mine)
    other = idx.MNIST_CHECKSUMS | {TEST_LABELS: idx.md5(labels_file(0, 0))}
    monkeypatch.setattr(idx, "MNIST_CHECKSUMS", other)
    with refused(ValueError, "its content is not what was prepared"):
        load("full")


def test_losing_the_race_to_prepare_is_no_error(mine, tmp_path, load, monkeypatch):
    split_generators = digits.MnistDigits._split_generators

    def overtaken(self, dl_manager):
        # Another process starts and finishes while this one is at work.
        monkeypatch.setattr(digits.MnistDigits, "_split_generators", split_generators)
        load("full", mine)
        return split_generators(self, dl_manager)

    monkeypatch.setattr(digits.MnistDigits, "_split_generators", overtaken)
    assert load("full", mine).train_labels.tolist() == [7, 0, 9]
    assert not list((tmp_path / "data/mnist_digits").glob("*/incomplete*"))


@pytest.mark.parametrize("source", ["embedded", "full"])
def test_a_data_dir_that_cannot_be_written_is_an_error(tmp_path, load, monkeypatch, server, source):
    make_mirrors(monkeypatch, server, {})
    (tmp_path / "data").write_text("not a folder")
    with refused(ValueError, r"Digits cannot be written to .*data"):
        load(source)


@pytest.mark.parametrize(
    ("source", "folder", "message"),
    [
        ("mnist", None, "Unknown config.data.digits 'mnist'; allowed: auto, full, embedded."),
        ("embedded", "/d", r"reads no folder, but .* is '/d'"),
    ],
)
def test_impossible_settings_are_refused(load, source, folder, message):
    with refused(ValueError, message):
        load(source, folder)
