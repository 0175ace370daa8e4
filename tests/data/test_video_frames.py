"""Frames of users' videos and pictures: which ones are used, and what is in them."""

import contextlib
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from drnet_jax.data.preparation.builder import Job, UnreadableError
from drnet_jax.data.readers import inputs
from tests.helpers import videos
from tests.helpers.video_folders import create, read, refusal
from tests.helpers.videos import SIDE, clip, write_pictures, write_video

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


def test_heic_is_refused_by_name_and_avif_is_read(tmp_path):
    (tmp_path / "face.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(UnreadableError, match=r"^face\.HEIC is a HEIC picture; allowed: JPEG, PNG"):
        read_alone(tmp_path / "face.HEIC")
    with pytest.raises(ValueError, match=r"the first face\.HEIC \(a HEIC picture, which must be"):
        create(tmp_path).jobs()
    for number, frame in enumerate(clip(1, num_frames=3)):
        # Lossless, without subsampled or converted colors.
        options = dict(quality=100, subsampling="4:4:4", advanced={"matrix-coefficients": "0"})
        Image.fromarray(frame).save(tmp_path / f"{number}.avif", **options)
    (tmp_path / "face.HEIC").unlink()
    difference = read_alone(tmp_path).astype(int) - clip(1, num_frames=3)
    assert np.abs(difference).max() <= 8


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


def test_pictures_may_use_the_low_bits_of_16(tmp_path, caplog):
    deep = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 16
    for name in ("a", "b"):
        write_pictures(tmp_path / name, [deep, deep])
    shown = np.repeat((deep // 16).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(read(tmp_path, "a", bits=12), [shown, shown])
    assert not caplog.records
    np.testing.assert_array_equal(read(tmp_path, "a"), [shown // 16, shown // 16])
    assert "as in config.data.bits=12" in caplog.text
    assert "with config.data.bits=8; allowed: 0 to 255" in refusal(tmp_path, "a", bits=8)
    names = {create(tmp_path, bits=bits).builder_config.name for bits in (12, 16)}
    assert len(names) == 2


@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_arrays_are_read(tmp_path, channels):
    gray = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE), np.uint8)
    array = gray if channels is None else np.repeat(gray[..., None], channels, axis=3)
    if channels == 4:
        array[..., 3] = 255
    np.save(tmp_path / "a.npy", array)
    np.save(tmp_path / "b.npy", np.asfortranarray(array))
    expected = np.repeat(gray[..., None], 3, axis=3)
    np.testing.assert_array_equal(read(tmp_path, "a.npy"), expected)
    np.testing.assert_array_equal(read(tmp_path, "b.npy"), expected)
    frames, rate = inputs.read(tmp_path / "a.npy", create(tmp_path).builder_config.framing(), None)
    np.testing.assert_array_equal(frames, expected)
    assert rate is None


def test_an_array_alone_is_split_in_time(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE), np.uint8)
    np.save(tmp_path / "a.npy", array)
    jobs = create(tmp_path, test_fraction=0.25).jobs()
    made = {split: create(tmp_path).make(job)[0].frames for split, [job] in jobs.items()}
    np.testing.assert_array_equal(made["train"][..., 0], array[:28])  # 5 % are left out.
    np.testing.assert_array_equal(made["test"][..., 0], array[30:])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, SIDE, SIDE), np.float32), "is float32 "),
        (np.zeros((3, SIDE, SIDE, 2), np.uint8), "allowed: uint8 [time, height, width]"),
        (np.zeros((3, 0, SIDE), np.uint8), "allowed: 1 to"),
        (np.array([{}, {}], object), "is not a readable array"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, reason):
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, array, allow_pickle=True)
    assert reason in refusal(tmp_path, "a.npy")
    np.savez(tmp_path / "c.npz", array)
    assert create(tmp_path).ignored() == [("c.npz", "an archive of arrays; save each clip as .npy")]


def test_a_header_that_lies_about_an_array_is_refused(tmp_path):
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.zeros((3, SIDE, SIDE), np.uint8))
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole.replace(b"(3, ", b"(3" + b"0" * 13 + b", ", 1))
    assert "is not a readable array" in refusal(tmp_path, "a.npy")
