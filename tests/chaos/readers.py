"""Every reader of files that people hand over: a whole file for it, and how it is read."""

import gzip
import io
import pathlib
import pickle
import zipfile
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from drnet_jax.base import checked_json
from drnet_jax.data.kth.actions import KthActions, KthConfig
from drnet_jax.data.moving_mnist import idx
from drnet_jax.data.norb import files as norb_files
from drnet_jax.data.readers import array_files, image_files, inputs, video_files
from drnet_jax.data.readers.framing import Framing
from drnet_jax.data.video_folder import clip_labels
from drnet_jax.interop import torch_file
from tests.helpers import torch_files, videos

FRAMING = Framing(16, channels=3, crop="center")
_SEQUENCES = "person01_boxing_d1 frames 1-4, 5-8\nperson22_boxing_d1 frames 1-6\n"


def read_video(path: pathlib.Path) -> None:
    video_files.read_timing(path, path.name)
    frames = video_files.before_damage(video_files.frames(path, path.name, FRAMING))
    for _ in video_files.resample(frames, Fraction(10), path.name):
        pass


def _read_array(path: pathlib.Path) -> None:
    for _ in array_files.frames(path, path.name, FRAMING, slice(None)):
        pass


def _read_picture(path: pathlib.Path) -> None:
    image_files.read_sequence([(path.name, path)], FRAMING)


def _read_torch(path: pathlib.Path) -> None:
    torch_file.tensors(dict(torch_file.load(path)).get("netD"))


def _read_idx(path: pathlib.Path) -> None:
    idx.read_folder(path.parent)


def _read_norb(path: pathlib.Path) -> None:
    norb_files.read_matrix(path, np.uint8, (2, 8, 8))


def read_kth(path: pathlib.Path) -> None:
    folder = path.parent
    config = KthConfig(folder=str(folder), image_size=16, persons="20/5")
    builder = KthActions(config=config, data_dir=folder / "prepared")
    for jobs in builder.jobs().values():
        for job in jobs:
            builder.make(job)


def _read_labels(path: pathlib.Path) -> None:
    found = {name: inputs.Input(name, ()) for name in ("a.mp4", "b.mp4")}
    clip_labels.read(path.parent, found)


def _make_video(suffix: str, codec: str, form: str) -> Callable[[pathlib.Path], pathlib.Path]:
    def make(folder: pathlib.Path) -> pathlib.Path:
        videos.write_video(folder / f"v{suffix}", videos.clip(0), codec, form)
        return folder / f"v{suffix}"

    return make


def _make_array(folder: pathlib.Path) -> pathlib.Path:
    np.save(folder / "v.npy", videos.clip(0))
    return folder / "v.npy"


def _make_picture(suffix: str) -> Callable[[pathlib.Path], pathlib.Path]:
    def make(folder: pathlib.Path) -> pathlib.Path:
        videos.write_pictures(folder, videos.clip(0, 1), [f"p{suffix}"])
        return folder / f"p{suffix}"

    return make


def _make_torch(folder: pathlib.Path) -> pathlib.Path:
    weights = np.arange(24, dtype=np.float32)
    state = {"main.0.weight": torch_files.Tensor(weights, shape=(2, 3, 4), strides=(12, 4, 1))}
    torch_files.write(folder / "t.pth", {"netD": state, "opt": {"lr": 0.1}})
    return folder / "t.pth"


def _make_legacy_torch(folder: pathlib.Path) -> pathlib.Path:
    torch_files.write_legacy(folder / "t.pth", pickle.dumps({"netD": {}, "a": [1, (2, "b")]}, 2))
    return folder / "t.pth"


def _make_idx(folder: pathlib.Path) -> pathlib.Path:
    images = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
    for names in idx.FILES.values():
        (folder / names[0]).write_bytes(idx.encode(images))
        (folder / names[1]).write_bytes(idx.encode(np.arange(3)))
    return folder / "train-images-idx3-ubyte"


def _make_idx_gzip(folder: pathlib.Path) -> pathlib.Path:
    path = _make_idx(folder)
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return path


def _norb_matrix() -> bytes:
    header = np.array([0x1E3D4C55, 4, 5, 2, 8, 8], "<u4").tobytes()
    return header + bytes(5 * 2 * 8 * 8)


def _make_norb(folder: pathlib.Path) -> pathlib.Path:
    (folder / "n.mat").write_bytes(_norb_matrix())
    return folder / "n.mat"


def _make_norb_gzip(folder: pathlib.Path) -> pathlib.Path:
    (folder / "n.mat.gz").write_bytes(gzip.compress(_norb_matrix(), mtime=0))
    return folder / "n.mat.gz"


def make_kth(folder: pathlib.Path) -> pathlib.Path:
    videos.write_video(folder / "v.avi", videos.clip(0, 8), "mpeg4", "yuv420p")
    (folder / "00sequences.txt").write_text(_SEQUENCES)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for person in ("01", "22"):
            archive.write(folder / "v.avi", f"person{person}_boxing_d1_uncomp.avi")
    (folder / "boxing.zip").write_bytes(buffer.getvalue())
    return folder / "boxing.zip"


def _make_sequences(folder: pathlib.Path) -> pathlib.Path:
    make_kth(folder)
    return folder / "00sequences.txt"


def _make_labels(folder: pathlib.Path) -> pathlib.Path:
    (folder / clip_labels.FILE).write_text("file,kind\na.mp4,cat\nb.mp4,dog\n")
    return folder / clip_labels.FILE


def _make_json(folder: pathlib.Path) -> pathlib.Path:
    checked_json.write(folder / "a.json", {"a": [1, 0.5, {"b": "text"}]})
    return folder / "a.json"


Reader = tuple[Callable[[pathlib.Path], pathlib.Path], Callable[[pathlib.Path], None]]

READERS: dict[str, Reader] = {
    "video, MP4": (_make_video(".mp4", "mpeg4", "yuv420p"), read_video),
    "video, AVI": (_make_video(".avi", "mpeg4", "yuv420p"), read_video),
    "video, Matroska": (_make_video(".mkv", "ffv1", "bgr0"), read_video),
    "video, MPEG": (_make_video(".mpg", "mpeg2video", "yuv420p"), read_video),
    "video, GIF": (_make_video(".gif", "gif", "rgb8"), read_video),
    "array, NPY": (_make_array, _read_array),
    "picture, PNG": (_make_picture(".png"), _read_picture),
    "picture, JPEG": (_make_picture(".jpg"), _read_picture),
    "picture, WebP": (_make_picture(".webp"), _read_picture),
    "picture, TIFF": (_make_picture(".tif"), _read_picture),
    "picture, BMP": (_make_picture(".bmp"), _read_picture),
    "picture, PPM": (_make_picture(".ppm"), _read_picture),
    "torch.save": (_make_torch, _read_torch),
    "torch.save, legacy": (_make_legacy_torch, _read_torch),
    "IDX": (_make_idx, _read_idx),
    "IDX, gzip": (_make_idx_gzip, _read_idx),
    "small NORB": (_make_norb, _read_norb),
    "small NORB, gzip": (_make_norb_gzip, _read_norb),
    "KTH, zip": (make_kth, read_kth),
    "KTH, list of sequences": (_make_sequences, read_kth),
    "labels.csv": (_make_labels, _read_labels),
    "JSON": (_make_json, checked_json.read),
}
"""By name: a function that makes a file in a folder, and one that reads it."""
