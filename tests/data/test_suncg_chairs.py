"""SUNCG chairs from trees in the authors' layout, written by Pillow."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from drnet_jax.data.preparation import prepare
from drnet_jax.data.preparation.builder import SPLITS, UnreadableError
from drnet_jax.data.suncg.chairs import SuncgChairs, SuncgChairsConfig

CHAIRS = ("1a", "b 2", "s__10", "s__9", "stühl")
ELEVATIONS = ("elevation_-1.00", "elevation_0.50")
SIDE = 16


def picture(*seed: int) -> np.ndarray:
    """Returns uint8 `[SIDE, SIDE, 3]`."""
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def chairs(tmp_path_factory):
    """All chairs, not to be changed."""
    folder = tmp_path_factory.mktemp("all") / "chairs"
    for chair, name in enumerate(CHAIRS):
        for view, elevation in enumerate(ELEVATIONS):
            path = folder / name / elevation
            path.mkdir(parents=True)
            for i in range(1, 37):
                Image.fromarray(picture(chair, view, i)).save(path / f"p200-64_{i}.png")
    return folder


@pytest.fixture
def folder(chairs, tmp_path):
    """The first and the last chair at one elevation, for a test to change."""
    for name in (CHAIRS[0], CHAIRS[-1]):
        view = f"{name}/{ELEVATIONS[0]}"
        shutil.copytree(chairs / view, tmp_path / "chairs" / view)
    return tmp_path / "chairs"


def create(folder, data_dir="unused", image_size=SIDE) -> SuncgChairs:
    config = SuncgChairsConfig(image_size=image_size, folder=str(folder))
    return SuncgChairs(config=config, data_dir=data_dir, file_format="array_record")


@pytest.mark.parametrize("side", [SIDE, 8])
def test_prepared_and_read_back(chairs, tmp_path, side):
    builder = create(chairs, tmp_path / "data", side)
    prepare.prepare_clips(builder, max_skipped=0)
    # Sorted by value: s__9 before s__10; the first 85 % of five train.
    order = [CHAIRS[i] for i in (0, 1, 3, 2, 4)]
    assert builder.info.features["object"].names == order
    found = {split: list(builder.as_data_source(split=split)) for split in SPLITS}
    assert {r["object"] for r in found["train"]} == {0, 1, 2, 3}
    assert {r["object"] for r in found["test"]} == {4}
    for record in found["train"] + found["test"]:
        name = order[record["object"]]
        chair, view = CHAIRS.index(name), (-1.0, 0.5).index(record["elevation"])
        assert record["name"].decode() == f"{name}/{ELEVATIONS[view]}"
        original = [Image.fromarray(picture(chair, view, i)) for i in range(1, 37)]
        expected = [np.asarray(p.resize((side, side), Image.BILINEAR)) for p in original]
        np.testing.assert_array_equal(record["frames"], expected)
        np.testing.assert_allclose(record["azimuth"], np.arange(36) * 10)


def test_transparency_is_shown_on_white(folder):
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[..., 0] = 100
    pixels[:4, :, 3] = 255
    pixels[4:8, :, 3] = 51  # One fifth opaque.
    Image.fromarray(pixels).save(folder / CHAIRS[0] / ELEVATIONS[0] / "p200-64_7.png")
    builder = create(folder)
    (clip,) = builder.make(builder.jobs()["train"][0])
    frame = clip.frames[6]
    assert frame[0, 0].tolist() == [100, 0, 0]
    assert frame[5, 0].tolist() == [224, 204, 204]
    assert frame[9, 0].tolist() == [255, 255, 255]


def encoded(pixels: np.ndarray, form: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, form)
    return content.getvalue()


SMALL = encoded(np.zeros((8, 8, 3), np.uint8), "png")
# How the picture at azimuth 7 is damaged, or which other file is added or missing.
DAMAGES = {
    "cut": (lambda c: c[:-300], "p200-64_7.png is not a readable picture"),
    "bomb": (  # Promises 60,000 x 60,000 pixels.
        lambda c: c[:16] + (60_000).to_bytes(4) * 2 + c[24:],
        "p200-64_7.png (is not a readable picture|holds pictures of 60000x60000)",
    ),
    "format": (lambda c: encoded(picture(0), "gif"), "p200-64_7.png is not a readable picture"),
    "size": (lambda c: SMALL, "p200-64_7.png is 8x8, but .*p200-64_1.png is 16x16"),
    "empty": (lambda c: b"", "p200-64_7.png is not a readable picture"),
    "missing": (None, "elevation_-1.00 has no p200-64_7.png; missing in all: 1 of 36"),
    "twice": ("p200-64_07.png", "p200-64_0?7.png and .*p200-64_0?7.png are the same azimuth"),
    "beyond": ("p200-64_37.png", "p200-64_37.png is beyond azimuth 36"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_bad_picture_is_one_unreadable_job(folder, damage, message):
    path = folder / CHAIRS[0] / ELEVATIONS[0] / "p200-64_7.png"
    if damage is None:
        path.unlink()
    elif isinstance(damage, str):
        path.with_name(damage).write_bytes(b"")
    else:
        path.write_bytes(damage(path.read_bytes()))
    builder = create(folder)
    (bad,), (other,) = builder.jobs().values()
    with pytest.raises(UnreadableError, match=message) as caught:
        builder.make(bad)
    assert str(caught.value).startswith(f"{CHAIRS[0]}/{ELEVATIONS[0]}")
    assert "\n" not in str(caught.value)
    assert builder.make(other)


def test_changed_files_change_the_name(folder):
    before = create(folder).builder_config.name
    (folder / CHAIRS[0] / ".DS_Store").write_bytes(b"ignored")
    assert create(folder).builder_config.name == before
    (folder / CHAIRS[0] / ELEVATIONS[0] / "p200-64_7.png").write_bytes(SMALL)
    assert create(folder).builder_config.name != before
    assert before.replace("_", "").isalnum()


def test_fewer_than_two_chairs_are_refused(folder):
    jobs = create(folder).jobs()
    names = [[job.name for job in jobs[split]] for split in SPLITS]
    assert names == [[f"{name}/{ELEVATIONS[0]}"] for name in (CHAIRS[0], CHAIRS[-1])]
    with pytest.raises(FileNotFoundError, match="no folder 'nowhere', which should hold the chai"):
        create("nowhere")
    with pytest.raises(ValueError, match="stühl holds fewer than 2 chairs"):
        create(folder / CHAIRS[-1])
