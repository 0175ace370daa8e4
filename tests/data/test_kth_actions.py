"""KTH from files in the official layout, written by PyAV and zipfile."""

import logging
import pathlib
import shutil
import zipfile

import av
import numpy as np
import pytest

from drnet_jax.data.kth import sequences
from drnet_jax.data.kth.actions import KthActions, KthConfig
from drnet_jax.data.preparation import prepare
from drnet_jax.data.preparation.builder import SPLITS, UnreadableError

HEADER = """
Sequences of six classes of actions.

Training:   person11, 12, 13
Test:       person22, 02

"""
LINES = (
    "person01_boxing_d1\t\tframes\t1-4, 5-9",
    "person02_boxing_d2    \tframes\t6-9, 1-5",
    "",
    "person17_walking_d3\tframes\t1-9",
    "person21_walking_d4 frames 2-3,",
    "person25_boxing_d1\tframes\t1 - 2,3-9",
)


def clip(seed: int, num_frames: int = 9, height: int = 16, width: int = 16) -> np.ndarray:
    """Returns uint8 `[time, height, width]`."""
    return np.random.default_rng(seed).integers(0, 256, (num_frames, height, width), np.uint8)


def write_video(path, frames: np.ndarray, codec: str = "ffv1", form: str = "gray") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], form
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="gray").reformat(format=form)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def write_list(folder, lines=LINES) -> None:
    (folder / "00sequences.txt").write_text(HEADER + "\n".join(lines) + "\n")


NAMES = [line.split()[0] for line in LINES if line]


def video_path(folder, name: str):
    return folder / name.split("_")[1] / f"{name}_uncomp.avi"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Five videos of two actions, not to be changed; each has its place in the list as its seed."""
    folder = tmp_path_factory.mktemp("original")
    for seed, name in enumerate(NAMES):
        write_video(video_path(folder, name), clip(seed))
    write_list(folder)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    """The five videos, for a test to change."""
    return pathlib.Path(shutil.copytree(original, tmp_path / "KTH räw files"))


def create(folder, data_dir="unused", image_size=16, persons="20/5") -> KthActions:
    config = KthConfig(image_size=image_size, folder=str(folder), persons=persons)
    return KthActions(config=config, data_dir=data_dir, file_format="array_record")


def clips_of(builder, split: str) -> dict:
    return {c.name: c for job in builder.jobs()[split] for c in builder.make(job)}


def zip_all(folder) -> None:
    for action in ("boxing", "walking"):
        with zipfile.ZipFile(folder / f"{action}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((folder / action).iterdir()):
                archive.write(path, path.name)
                path.unlink()


@pytest.mark.parametrize("zipped", [False, True])
def test_frames_labels_and_split(folder, zipped):
    if zipped:
        zip_all(folder)
    builder = create(folder)
    train, test = clips_of(builder, "train"), clips_of(builder, "test")
    ranges = zip(NAMES, (2, 2, 1, 1, 2), strict=True)
    expected = [f"{name}_{number}" for name, count in ranges for number in range(count)]
    assert [list(train), list(test)] == [expected[:5], expected[5:]]
    # Ranges count from 1 and include their last frame.
    found = train["person02_boxing_d2_0"]
    np.testing.assert_array_equal(found.frames, clip(1)[5:9, :, :, None])
    expected = dict(action="boxing", person=2, scenario=2, first_frame=6)
    assert found.factors == expected | {"video": "person02_boxing_d2"}
    np.testing.assert_array_equal(test["person21_walking_d4_0"].frames, clip(3)[1:3, :, :, None])


def test_prepared_and_read_back(folder, tmp_path):
    builder = create(folder, tmp_path / "data")
    prepare.prepare_clips(builder, max_skipped=0)
    for split in SPLITS:
        expected = clips_of(builder, split)
        records = list(builder.as_data_source(split=split))
        assert [record["name"].decode() for record in records] == list(expected)
        for record, made in zip(records, expected.values(), strict=True):
            np.testing.assert_array_equal(record["frames"], made.frames)
            assert record["length"] == len(made.frames)
            assert record["person"] == made.factors["person"]
            action = builder.info.features["action"].int2str(record["action"])
            assert action == made.factors["action"]


def test_sixteen_nine_split(folder):
    jobs = create(folder, persons="16/9").jobs()
    assert [len(jobs[split]) for split in SPLITS] == [2, 3]


def test_frames_are_squeezed_to_a_square_by_area(folder):
    # Left half black, right half white; twice as wide as high.
    frames = np.zeros((9, 32, 64), np.uint8)
    frames[:, :, 32:] = 255
    write_video(video_path(folder, "person01_boxing_d1"), frames)
    found = clips_of(create(folder), "train")["person01_boxing_d1_0"].frames
    assert found.shape == (4, 16, 16, 1)
    assert np.all(found[:, :, :8] == 0) and np.all(found[:, :, 8:] == 255)


def test_changed_lists_of_frames_change_the_name(folder):
    before = create(folder).builder_config.name
    assert create(folder).builder_config.name == before
    write_list(folder, (*LINES[:-1], "person25_boxing_d1 frames 1-2, 3-8"))
    changed = create(folder).builder_config.name
    (folder / "boxing" / "person03_boxing_d1_uncomp.avi").write_bytes(b"new")
    assert len({before, changed, create(folder).builder_config.name}) == 3
    assert before.replace("_", "").isalnum()


def test_a_video_that_breaks_off_keeps_its_start(folder, caplog):
    path = video_path(folder, "person01_boxing_d1")
    write_video(path, clip(0, height=64, width=64), codec="rawvideo")
    content = path.read_bytes()
    start = content.index(b"movi")
    path.write_bytes(content[: start + 6 * (64 * 64 + 8) + 100])  # Within the seventh frame.
    with caplog.at_level(logging.WARNING):
        clips = clips_of(create(folder), "train")
    assert len(clips["person01_boxing_d1_0"].frames) == 4
    assert len(clips["person01_boxing_d1_1"].frames) == 2  # Of the five that are listed.
    assert "person01_boxing_d1 ends at frame 6" in caplog.text


def test_videos_missing_from_the_original_are_no_jobs(folder):
    missing = "person13_handclapping_d3\t*missing*", "person13_boxing_d3 *missing*"
    write_list(folder, (*LINES, *missing))
    assert [len(jobs) for jobs in create(folder).jobs().values()] == [3, 2]


def damage_zip(folder) -> None:
    zip_all(folder)
    path = folder / "boxing.zip"
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes(60) + content[260:])


def first(folder):
    return video_path(folder, NAMES[0])


FIRST, NO_VIDEO = r"boxing/person01_boxing_d1_uncomp.avi ", "is not a readable video"
UNREADABLE = {
    "missing": (lambda folder: first(folder).unlink(), FIRST + "is listed in .*räw"),
    "empty": (lambda folder: first(folder).write_bytes(b""), FIRST + NO_VIDEO),
    "header": (lambda folder: first(folder).write_bytes(b"RIFF"), FIRST + NO_VIDEO),
    "text": (lambda folder: first(folder).write_bytes(b"no video at all" * 100), FIRST + NO_VIDEO),
    "short": (
        lambda folder: write_video(first(folder), clip(0, num_frames=1)),
        "ends at frame 1, too early for its sequences",
    ),
    "zip": (damage_zip, r"person01.*boxing\.zip cannot be unpacked"),
}


@pytest.mark.parametrize(("damage", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_damaged_video_is_one_unreadable_job(folder, damage, message, capfd):
    damage(folder)
    builder = create(folder)
    broken, *others = builder.jobs()["train"]
    assert broken.name == "boxing/person01_boxing_d1_uncomp.avi"
    with pytest.raises(UnreadableError, match=message):
        builder.make(broken)
    assert all(builder.make(job) for job in others)
    assert capfd.readouterr().err == ""  # FFmpeg is silent.


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("person1_boxing_d1 frames 1-2", r"line 14: 'person1_boxing_d1 frames 1-2' is not of"),
        ("person26_boxing_d1 frames 1-2", "line 14: .* is not of the form"),
        ("person03_dancing_d1 frames 1-2", "line 14: .* is not of the form"),
        ("person03_boxing_d1 frames", "line 14: .* is not of the form"),
        ("some words", "line 14: 'some words' is not of the form"),
        ("person03_boxing_d1 frames 1-2, 5", "line 14: '5' is not a range"),
        ("person03_boxing_d1 frames 9-2", "line 14: '9-2' is not a range"),
        ("person03_boxing_d1 frames 0-2", "line 14: '0-2' is not a range"),
        ("person01_boxing_d1 frames 1-2", "line 14: person01_boxing_d1 is listed twice"),
    ],
)
def test_a_malformed_line_is_refused(folder, line, message):
    write_list(folder, (*LINES, "", line))
    with pytest.raises(ValueError, match=message):
        create(folder).jobs()


def ask_for_a_later_zip(folder) -> None:
    """Has a zip file say that it takes version 9.9 of the format to read it."""
    zip_all(folder)
    path = folder / "walking.zip"
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(content)


def add_copy(folder) -> None:
    zip_all(folder)
    with zipfile.ZipFile(folder / "walking.zip", "a") as archive:
        archive.writestr("copy/person17_walking_d3_uncomp.avi", b"other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: write_list(f, LINES[:2]), "no video of the test persons; .* are 21 to 25"),
        (
            lambda f: write_list(f, (*LINES, "person03_running_d1 frames 1-2")),
            "no video of running; expected running/",
        ),
        (lambda f: write_list(f, ()), "lists no videos"),
        (lambda f: (f / "00sequences.txt").unlink(), r"no .*00sequences\.txt"),
        (
            lambda f: (f / "walking.zip").write_bytes(b"half a downl"),
            r"walking\.zip is not a readable",
        ),
        (ask_for_a_later_zip, r"walking\.zip is not a readable zip file: zip file version 9\.9"),
        (add_copy, r"walking\.zip holds person17_walking_d3_uncomp.avi twice"),
    ],
)
def test_a_folder_with_another_layout_is_refused(folder, change, message):
    change(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        create(folder).jobs()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(folder="nowhere"), "no folder 'nowhere', which should hold the six"),
        (dict(folder=""), "no folder ''"),
        (dict(persons="18/7"), r"data\.real\.persons='18/7'; allowed: 20/5, 16/9"),
        (dict(image_size=0), "image_size=0; allowed: 1 to 1024"),
    ],
)
def test_bad_settings_are_refused(original, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        create(**dict(folder=original) | changes)


def test_oddities_of_the_original_list_are_read(tmp_path):
    """The original list has ranges out of order and ranges that overlap."""
    path = tmp_path / "00sequences.txt"
    jogging = "person07_jogging_d4\t\tframes\t1-64, 270-332, 194-264, 490-570"
    walking = "person03_walking_d4\t\tframes\t1-92, 118-216, 232-338, 338-432"
    path.write_text(HEADER + f"{jogging}\r\n{walking}")
    second, first = sequences.read(path)  # Sorted by name.
    assert first.ranges == ((1, 64), (270, 332), (194, 264), (490, 570))
    assert second.ranges == ((1, 92), (118, 216), (232, 338), (338, 432))
