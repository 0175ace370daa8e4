"""Videos and pictures of random frames, written by PyAV and Pillow."""

import av
import numpy as np
from PIL import Image

SIDE = 16
"""Height and width of the frames, in pixels."""


def clip(seed: int, num_frames: int = 6, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Returns uint8 `[time, height, width, 3]`."""
    shape = (num_frames, height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def smooth(num_frames: int) -> np.ndarray:
    """Returns a clip that encoders keep well: the color tells the time."""
    frames = np.zeros((num_frames, SIDE, SIDE, 3), np.uint8)
    return frames + (np.arange(num_frames, dtype=np.uint8) * 4)[:, None, None, None]


def write_video(
    path,
    frames,
    codec="ffv1",
    form="bgr0",
    rate=25,
    times=None,
    title="",
    pixel_aspect=1,
    **options,
):
    """Writes frames `[time, height, width, 3]`, or 4 with alpha."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Puts the index to the front, so that files that are cut off keep it.
    first = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=first) as container:
        container.metadata["title"] = title
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], form
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        for number, array in enumerate(frames):
            given = "rgb24" if array.shape[-1] == 3 else "rgba"
            frame = av.VideoFrame.from_ndarray(array, format=given).reformat(format=form)
            frame.pts = number if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


def write_twins(folder, suffix, *arguments, **options):
    """Writes two equal videos, because a single one could not be split."""
    for name in "ab":
        write_video(folder / f"{name}{suffix}", *arguments, **options)


def write_pictures(folder, frames, names=None):
    folder.mkdir(parents=True, exist_ok=True)
    names = names or [f"{i}.png" for i in range(len(frames))]
    for name, frame in zip(names, frames, strict=True):
        Image.fromarray(frame).save(folder / name, quality=95)


def write_empty(folder, num: int):
    """Writes files that are listed although they hold no videos; returns `folder`."""
    folder.mkdir(exist_ok=True)
    for number in range(num):
        (folder / f"clip{number}.mp4").write_bytes(b"")
    return folder
