"""small NORB from files in the official layout, written by struct and gzip."""

import gzip
import io
import struct

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from drnet_jax.data.norb.small_norb import SmallNorb, SmallNorbConfig
from drnet_jax.data.norb.splits import STEMS
from drnet_jax.data.preparation import prepare
from drnet_jax.data.preparation.builder import SPLITS

BYTES, INTS = 0x1E3D4C55, 0x1E3D4C54
# Category, instance, elevation and lighting of the turns of each split.
TURNS = {"train": ((0, 4, 0, 0), (0, 4, 3, 5), (3, 9, 8, 1)), "test": ((3, 0, 2, 2),)}


def matrix(magic: int, *shape: int) -> bytes:
    """Returns the header of a matrix, which always has at least three sizes."""
    sizes = (*shape, *[1] * (3 - len(shape)))
    return np.array([magic, len(shape), *sizes], "<i4").tobytes()


def records(split: str) -> list[tuple]:
    """Returns category, instance, elevation, azimuth, lighting of each record, shuffled."""
    rows = [(c, i, e, a, light) for c, i, e, light in TURNS[split] for a in range(18)]
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    return [rows[k] for k in order]


def picture(row: tuple, camera: int) -> np.ndarray:
    """Returns a picture that no other record has, uint8 `[96, 96]`."""
    return np.random.default_rng([*row, camera]).integers(0, 256, (96, 96), np.uint8)


def pictures(turn: tuple, camera: int) -> np.ndarray:
    """Returns the pictures of a turn by azimuth, uint8 `[18, 96, 96]`."""
    category, instance, elevation, light = turn
    return np.stack([picture((category, instance, elevation, a, light), camera) for a in range(18)])


def contents(split: str) -> dict[str, bytes]:
    """Returns the files of a split by name."""
    rows = records(split)
    pixels = b"".join(picture(row, camera).tobytes() for row in rows for camera in (0, 1))
    category, instance, elevation, azimuth, lighting = np.array(rows, "<i4").T
    info = np.stack([instance, elevation, 2 * azimuth, lighting], axis=1)
    matrices = {
        "dat": matrix(BYTES, len(rows), 2, 96, 96) + pixels,
        "cat": matrix(INTS, len(rows)) + category.tobytes(),
        "info": matrix(INTS, len(rows), 4) + info.tobytes(),
    }
    return {f"{STEMS[split]}-{part}.mat": content for part, content in matrices.items()}


@pytest.fixture(scope="module")
def files():
    return {name: content for split in SPLITS for name, content in contents(split).items()}


@pytest.fixture(params=["", ".gz"], ids=["plain", "gzip"])
def folder(request, tmp_path, files):
    return write(tmp_path / "small NORB", files, request.param)


@pytest.fixture
def plain(tmp_path, files):
    return write(tmp_path / "plain", files)


def write(folder, files, suffix=""):
    folder.mkdir()
    for name, content in files.items():
        path = folder / f"{name}{suffix}"
        path.write_bytes(gzip.compress(content, 1) if suffix else content)
    return folder


def create(folder, data_dir="unused", image_size=96, cameras="both") -> SmallNorb:
    config = SmallNorbConfig(image_size=image_size, folder=str(folder), cameras=cameras)
    return SmallNorb(config=config, data_dir=data_dir, file_format="array_record")


def clips_of(builder, split: str) -> dict:
    return {c.name: c for job in builder.jobs()[split] for c in builder.make(job)}


def check_all(builder) -> None:
    """Checks every clip of every split."""
    for split in SPLITS:
        clips = list(clips_of(builder, split).values())
        views = [(t, camera) for t in sorted(TURNS[split]) for camera in (0, 1)]
        for clip, (turn, camera) in zip(clips, views, strict=True):
            np.testing.assert_array_equal(clip.frames[..., 0], pictures(turn, camera))
            np.testing.assert_allclose(clip.factors.pop("azimuth"), np.arange(18) * 20)
            names = "category", "instance", "elevation", "lighting", "camera"
            assert clip.factors == dict(zip(names, (*turn, camera), strict=True))


def test_frames_labels_and_splits(folder):
    builder = create(folder)
    check_all(builder)
    assert list(clips_of(builder, "test")) == [
        "test_truck0_elevation2_lighting2_camera0",
        "test_truck0_elevation2_lighting2_camera1",
    ]
    assert [job.name for job in builder.jobs()["train"]] == ["train_animal4", "train_truck9"]


@pytest.mark.parametrize("side", [96, 64])
def test_prepared_and_read_back(plain, tmp_path, side):
    builder = create(plain, tmp_path / "data", image_size=side, cameras="left")
    prepare.prepare_clips(builder, max_skipped=0)
    train, test = (list(builder.as_data_source(split=split)) for split in SPLITS)
    assert [len(train), len(test)] == [3, 1]
    original = map(Image.fromarray, pictures((3, 0, 2, 2), 0))
    expected = [np.asarray(p.resize((side, side), Image.BILINEAR)) for p in original]
    np.testing.assert_array_equal(test[0]["frames"], np.stack(expected)[..., None])
    assert test[0]["category"] == 3 and test[0]["length"] == 18
    np.testing.assert_allclose(test[0]["azimuth"], np.arange(18) * 20)


class Smallnorb(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the catalog's builder of this name prepares."""

    VERSION = tfds.core.Version("2.0.0")

    def _info(self):
        counts = {"category": 5, "elevation": 9, "azimuth": 18, "lighting": 6}
        image = tfds.features.Image(shape=(96, 96, 1))
        labels = {f"label_{k}": tfds.features.ClassLabel(num_classes=n) for k, n in counts.items()}
        instance = tfds.features.ClassLabel(num_classes=10)
        features = {"image": image, "image2": image, "instance": instance, **labels}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split):
        for number, row in enumerate(records(split)):
            category, instance, elevation, azimuth, lighting = row
            labels = dict(category=category, elevation=elevation, azimuth=azimuth)
            example = {f"label_{k}": v for k, v in (labels | dict(lighting=lighting)).items()}
            for camera, name in enumerate(("image", "image2")):
                png = io.BytesIO()
                Image.fromarray(picture(row, camera)).save(png, "png")
                example[name] = png.getvalue()
            yield number, example | {"instance": instance}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder in which tfds has prepared `smallnorb`."""
    folder = tmp_path_factory.mktemp("prepared")
    Smallnorb(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


@pytest.mark.parametrize("below", ["", "smallnorb", "smallnorb/2.0.0"])
def test_what_tfds_prepared_is_read(prepared, below):
    check_all(create(prepared / below))


def test_other_data_that_tfds_prepared_are_refused(tmp_path, plain):
    Smallnorb(data_dir=tmp_path, file_format="parquet").download_and_prepare()
    with pytest.raises(ValueError, match=r"was prepared as parquet.*allowed: file_format='array_r"):
        create(tmp_path).jobs()
    other = create(plain, tmp_path / "data")
    prepare.prepare_clips(other, max_skipped=0)
    with pytest.raises(ValueError, match="is not smallnorb: it has no image, image2, label_az"):
        create(other.data_path).jobs()


def test_changed_files_change_the_name(folder):
    names = {create(folder, cameras=cameras).builder_config.name for cameras in ("both", "left")}
    path = max(folder.iterdir())
    path.write_bytes(path.read_bytes() + b"more")
    names.add(create(folder).builder_config.name)
    assert len(names) == 3 and all(name.replace("_", "").isalnum() for name in names)


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("dat", lambda c: struct.pack("<I", 99) + c[4:], "dat.* starts with 0x63; expected 0x1e3d"),
        ("dat", lambda c: c[:-1000], "dat.* promises 995328 bytes .* but 994328 follow"),
        ("cat", lambda c: c[:10], "cat.* ends within its header"),
        ("cat", lambda c: b"", "cat.* ends within its header"),
        ("cat", lambda c: c[:4] + struct.pack("<I", 2**31) + c[8:], "2147483648 dimensions"),
        ("info", lambda c: c[:-4], "info.* promises 864 bytes of shape .54, 4., but 860 follow"),
        ("info", lambda c: c + b"more", "info.* promises 864 bytes .* but (868|more) follow"),
        ("info", lambda c: matrix(BYTES, 54, 4) + bytes(216), r"holds uint8 .* expected int32"),
        ("dat", lambda c: matrix(BYTES, 54, 1, 96, 96) + c[24:], "expected uint8 of shape"),
        ("dat", lambda c: matrix(BYTES, 2**31 - 1, 2, 96, 96) + c[24:], "2147483647 records"),
        ("cat", lambda c: matrix(INTS, -54) + c[20:], "holds -54 records; allowed: 1 to 48600"),
        ("cat", lambda c: matrix(INTS, 53) + c[20:-4], "differ in length: .*dat.* 54, .*cat.* 53"),
        ("cat", lambda c: c[:-4] + struct.pack("<i", 5), "holds category 0 to 5; allowed: 0 to 4"),
        ("info", lambda c: c[:-8] + struct.pack("<ii", 3, 0), "odd azimuth"),
        ("info", lambda c: c[:20] + c[20:36] * 54, "has azimuths .* expected 0 to 17"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_bad_files_are_refused_before_any_work(tmp_path, files, suffix, part, content, message):
    name = f"{STEMS['train']}-{part}.mat"
    folder = write(tmp_path / "bad", files | {name: content(files[name])}, suffix)
    with pytest.raises(ValueError, match=message) as caught:
        create(folder).jobs()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: gzip.compress(gzip.decompress(c)[:-1000], 1), "995328 bytes .* but 994328"),
        (lambda c: gzip.compress(gzip.decompress(c) + bytes(10**6), 1), "995328 bytes .* but more"),
        (lambda c: c[: len(c) // 2], "is truncated or damaged"),
        (lambda c: c[:500_000] + bytes(64) + c[500_064:], "is truncated or damaged"),
        (lambda c: b"<html>Not found</html>", "is truncated or damaged"),
    ],
)
def test_damaged_gzip_is_refused(tmp_path, files, damage, message):
    folder = write(tmp_path / "zipped", files, ".gz")
    path = folder / f"{STEMS['train']}-dat.mat.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"training-dat\.mat\.gz .*{message}") as caught:
        create(folder).jobs()
    assert "\n" not in str(caught.value)


def test_an_object_in_both_splits_is_refused(tmp_path, files):
    name = f"{STEMS['test']}-info.mat"
    header, rows = files[name][:20], np.frombuffer(files[name][20:], "<i4").reshape(-1, 4).copy()
    rows[:, 0] = 9  # The instance; with category 3, the object is also in training.
    folder = write(tmp_path / "both", files | {name: header + rows.tobytes()})
    with pytest.raises(ValueError, match="instance 9 of category 3 in both splits"):
        create(folder).jobs()


def test_missing_files_and_bad_settings_are_refused(plain, tmp_path):
    (plain / f"{STEMS['test']}-cat.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no .*-testing-cat\.mat, plain or with \.gz"):
        create(plain)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty holds none of: the six files"):
        create(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="no folder 'nowhere', which should hold the six"):
        create("nowhere")
    with pytest.raises(ValueError, match=r"data\.real\.cameras='right'; allowed: both, left"):
        create(plain, cameras="right")
