"""Files that are made to do harm are refused, or read in little time and memory."""

import gzip
import resource
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest

from drnet_jax.data.moving_mnist import idx
from drnet_jax.data.preparation.builder import UnreadableError
from drnet_jax.data.readers import image_files, video_files
from drnet_jax.interop import torch_file
from tests.chaos import fuzz
from tests.chaos.readers import FRAMING, READERS, make_kth, read_kth, read_video
from tests.helpers import videos
from tests.helpers.torch_files import Tensor, write, write_legacy, write_zip

MEGABYTES = 2**20


@pytest.fixture(autouse=True)
def bounds():
    """Fails a test that computes for ten seconds, or adds 300 MB to the peak of memory."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert time.process_time() - started < 10
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 300 * MEGABYTES


def twice(times):
    """Returns a pickle of a tuple of twice itself, so many times: small, and endless to walk."""
    return b"K\x01" + b"2\x86" * times


def called(function, *arguments):
    return f"c{function}\n".encode() + b"".join(arguments) + [b")", b"\x85"][len(arguments)] + b"R"


BOMBS = {
    # A key is hashed, and the hash of a tuple walks all of it.
    "key": (b"}" + twice(80) + b"K\x01s.", "a key that is neither"),
    "keys": (b"}(" + twice(80) + b"K\x01u.", "a key that is neither"),
    "keys of a dict": (b"(" + twice(80) + b"K\x01d.", "a key that is neither"),
    "set": (called("builtins\nset", b"](" + twice(80) + b"e") + b".", "a key that is neither"),
    "set in place": (b"\x8f(" + twice(80) + b"\x90.", "a key that is neither"),
    "frozen set": (b"(" + twice(80) + b"\x91.", "a key that is neither"),
    "ordered": (
        called("collections\nOrderedDict", b"](" + twice(80) + b"K\x01\x86e") + b".",
        "a key that is neither",
    ),
    "storage": (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + twice(80) + b"K\x00K\x01tQ.",
        "an unknown kind of reference",
    ),
    # A thousand times the same bytes, which become a tuple of numbers each time.
    "sizes": (
        b"]("
        + b"B"
        + struct.pack("<I", MEGABYTES)
        + bytes(MEGABYTES)
        + b"q\x000"
        + called("torch\nSize", b"h\x00") * 1000
        + b"e.",
        "grow beyond all measure",
    ),
    "bytearray": (b"\x96" + struct.pack("<Q", 2**40) + b".", "a bytearray"),
    "names": (b"](" + b"".join(b"ca\nb%d\n" % i for i in range(2000)) + b"e.", "more than 1000"),
    "program": (b"](" + b"N" * 3 * MEGABYTES + b"e.", "more than 2,097,152 bytes"),
    "depth": (b"]" * 100_000 + b"a" * 99_999 + b".", "nested more than 100"),
}


@pytest.mark.parametrize("writer", [write_zip, write_legacy])
@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_of_pickles_are_refused(tmp_path, kind, writer):
    program, message = BOMBS[kind]
    writer(tmp_path / "a.pth", program)
    with pytest.raises(ValueError, match=message):
        torch_file.load(tmp_path / "a.pth")


def test_a_memo_takes_no_more_than_what_is_in_it(tmp_path):
    # Puts a list under number 2^32 - 16, for which the unpickler in C makes a table of 64 GB.
    write_zip(tmp_path / "a.pth", b"]r\xf0\xff\xff\xff.")
    assert torch_file.load(tmp_path / "a.pth") == []


@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20), (2**62, 4), (2**200,)])
def test_tensors_of_terabytes_are_refused(tmp_path, shape):
    tensor = Tensor(np.zeros(4, np.float32), shape=shape, strides=(0,) * len(shape))
    write(tmp_path / "a.pth", {"x": tensor})
    with pytest.raises(ValueError, match=r"beyond its data|impossible shape"):
        torch_file.load(tmp_path / "a.pth")


def test_one_storage_does_not_become_many_tensors(tmp_path):
    numbers = np.zeros(MEGABYTES, np.float32)
    count = b"J" + struct.pack("<i", MEGABYTES)
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000K\x00" + count
    view = b"(" + storage + b"tQK\x00" + count + b"\x85K\x01\x85\x89}t"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n" + view + b"R"
    write_zip(tmp_path / "a.pth", b"](" + 3 * tensor + b"e.", [numbers.tobytes()])
    found = torch_file.load(tmp_path / "a.pth")
    assert [tensor.shape for tensor in found] == [(MEGABYTES,)] * 3
    write_zip(tmp_path / "a.pth", b"](" + 50 * tensor + b"e.", [numbers.tobytes()])
    with pytest.raises(ValueError, match="grow beyond all measure"):
        torch_file.load(tmp_path / "a.pth")


def test_modules_within_modules_come_to_an_end():
    def module(**children):
        record = torch_file.Record.__new__(torch_file.Record)
        vars(record).update(_modules=children, _parameters={}, _buffers={})
        return record

    inner = module()
    for _ in range(60):
        inner = module(a=inner, b=inner)
    with pytest.raises(ValueError, match="Expected at most 10,000 modules, found more"):
        torch_file.tensors(inner)


def test_a_gzip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    READERS["IDX"][0](tmp_path)
    monkeypatch.setattr(idx, "_MAX_BYTES", MEGABYTES)
    for size, message in ((MEGABYTES, "starts with"), (400 * MEGABYTES, "more than the allowed")):
        path = tmp_path / "train-images-idx3-ubyte"
        path.write_bytes(gzip.compress(bytes(size), compresslevel=1))
        with pytest.raises(ValueError, match=message):
            idx.read_folder(tmp_path)


def lying_zip(path, size, stated):
    """Writes a zip file with `size` bytes of zeros in a video that claims to have `stated`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("person01_boxing_d1_uncomp.avi", bytes(size))
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", size), struct.pack("<I", stated)))


@pytest.mark.parametrize(
    ("size", "stated", "message"),
    [
        (400 * MEGABYTES, 1000, "cannot be unpacked: Bad CRC"),
        (1000, 2**29, "allowed: 268435456 or fewer"),
    ],
)
def test_a_zip_bomb_is_not_unpacked(tmp_path, size, stated, message):
    make_kth(tmp_path)
    lying_zip(tmp_path / "boxing.zip", size, stated)
    with pytest.raises(UnreadableError, match=message):
        read_kth(tmp_path / "boxing.zip")


def test_a_zip_file_writes_nowhere(tmp_path):
    folder = tmp_path / "kth"
    folder.mkdir()
    make_kth(folder)
    with zipfile.ZipFile(folder / "boxing.zip", "w") as archive:
        for person, place in (("01", "../../"), ("22", "/tmp/../")):
            archive.write(folder / "v.avi", f"{place}person{person}_boxing_d1_uncomp.avi")
    before = sorted(path.name for path in folder.iterdir())
    read_kth(folder / "boxing.zip")
    assert sorted(path.name for path in folder.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["kth"]


def png(width, height):
    """Returns the header of a picture, and a little of its content."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize("size", [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (9000, 9000), (0, 9)])
def test_pictures_that_claim_to_be_huge_are_refused(tmp_path, size):
    (tmp_path / "p.png").write_bytes(png(*size))
    with pytest.raises(UnreadableError):
        image_files.read_sequence([("p.png", tmp_path / "p.png")], FRAMING)


def test_pictures_and_videos_of_one_pixel_are_read(tmp_path):
    videos.write_pictures(tmp_path, videos.clip(0, 1, 1, 1), ["p.png"])
    frames = image_files.read_sequence([("p.png", tmp_path / "p.png")], FRAMING)
    assert frames.shape == (1, 16, 16, 3)
    videos.write_video(tmp_path / "v.mkv", videos.clip(0, 3, 1, 1))
    read = [frame for _, frame in video_files.frames(tmp_path / "v.mkv", "v.mkv", FRAMING)]
    np.testing.assert_array_equal([frame[0, 0] for frame in read], videos.clip(0, 3, 1, 1)[:, 0, 0])


# Places in an AVI file, behind the name of a chunk: frames in all; width, height; rate of a stream.
LIES = {
    "a billion frames": (b"avih", 4 + 16, struct.pack("<I", 10**9)),
    "no frames": (b"avih", 4 + 16, bytes(4)),
    "a billion frames of the stream": (b"strh", 4 + 32, struct.pack("<I", 10**9)),
    "2^31 - 1 pixels in width and height": (b"strf", 4 + 4, struct.pack("<II", *[2**31 - 1] * 2)),
    "50,000 pixels in width and height": (b"strf", 4 + 4, struct.pack("<II", 50_000, 50_000)),
    "a rate of 2^32 - 1": (b"strh", 4 + 20, struct.pack("<II", 1, 2**32 - 1)),
    "a frame for 2^32 - 1 seconds": (b"strh", 4 + 20, struct.pack("<II", 2**32 - 1, 1)),
}


@pytest.mark.parametrize("lie", LIES)
def test_videos_that_lie_about_themselves_are_read_or_refused(tmp_path, lie):
    chunk, offset, value = LIES[lie]
    path = READERS["video, AVI"][0](tmp_path)
    content = bytearray(path.read_bytes())
    place = content.index(chunk) + 4 + offset
    content[place : place + len(value)] = value
    path.write_bytes(content)
    assert fuzz.read_quietly(read_video, path) in ("read", "refused")


def test_no_damaged_file_does_harm():
    """A few mutations for each reader; `python -m tests.chaos --fuzz=...` does many."""
    counts = fuzz.fuzz(list(READERS), num=6)
    ends = {end for counter in counts.values() for end in counter}
    assert ends == {"read", "refused"}
