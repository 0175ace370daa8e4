"""Folders of videos and of pictures as a data set: what is a clip, the split, bad input."""

import itertools
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from drnet_jax.data.preparation.builder import SPLITS
from drnet_jax.data.preparation.prepare import prepare_clips
from drnet_jax.data.video_folder.builder import VideoFolderConfig
from tests.helpers import videos
from tests.helpers.video_folders import SETTINGS, create, names_of, read, refusal
from tests.helpers.videos import clip, write_pictures, write_video


@pytest.fixture
def folder(tmp_path):
    """Two videos and a folder of pictures, sorted into train and test."""
    folder = tmp_path / "my vidéos"
    write_video(folder / "train" / "a b" / "größe.AVI", clip(1))
    write_video(folder / "train" / "c.mkv", clip(2))
    names = ["frame-1.png", "frame-2.png", "frame-10.png"]
    write_pictures(folder / "test" / "walk 3", clip(3, num_frames=3), names)
    (folder / "test" / "notes.txt").write_text("not a video")
    (folder / "test" / ".hidden.mp4").write_bytes(b"")
    return folder


def test_prepared_and_read_back(folder, tmp_path):
    (folder / "labels.csv").write_text(
        "\ufefffile,label,place\r\ntest/walk 3,run,in\r\ntrain/c.mkv, walk ,out\r\n"
        '"train/a b/größe.AVI",run,in\r\n\r\n'
    )
    builder = create(folder, tmp_path / "data")
    prepare_clips(builder, max_skipped=0)
    found = {split: list(builder.as_data_source(split=split)) for split in SPLITS}
    files = [record["file"].decode() for split in SPLITS for record in found[split]]
    assert files == ["train/a b/größe.AVI", "train/c.mkv", "test/walk 3"]
    first, second = found["train"]
    np.testing.assert_array_equal(first["frames"], clip(1))
    np.testing.assert_array_equal(second["frames"], clip(2))
    np.testing.assert_array_equal(found["test"][0]["frames"], clip(3, num_frames=3))
    assert builder.info.features["label"].names == ["run", "walk"]
    assert [first["label"], second["label"], first["place"], second["place"]] == [0, 1, 0, 1]
    assert second["name"].decode() == "train/c.mkv#0.0"


def test_what_is_no_clip_is_ignored_and_listed(tmp_path):
    folder = tmp_path / "videos"
    for name, seed in (("clip 1", 1), ("clip 2", 5)):
        write_video(folder / f"{name}.mkv", clip(seed))
        write_pictures(folder, clip(2, num_frames=1), [f"{name}.jpg"])
    write_pictures(folder / "album", clip(3, num_frames=1), ["cover 1.jpg"])
    names = ["frame_1_of_12.png", "frame_2_of_12.png", "frame_10_of_12.png", "thumb.png"]
    write_pictures(folder / "walk", clip(4, num_frames=4), names)
    (folder / "notes.txt").write_text("not a video")
    (folder / "gone.mp4").symlink_to(tmp_path / "nothing")
    builder = create(folder, tmp_path / "data")
    reasons = {
        "album/cover 1.jpg": "a picture alone",
        "clip 1.jpg": "a picture beside videos",
        "clip 2.jpg": "a picture beside videos",
        "gone.mp4": "a link to nothing",
        "notes.txt": "neither a video nor a picture",
        "walk/thumb.png": "a picture beside numbered ones",
    }
    assert dict(builder.ignored()) == reasons
    assert sorted(itertools.chain(*names_of(builder).values())) == [
        "clip 1.mkv",
        "clip 2.mkv",
        "walk",
    ]
    np.testing.assert_array_equal(read(folder, "walk"), clip(4, num_frames=3))
    card = (prepare_clips(builder, max_skipped=0) / "card.md").read_text()
    for name, reason in reasons.items():
        assert f"- {name}: {reason}\n" in card


@pytest.mark.parametrize("kind", ["file", "folder", "pictures"])
def test_a_lone_video_is_split_in_time_with_a_gap(tmp_path, kind):
    if kind == "pictures":
        write_pictures(tmp_path / "a", videos.smooth(60))
    else:
        write_video(tmp_path / "a.mkv", videos.smooth(60), rate=10)
    builder = create(tmp_path / "a.mkv" if kind == "file" else tmp_path, max_frames=2)
    times = {
        split: [f[0, 0, 0] // 4 for job in jobs for made in builder.make(job) for f in made.frames]
        for split, jobs in builder.jobs().items()
    }
    # The last 15 % of 60 frames, and 5 % before these for the gap.
    assert times == {"train": list(range(48)), "test": list(range(51, 59))}
    names = [*itertools.chain(*names_of(builder).values())]
    assert len(set(names)) == len(names) > 2


def test_split_by_file_is_stable(tmp_path):
    few, more = (names_of(create(videos.write_empty(tmp_path / str(num), num))) for num in (30, 40))
    assert 1 <= len(few["test"]) < 10
    for split in SPLITS:
        assert set(few[split]) <= set(more[split])
    assert 8 < len(names_of(create(tmp_path / "30", test_fraction=0.5))["test"]) < 22


def test_both_splits_have_a_file(tmp_path):
    for fraction, num_test in {0.001: 1, 0.999: 3}.items():
        names = names_of(create(videos.write_empty(tmp_path, 4), test_fraction=fraction))
        assert [len(names[split]) for split in SPLITS] == [4 - num_test, num_test]


def test_changed_files_change_the_name(folder):
    name = create(folder).builder_config.name
    names = {name, create(folder, frame_rate=5).builder_config.name}
    names |= {create(folder, colored=False).builder_config.name}
    path = folder / "train" / "c.mkv"
    path.write_bytes(path.read_bytes())  # The same content and size at a later time.
    names.add(create(folder).builder_config.name)
    (folder / "labels.csv").write_text("file,label\n")
    config = VideoFolderConfig(folder=str(folder), **SETTINGS)
    names.add(config.name)
    assert len(names) == 5 and all(n.replace("_", "").isalnum() for n in names)


def test_links_are_followed_once(folder, tmp_path):
    outside = tmp_path / "outside"
    write_video(outside / "d.mkv", clip(4))
    (folder / "train" / "linked").symlink_to(outside)
    (outside / "back").symlink_to(folder)
    (outside / "nowhere.mp4").symlink_to(tmp_path / "nothing")
    names = names_of(create(folder))["train"]
    assert names == ["train/a b/größe.AVI", "train/c.mkv", "train/linked/d.mkv"]


# Bad input: one bad file is one unreadable job.


def content(replaced: bytes):
    """Returns a function that replaces the content of a file."""
    return lambda path: path.write_bytes(replaced)


VIDEO, PICTURES = "train/c.avi", "test/walk 3"


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        (VIDEO, content(b""), "is not a readable video: "),
        (VIDEO, content(b"no video" * 1000), "is not a readable video: Invalid data"),
        # A playlist would lead FFmpeg to other files.
        (VIDEO, content(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n/etc/hosts\n"), "is not a readable"),
        (
            VIDEO,
            lambda path: path.write_bytes(path.read_bytes().replace(b"FFV1", b"XQZ1")),
            "has a codec that FFmpeg cannot decode.",
        ),
        (VIDEO, videos.write_sound, "holds no pictures."),
        (VIDEO, lambda path: write_video(path, clip(0, 1)), "has 1 frame; allowed: at least 2"),
        (
            VIDEO,
            lambda path: write_video(path, clip(0, height=4, width=400)),
            "holds pictures of 400x4; allowed: one side at most 32 times the other.",
        ),
        (
            f"{PICTURES}/frame-3.png",
            lambda path: Image.fromarray(clip(0, height=8)[0]).save(path),
            f"is 16x8, but {PICTURES}/frame-1.png is 16x16; "
            "the pictures of a clip must have one size.",
        ),
        (f"{PICTURES}/frame-3.png", content(b"\x89PNG\r\n"), "is not a readable picture: "),
        (f"{PICTURES}/02.png", content(b""), f"and {PICTURES}/frame-2.png have the same number."),
    ],
)
def test_an_unreadable_file_is_one_unreadable_job(folder, file, spoil, message, capfd):
    write_video(folder / VIDEO, clip(2))
    spoil(folder / file)
    assert refusal(folder, VIDEO if file == VIDEO else PICTURES).startswith(f"{file} {message}")
    np.testing.assert_array_equal(read(folder, "train/a b/größe.AVI"), clip(1))
    assert capfd.readouterr().err == ""


def test_a_title_that_is_not_unicode_does_no_harm(folder):
    path = folder / "train" / "c.mkv"
    write_video(path, clip(2), title="Qualle")
    path.write_bytes(path.read_bytes().replace(b"Qualle", b"\xe9ualle"))
    np.testing.assert_array_equal(read(folder, "train/c.mkv"), clip(2))


def test_a_truncated_video_keeps_its_start(folder):
    path = folder / "train" / "c.mkv"
    write_video(path, clip(2, num_frames=20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = read(folder, "train/c.mkv")
    assert 5 < len(frames) < 12
    np.testing.assert_array_equal(frames, clip(2, num_frames=20)[: len(frames)])


# Bad input that stops the whole preparation.


def test_files_that_cannot_be_split_are_refused(folder, tmp_path):
    shutil.rmtree(folder / "test" / "walk 3")
    with pytest.raises(ValueError, match="test holds no video and no folder of pictures"):
        create(folder).jobs()
    one = videos.write_empty(tmp_path / "one", 1)
    with pytest.raises(ValueError, match=r"clip0\.mp4 is not a readable video"):
        create(one).jobs()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.doc").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"none holds 1 other file, the first a\.doc .*; expected videos"
    ):
        create(tmp_path / "none").jobs()
    for form in ("NFC", "NFD"):
        (one / unicodedata.normalize(form, "é.mp4")).write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds 'é\.mp4' twice, in different spellings"):
        create(one)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "starts with ''; expected the names of its columns"),
        (b"train/c.mkv,walk\n", "starts with 'train/c.mkv,walk'; expected the names"),
        (b"file\ntrain/c.mkv\n", "starts with 'file'; expected the names"),
        (b"file,label,label\n", "starts with 'file,label,label'; expected"),
        (b"file,frames\n", "has a column 'frames'; allowed"),
        (b"file,my label\n", "has a column 'my label'; allowed"),
        (b"file,label\ntrain/c.mkv\n", "line 2: 1 column; expected 2"),
        (b"file,label\ntrain/d.mkv,run\n", "line 2: there is no clip 'train/d.mkv' in"),
        (b"file,label\ntrain/c.mkv,run\ntrain/c.mkv,run\n", "line 3: .*mkv' is listed twice"),
        (b"file,label\ntrain/c.mkv,run\n", "no line for 'test/walk 3' and 1 other"),
        (b"file,label\ntrain/c.mkv,\xff\n", "is not a table of comma-separated UTF-8 text"),
        (b'file,label\ntrain/c.mkv,"run\n', "is not a table of comma-separated UTF-8 text"),
    ],
)
def test_bad_labels_are_refused(folder, table, message):
    (folder / "labels.csv").write_bytes(table)
    with pytest.raises(ValueError, match=message) as caught:
        create(folder)
    assert "labels.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": "top"}, "crop='top'; allowed: center, none"),
        ({"frame_rate": -1}, "frame_rate=-1; allowed: 0 to 1000"),
        ({"min_frames": 1}, "min_frames=1, max_frames=300; allowed: 2 <="),
        ({"max_frames": 1}, "min_frames=2, max_frames=1; allowed: 2 <="),
        ({"test_fraction": 0}, "test_fraction=0; allowed: between 0 and 1"),
        ({"background": "whit"}, "background='whit'; allowed: a color such as white or #80c0ff"),
        ({"image_size": 5000}, "image_size=5000; allowed: 1 to 1024"),
        ({"folder": "nowhere"}, "no folder 'nowhere', which should hold videos"),
    ],
)
def test_bad_settings_are_refused(folder, settings, message):
    kind = FileNotFoundError if "folder" in settings else ValueError
    with pytest.raises(kind, match=message):
        create(**{"folder": folder} | settings)
