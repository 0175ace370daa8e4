"""Handwritten digits: all of MNIST, a user's own, or the 5,000 that ship with drnet_jax."""

import contextlib
import dataclasses
import functools
import importlib.resources
import io
from collections.abc import Iterator

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from drnet_jax.base import local_copy
from drnet_jax.data.moving_mnist import idx, mnist_mirrors

SOURCES = ("auto", "full", "embedded")

_EMBEDDED_FOLDER = importlib.resources.files("drnet_jax.data.moving_mnist") / "embedded_digits"
_ADVICE = (
    "set config.data.digits_dir=... to a folder with the four MNIST files, "
    "or config.data.digits=embedded to use the digits that ship with drnet_jax"
)


@dataclasses.dataclass(frozen=True)
class Digits:
    """Digits in memory, and where they come from."""

    source: str  # `full` or `embedded`.
    train_images: np.ndarray  # uint8 `[num_train, 28, 28]`.
    train_labels: np.ndarray  # int32 `[num_train]`, 0 to 9.
    test_images: np.ndarray  # uint8 `[num_test, 28, 28]`; no digit is in both splits.
    test_labels: np.ndarray  # int32 `[num_test]`, 0 to 9.
    note: str  # One line that tells people which digits these are.


class MnistDigits(tfds.core.GeneratorBasedBuilder):
    """Digits from IDX files, with the features and splits of `mnist` in the tfds catalog.

    The catalog's own builder needs TensorFlow to prepare; this one never imports it if prepared
    with `file_format="array_record"`. Every config except `embedded` reads `manual_dir`. The
    config `full` accepts MNIST only; a config of any other name may hold a user's own digits.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (
        tfds.core.BuilderConfig(name="full", description="MNIST, 60,000 + 10,000 digits."),
        tfds.core.BuilderConfig(name="embedded", description="4,500 + 500 digits of MNIST."),
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The four IDX files of MNIST, plain or gzipped."

    def _info(self) -> tfds.core.DatasetInfo:
        # Not `dataset_info_from_configs`: it reads the package's folder, and a package in a zip
        # file has none.
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten digits.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,  # Keeps the order of the files, so checksums can be compared.
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        embedded = self.builder_config.name == "embedded"
        splits = idx.read_folder(_EMBEDDED_FOLDER if embedded else dl_manager.manual_dir)
        if self.builder_config.name == "full":
            found, expected = idx.checksums(splits), idx.MNIST_CHECKSUMS
            if differing := ", ".join(name for name in found if found[name] != expected[name]):
                folder = dl_manager.manual_dir
                raise ValueError(f"{folder} does not hold MNIST: {differing} differ from it.")
        return {split: self._generate_examples(*splits[split]) for split in splits}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            # Bytes, because tfds hands NumPy images to TensorFlow. Level 1 is the fastest.
            png = io.BytesIO()
            PIL.Image.fromarray(image).save(png, "png", compress_level=1)
            yield index, {"image": png.getvalue(), "label": int(label)}


def load(source: str, *, folder: str | None, data_dir: epath.PathLike) -> Digits:
    """Returns digits, preparing them under `data_dir` at first use.

    Args:
      source: `full` is MNIST, from `folder` if given, else from earlier preparation or a mirror;
        `embedded` is the 5,000 digits that ship with drnet_jax; `auto` is `full` if MNIST can be
        reached within 10 seconds, else `embedded`, and logs which.
      folder: folder of four IDX files to read `full` digits from, MNIST's or others; or None.
      data_dir: folder for prepared digits. Digits of different files lie in different folders.

    Raises:
      FileNotFoundError: `folder` or one of its files is missing, or MNIST cannot be reached.
      ValueError: an unknown source, damaged files, or a `data_dir` that cannot be written.
    """
    if source not in SOURCES:
        raise ValueError(f"Unknown config.data.digits {source!r}; allowed: {', '.join(SOURCES)}.")
    if folder is not None and source == "embedded":
        raise ValueError(
            f"config.data.digits='embedded' reads no folder, but config.data.digits_dir is "
            f"{folder!r}; leave it out, or set config.data.digits to 'full' or 'auto'."
        )
    data_dir = epath.Path(data_dir).expanduser()
    if source == "embedded":
        digits = _load_embedded(data_dir)
    elif folder is not None:
        digits = _load_folder(epath.Path(folder).expanduser(), data_dir)
    else:
        digits = _load_mnist(data_dir, or_embedded=source == "auto")
    logging.info("Digits: %s", digits.note)
    return digits


def _load_embedded(data_dir: epath.Path) -> Digits:
    expected = idx.checksums(idx.read_folder(_EMBEDDED_FOLDER))
    origin = "digits of MNIST that ship with drnet_jax"
    return _prepare_and_read("embedded", None, data_dir, expected, origin)


def _load_folder(folder: epath.Path, data_dir: epath.Path) -> Digits:
    expected = idx.checksums(idx.read_folder(folder))
    if expected == idx.MNIST_CHECKSUMS:
        config, kind = "full", "all of MNIST"
    else:
        # Named after the content, so that changed files are never served from an old copy.
        name = f"folder_{idx.md5(''.join(expected.values()).encode())[:12]}"
        config = tfds.core.BuilderConfig(name=name, description="A user's digits.")
        kind = "not those of MNIST"
    return _prepare_and_read(config, folder, data_dir, expected, f"digits, {kind}, from {folder}")


def _load_mnist(data_dir: epath.Path, *, or_embedded: bool) -> Digits:
    folder = data_dir / "downloads" / "mnist"
    if not local_copy.is_complete(_make_builder("full", data_dir).data_path):
        try:
            mnist_mirrors.download(folder, first=mnist_mirrors.find_mirror())
        except ConnectionError as error:
            if not or_embedded:
                raise FileNotFoundError(
                    f"MNIST cannot be downloaded ({error}): {_ADVICE}."
                ) from error
            logging.warning("Using the digits that ship with drnet_jax, not MNIST: %s", error)
            digits = _load_embedded(data_dir)
            return dataclasses.replace(digits, note=f"{digits.note} (MNIST was out of reach)")
        except OSError as error:
            raise _unwritable(folder, error) from error
    return _prepare_and_read("full", folder, data_dir, idx.MNIST_CHECKSUMS, "digits, all of MNIST")


def _make_builder(config: str | tfds.core.BuilderConfig, data_dir: epath.Path) -> MnistDigits:
    try:
        return MnistDigits(config=config, data_dir=data_dir)
    except Exception as error:  # tfds lets errors of its JSON parser through.
        name = config if isinstance(config, str) else config.name
        raise _damaged(data_dir / MnistDigits.name / name, error) from error


def _prepare_and_read(
    config: str | tfds.core.BuilderConfig,
    folder: epath.Path | None,
    data_dir: epath.Path,
    expected: dict[str, str],
    origin: str,
) -> Digits:
    """Returns the digits of `config`, preparing them from `folder` at first use.

    `expected` are their checksums by file, `origin` is the end of their note.
    """
    builder = _make_builder(config, data_dir)
    prepare = functools.partial(_prepare, builder, folder)
    local_copy.provide(builder.data_path, prepare)
    builder = _make_builder(config, data_dir)  # It has to see what is in its folder now.
    try:
        splits = {split: _read_prepared(builder, split) for split in idx.FILES}
    except Exception as error:  # Each layer below has its own errors for damaged files.
        raise _damaged(builder.data_path, error) from error
    if idx.checksums(splits) != expected:
        raise _damaged(builder.data_path, "its content is not what was prepared")
    source = "embedded" if config == "embedded" else "full"
    train, test = splits["train"], splits["test"]
    note = f"{source}: {len(train[1]):,} training and {len(test[1]):,} test {origin}"
    return Digits(source, *train, *test, note)


def _prepare(builder: MnistDigits, folder: epath.Path | None) -> None:
    if builder.data_path.exists():
        return
    settings = tfds.download.DownloadConfig(manual_dir=folder)
    print(f"Preparing digits, once, in {builder.data_path}.")
    tfds.disable_progress_bar()
    try:
        # tfds prints sizes, which it cannot know here.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=settings, file_format="array_record")
    except OSError as error:
        # If another process was first, its folder is in place and our rename has failed.
        if not builder.data_path.exists():
            raise _unwritable(builder.data_path, error) from error


def _read_prepared(builder: MnistDigits, split: str) -> tuple[np.ndarray, np.ndarray]:
    # Decoding the images here takes 60 % of the time that tfds takes.
    decoders = {"image": tfds.decode.SkipDecoding()}
    source = builder.as_data_source(split=split, decoders=decoders)
    images = np.empty((len(source), 28, 28), np.uint8)
    labels = np.empty(len(source), np.int32)
    for index, record in enumerate(source.__getitems__(range(len(source)))):
        images[index] = PIL.Image.open(io.BytesIO(record["image"]), formats=("PNG",))
        labels[index] = record["label"]
    return images, labels


def _unwritable(path: epath.Path, error: OSError) -> ValueError:
    return ValueError(f"Digits cannot be written to {path}: {error.strerror or error}.")


def _damaged(path: epath.Path, reason: object) -> ValueError:
    reason = " ".join(str(reason).split())  # Errors of the layers below may have several lines.
    return ValueError(f"The prepared digits in {path} are damaged ({reason}); delete that folder.")
