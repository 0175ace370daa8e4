"""Renders the videos that docs/own_videos.md trains on: a shape that slides over a floor and turns.

  python -m experiments.own_videos --folder=shapes --num_videos=200
  python -m experiments.own_videos --workdir=runs/shapes

The second command measures a model that was trained on them: what its decoder leaves of the object
where the content frame had it, and how much of it appears where the pose wants it.
"""

from collections.abc import Iterable

import numpy as np
from absl import app, flags, logging
from etils import epath

import drnet_jax
from drnet_jax.data import registry
from drnet_jax.data.preparation.prepare import prepare_clips
from drnet_jax.data.rendering import backdrops
from drnet_jax.data.rendering.scene import Camera, Light, Material, RandomModel, draw, rotation
from drnet_jax.pictures import video

SIDE = 128  # Pixels, larger than any model in the guide takes, as real videos are.
FRAMES_PER_SECOND = 25
GAP = 15  # Frames between the content and the pose that are decoded together.
NOISE = 0.08  # Larger differences from the background belong to the object.
_REACH = 0.62  # How far the middle of a shape goes from the middle of the floor, in meters.


def render(number: int, num_frames: int, *, panning: bool) -> np.ndarray:
    """Returns video `number`, uint8 `[num_frames, SIDE, SIDE, 3]`.

    Shape, colors and background are its content; where the shape is and how it is turned is pose.
    """
    rng = np.random.default_rng([7, number])
    shape = _shape(RandomModel(rng))
    time = np.arange(num_frames) / FRAMES_PER_SECOND
    # A path of its own for each video, which never leaves the picture.
    speed, phase = rng.uniform(1.2, 3, 2), rng.uniform(0, 2 * np.pi, 2)
    x, z = _REACH * np.sin(speed * time[:, None] + phase).T
    turns = rng.uniform(0, 2 * np.pi) + rng.uniform(1, 2) * rng.choice([-1, 1]) * time
    # A panning camera crops a square that moves out of a larger picture.
    side = SIDE * 3 // 2 if panning else SIDE
    half = 1.05 * side / SIDE
    view = Camera((0.0, 0.2, 0.0), 0, 35, 6, half, half).view(Light(-30, 55), floor=0.0)
    moved = [shape.moved(rotation("y", t), (x, 0, z)) for t, x, z in zip(turns, x, z, strict=True)]
    tint = rng.uniform(0.6, 1, 3).astype(np.float32)
    scenes = [model.scene() for model in moved]
    frames = draw(scenes, [view] * num_frames, backdrops.outdoors((7, number), side) * tint)
    spare = side - SIDE
    swings = np.sin(rng.uniform(1.5, 3, 2) * time[:, None] + rng.uniform(0, 2 * np.pi, 2))
    corners = np.round(spare / 2 * (1 + swings)).astype(int)
    pairs = zip(frames, corners, strict=True)
    return np.stack([frame[y : y + SIDE, x : x + SIDE] for frame, (y, x) in pairs])


def _shape(model: RandomModel) -> RandomModel:
    """Returns a body with a nose, which tells how it is turned."""
    body, nose = (Material(tuple(model.rng.uniform(0.1, 0.95, 3))) for _ in range(2))
    half = model.rng.uniform([0.16, 0.16, 0.16], [0.28, 0.32, 0.28])
    kind = ("box", "ellipsoid", "cylinder")[model.pick(3)]
    model.add(kind, (0, half[1], 0), half, body)
    model.ellipsoid((0, half[1], half[2]), (0.1, 0.1, 0.14), nose)
    return model


def shares(model: drnet_jax.Model, clips: Iterable[np.ndarray]) -> dict[str, float]:
    """Returns how much of a moving object the decoder leaves behind and puts in its place.

    A clip's content at one time is decoded in its own pose `GAP` frames later, so the true frame
    is known. What a frame shows besides the clip's background, its median frame, is the object.

    Args:
      model: a trained model.
      clips: uint8 `[time, height, width, channels]`, of a camera that stands still.

    Returns:
      `left`: the share of the object that is still seen where only the content frame has it; 0 is
        right, and 1 copies the content frame.
      `painted`: the share that is seen where the object should be; 1 is right.
    """
    left, painted = [], []
    for clip in clips:
        frames = np.float32(clip) / 255
        background = np.median(frames, axis=0)
        is_object = np.abs(frames - background).max(-1) > NOISE
        for start in range(0, len(frames) - GAP, 10):
            old, new = start, start + GAP
            decoded = np.asarray(model.decode(model.content(frames[old]), model.pose(frames[new])))
            places = (is_object[old] & ~is_object[new], old, left), (is_object[new], new, painted)
            for place, time, found in places:
                wanted = (frames[time] - background)[place]
                if wanted.size:
                    seen = (decoded - background)[place]
                    found.append(np.sum(seen * wanted) / np.sum(np.square(wanted)))
    return {"left": float(np.mean(left)), "painted": float(np.mean(painted))}


def _measure(workdir: str) -> None:
    model = drnet_jax.load(workdir)
    builder = registry.make_builder(model.config.data)
    prepare_clips(builder, max_skipped=model.config.data.max_skipped)
    for split in ("train", "test"):
        clips = [record["frames"] for record in list(builder.as_data_source(split))[:25]]
        found = shares(model, clips)
        print(f"{split}: left behind {found['left']:.2f}, painted {found['painted']:.2f}")


def main(argv: list[str]) -> None:
    """Writes the videos as MP4, or measures a model."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    logging.set_verbosity(logging.WARNING)
    given = flags.FLAGS
    if given.workdir:
        _measure(given.workdir)
        return
    folder = epath.Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(given.num_videos):
        frames = render(number, given.num_frames, panning=given.camera == "panning")
        video.write_mp4(folder / f"{number:03d}.mp4", frames, FRAMES_PER_SECOND)
    print(f"{given.num_videos} videos are in {folder}.")


def define_flags() -> None:
    """Declares the command line; not on import, because scripts share names of flags."""
    flags.DEFINE_string("folder", "shapes", "Where the videos go.")
    flags.DEFINE_integer("num_videos", 200, "How many videos.", lower_bound=2)
    flags.DEFINE_integer("num_frames", 60, "Frames of each video.", lower_bound=2)
    flags.DEFINE_enum(
        "camera", "still", ["still", "panning"], "Whether the background moves through the picture."
    )
    flags.DEFINE_string("workdir", None, "A run to measure; nothing is rendered then.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
