"""Folders of videos and of pictures, written by PyAV and Pillow."""

import contextlib
import itertools
import shutil
import struct
import unicodedata
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from drnet_jax.data.preparation.builder import SPLITS, Job, UnreadableError
from drnet_jax.data.preparation.prepare import prepare_clips
from drnet_jax.data.readers import inputs
from drnet_jax.data.video_folder.builder import VideoFolder, VideoFolderConfig
from tests.helpers import videos
from tests.helpers.videos import SIDE, clip, write_pictures, write_video

SETTINGS = dict(colored=True, crop="center", frame_rate=0.0, min_frames=2, max_frames=300)
SETTINGS |= dict(background="white")
SETTINGS |= dict(image_size=SIDE, test_fraction=0.15)


def create(folder, data_dir="unused", **settings) -> VideoFolder:
    config = VideoFolderConfig(**SETTINGS | {"folder": str(folder)} | settings)
    return VideoFolder(config=config, data_dir=data_dir, file_format="array_record")


def names_of(builder) -> dict[str, list[str]]:
    return {split: [job.name for job in jobs] for split, jobs in builder.jobs().items()}


def read(folder, name: str, **settings) -> np.ndarray:
    """Returns the frames of the only clip of the file `name`."""
    builder = create(folder, **settings)
    [job] = [job for jobs in builder.jobs().values() for job in jobs if job.name == name]
    [made] = builder.make(job)
    return made.frames


def refusal(folder, name: str, **settings) -> str:
    """Returns why the file `name` cannot be read: one line."""
    with pytest.raises(UnreadableError) as caught:
        read(folder, name, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


CODECS = {
    ".mp4": ("mpeg4", "yuv420p"),
    ".m4v": ("mpeg4", "yuv420p"),
    ".3gp": ("mpeg4", "yuv420p"),
    ".mts": ("mpeg2video", "yuv420p"),
    ".mpg": ("mpeg1video", "yuv420p"),
    ".wmv": ("wmv2", "yuv420p"),
    ".flv": ("flv", "yuv420p"),
    ".ogv": ("libvpx", "yuv420p"),
    ".mov": ("mjpeg", "yuvj420p"),
    ".webm": ("libvpx-vp9", "yuv420p"),
    ".mkv": ("ffv1", "bgr0"),
    ".avi": ("mpeg4", "yuv420p"),
    ".gif": ("gif", "rgb8"),
}


def test_gray_and_size_and_crop(tmp_path):
    # The middle square is white, and the parts left and right of it are black.
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    frames[:, :, 16:48] = 255
    write_video(tmp_path / "wide.avi", frames)
    write_pictures(tmp_path / "wide", frames)
    write_video(tmp_path / "high.avi", frames.transpose(0, 2, 1, 3).copy())
    for name in ("wide.avi", "wide", "high.avi"):
        whole = read(tmp_path, name, crop="none", colored=False)
        assert whole.shape == (3, SIDE, SIDE, 1)
        assert 0.3 < whole.mean() / 255 < 0.7
        assert np.all(read(tmp_path, name, colored=False) == 255)
    assert create(tmp_path, colored=False).channels == 1 and create(tmp_path).channels == 3


def test_videos_are_resampled_to_the_frame_rate(tmp_path):
    # Matroska rounds times to milliseconds: 0, 33, 67, 100, ...
    videos.write_twins(tmp_path, ".mkv", videos.smooth(30), rate=30)
    for rate, step in {0: 1, 30: 1, 10: 3, 15: 2}.items():
        np.testing.assert_array_equal(
            read(tmp_path, "a.mkv", frame_rate=rate), videos.smooth(30)[::step]
        )
    doubled = read(tmp_path, "a.mkv", frame_rate=60)
    # Each time that lies between two frames is equally near to both.
    assert len(doubled) in (59, 60)
    np.testing.assert_array_equal(doubled[:59:2], videos.smooth(30))


def test_variable_frame_rate(tmp_path):
    videos.write_twins(tmp_path, ".mkv", videos.smooth(4), rate=10, times=[0, 1, 5, 6])
    frames = read(tmp_path, "a.mkv", frame_rate=10)
    assert (frames[:, 0, 0, 0] // 4).tolist() == [0, 1, 1, 1, 2, 2, 3]
    assert len(read(tmp_path, "a.mkv")) == 4
    videos.write_twins(tmp_path, ".mkv", videos.smooth(2), rate=10, times=[0, 2000])
    expected = "a.mkv shows one frame for 200 s; allowed: at most 60 s."
    assert refusal(tmp_path, "a.mkv", frame_rate=10) == expected


@pytest.mark.parametrize(("suffix", "rate"), [*((s, 0) for s in CODECS), (".mp4", 25)])
def test_long_videos_are_cut(tmp_path, suffix, rate):
    # Few key frames, so that a part begins between two.
    options = dict(bit_rate="1000000", g="12")
    videos.write_twins(tmp_path, f": 50%{suffix}", videos.smooth(53), *CODECS[suffix], **options)
    name = f"a: 50%{suffix}"
    whole = read(tmp_path, name)
    assert whole.shape == (53, SIDE, SIDE, 3)
    error = np.abs(whole.astype(int) - videos.smooth(53)).mean()
    # The palette of these GIFs has at most 8 values per channel.
    assert error < (40 if suffix == ".gif" else 4)
    builder = create(tmp_path, max_frames=2, frame_rate=rate)
    [named] = [jobs for jobs in builder.jobs().values() if jobs[0].name == name]
    # The headers of some do not say how long the video is, or how many frames a second has.
    known = suffix not in (".mpg", ".ogv")
    parts = [f"{name}, part {number}" for number in (2, 3)] if known else []
    assert [job.name for job in named] == [name, *parts]
    clips = [made for job in named for made in builder.make(job)]
    assert {len(made.frames) for made in clips} == {2}
    # The last of the 53 frames would be a clip by itself, which is too short.
    np.testing.assert_array_equal(np.concatenate([made.frames for made in clips]), whole[:52])
    names = ("0.9", "1.0", "1.1") if parts else ("0.9", "0.10", "0.11")
    assert [made.name for made in clips][9:12] == [f"{name}#{number}" for number in names]


def test_many_pictures_are_cut(tmp_path):
    for name in "ab":
        write_pictures(tmp_path / name, videos.smooth(45))
    builder = create(tmp_path, max_frames=2)
    jobs = builder.jobs()
    assert [len(split) for split in jobs.values()] == [3, 3]
    frames = [made.frames for job in jobs["test"] for made in builder.make(job)]
    np.testing.assert_array_equal(np.concatenate(frames), videos.smooth(44))


def test_rotated_files_are_shown_upright(tmp_path):
    """MP4 and JPEG files note how a phone was held."""
    frames = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    frames[:, :, : SIDE // 2] = 255
    videos.write_twins(tmp_path, ".mp4", frames, "mpeg4", "yuv420p")
    path = tmp_path / "a.mp4"
    content = path.read_bytes()
    one = 1 << 16
    still, turned = (one, 0, 0, 0, one, 0, 0, 0, 1 << 30), (0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    still, turned = struct.pack(">9i", *still), struct.pack(">9i", *turned)
    track = content.index(b"tkhd")
    path.write_bytes(content[:track] + content[track:].replace(still, turned, 1))
    write_pictures(tmp_path / "a", frames, ["1.JPG", "2.jpeg", "3.jpg"])
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned clockwise by 90 degrees.
    Image.fromarray(frames[0]).save(tmp_path / "a" / "1.JPG", exif=exif, quality=95)
    picture, *plain = read(tmp_path, "a")
    # A quarter turn clockwise: left becomes up.
    for frame in (read(tmp_path, "a.mp4")[0], picture, *np.swapaxes(plain, 1, 2)):
        assert frame[: SIDE // 2 - 1].min() > 200 and frame[SIDE // 2 + 1 :].max() < 50


def test_pictures_of_16_bits_and_with_palettes_are_read(tmp_path):
    deep = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 256
    gray = np.repeat((deep // 256).astype(np.uint8)[..., None], 3, axis=2)
    write_pictures(tmp_path / "a", [deep, gray])
    write_pictures(tmp_path / "b", [gray, gray])
    palette = Image.fromarray(np.uint8([[0, 1]])).convert("P")
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.resize((SIDE, SIDE), Image.NEAREST).save(tmp_path / "b" / "1.png", transparency=0)
    np.testing.assert_array_equal(read(tmp_path, "a"), [gray, gray])
    frame = read(tmp_path, "b")[1]
    assert frame[0, 0].tolist() == [255, 255, 255] and frame[0, -1].tolist() == [0, 0, 200]


@pytest.mark.parametrize("suffix", ["webp", "tiff", "tif", "bmp", "ppm"])
def test_other_kinds_of_pictures_are_read(tmp_path, suffix):
    folder = tmp_path / "a"
    folder.mkdir()
    for number, frame in enumerate(clip(1, num_frames=3)):
        Image.fromarray(frame).save(folder / f"{number}.{suffix}", lossless=True)
    np.testing.assert_array_equal(read_alone(folder), clip(1, num_frames=3))


def read_alone(path, **settings) -> np.ndarray:
    """Returns the frames of the only clip at `path`, whether video or folder."""
    framing = create(path, **settings).builder_config.framing()
    return np.stack([frame for _, frame in inputs.find_one(path).frames(framing, None)])


def test_pixels_that_are_not_square_are_made_square(tmp_path):
    gray = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), np.uint8)
    gray = np.repeat(gray.repeat(8, axis=1).repeat(4, axis=2), 3, axis=3)  # 64 high, 32 wide.
    videos.write_twins(tmp_path, ".mp4", gray, "mpeg4", "yuv420p", pixel_aspect=2, q="2")
    with av.open(str(tmp_path / "a.mp4")) as container:
        graph = av.filter.Graph()
        source = graph.add_buffer(template=container.streams.video[0])
        scale, aspect = graph.add("scale", "2*iw:ih:flags=area"), graph.add("setsar", "1")
        graph.link_nodes(source, scale, aspect, graph.add("buffersink")).configure()
        expected = []
        for frame in container.decode(video=0):
            graph.push(frame)
            expected.append(graph.vpull().to_ndarray(format="gray"))
    frames = read(tmp_path, "a.mp4", image_size=64, colored=False)[..., 0]
    assert np.abs(frames.astype(int) - expected).max() <= 2
    squeezed = read(tmp_path, "a.mp4", image_size=32, crop="none", colored=False)
    assert np.abs(squeezed.astype(int).mean() - np.mean(expected)) < 1


def test_interlaced_videos_are_deinterlaced(tmp_path):
    """The two fields of a frame show a bar at two times, which combs; yadif leaves no comb."""
    side, frames = 64, np.zeros((10, 64, 64, 3), np.uint8)
    for number, frame in enumerate(frames):
        for field in (0, 1):
            left = (8 * number + 4 * field) % 48
            frame[field::2, left : left + 16] = 255
    options = dict(flags="+ildct+ilme", top="1", b="4000000")
    videos.write_twins(tmp_path, ".mts", frames, "mpeg2video", "yuv420p", **options)
    with av.open(str(tmp_path / "a.mts")) as container:
        decoded = list(container.decode(video=0))
    assert all(frame.interlaced_frame for frame in decoded)

    def combing(shown):
        # Each row beside its neighbors, which belong to the other field.
        shown = np.asarray(shown, float)
        return np.abs(2 * shown[:, 1:-1] - shown[:, :-2] - shown[:, 2:]).mean()

    given = combing([frame.to_ndarray(format="rgb24") for frame in decoded])
    found = read(tmp_path, "a.mts", image_size=side)
    assert len(found) == 10
    assert combing(found) < 0.01 * given
    # In the middle of a video as well, where decoding starts between its frames.
    builder = create(tmp_path, image_size=side, max_frames=2)
    later = builder.make(Job("a", (builder._found.inputs["a.mts"], 1, Fraction(4, 25), None)))
    np.testing.assert_array_equal(np.concatenate([made.frames for made in later]), found[4:])


def half_transparent(num_frames: int) -> np.ndarray:
    """Returns frames `[time, side, side, 4]`: the upper half is red, the lower hidden green."""
    frames = np.zeros((num_frames, 16, 16, 4), np.uint8)
    frames[:, :8, :, 3] = 255
    # GIFs have no two equal frames.
    frames[:, :8, :, 0] = 255 - 32 * np.arange(num_frames)[:, None, None]
    frames[:, 8:, :, 1] = 255
    return frames


@pytest.mark.parametrize("background", ["white", "black", "#4080c0"])
def test_transparent_parts_show_the_background(tmp_path, background):
    frames = half_transparent(4)
    write_video(tmp_path / "a.webm", frames, "libvpx-vp9", "yuva420p", b="1000000")
    write_video(tmp_path / "b.mkv", frames, "ffv1", "bgra")
    first, *rest = map(Image.fromarray, frames)
    first.save(tmp_path / "c.gif", save_all=True, append_images=rest, disposal=2)
    write_pictures(tmp_path / "d", frames)
    color = {"white": (255,) * 3, "black": (0,) * 3, "#4080c0": (64, 128, 192)}[background]
    for name in ("a.webm", "b.mkv", "c.gif", "d"):
        shown = read(tmp_path, name, background=background).astype(int)
        lossy = 8 if name == "a.webm" else 0
        assert np.abs(shown[:, :6] - frames[:, :6, :, :3]).max() <= lossy, name
        assert np.abs(shown[:, 10:] - color).max() <= lossy, name
    names = {create(tmp_path, background=b).builder_config.name for b in (background, "red")}
    assert len(names) == 2


@pytest.mark.parametrize("share", [0.3, 0.7, 0.9])
def test_a_video_that_is_cut_off_keeps_the_frames_before(tmp_path, share):
    frames = clip(1, num_frames=60)
    videos.write_twins(tmp_path, ".mp4", frames, "libx264", "yuv420p", bf="2")
    path = tmp_path / "a.mp4"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    packets, decodable = 0, 0
    with av.open(str(path)) as container:  # As ffmpeg does: all that the decoder returns.
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            packets += 1
            with contextlib.suppress(av.InvalidDataError):
                decodable += len(stream.codec_context.decode(packet))
    found = read(tmp_path, "a.mp4")
    assert len(found) == decodable > 60 * share - 10
    whole = read(tmp_path, "b.mp4")
    np.testing.assert_array_equal(found[: len(found) - 4], whole[: len(found) - 4])


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
    with pytest.raises(ValueError, match="none holds 1 other file; expected videos, or folders of"):
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
