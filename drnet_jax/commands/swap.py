"""The content of one video with the motion of another."""

import io

import jax
import ml_collections
import numpy as np
from etils import epath

from drnet_jax.base import processes, stopping, wording
from drnet_jax.base.arrays import as_uint8
from drnet_jax.base.errors import input_errors
from drnet_jax.base.files import write_atomically
from drnet_jax.commands import generate
from drnet_jax.pictures import video


def run(
    config: ml_collections.ConfigDict, workdir: epath.PathLike, content_path: str, pose_path: str
) -> None:
    """Writes `samples/<content>_as_<pose>.mp4`, `.gif` and `.npz`; needs no data.

    The content is that of the middle frame of the clip at `content_path`; the poses are those of
    all frames of the clip at `pose_path`.

    Raises:
      InputError: for clips that cannot be read, impossible settings or missing checkpoints.
    """
    with input_errors():
        model = generate.open_model(config, workdir)
        contents = model.read(content_path)
        pose_frames, rate = model.read_timed(pose_path)
    stopping.doing("generating", "the trained model is saved")
    content_frame = contents[len(contents) // 2]
    content = model.content(content_frame)
    size = model.config.rollout.frames_at_once
    swapped = []
    for begin in range(0, len(pose_frames), size):
        poses = model.pose(pose_frames[begin : begin + size])
        swapped.append(jax.device_get(as_uint8(model.decode(content, poses))))
    if not processes.is_first():
        return
    swapped = np.concatenate(swapped)
    folder = epath.Path(workdir) / "samples"
    name = f"{generate.clip_name(content_path)}_as_{generate.clip_name(pose_path)}"
    buffer = io.BytesIO()
    arrays = {"frames": swapped, "content_frame": content_frame, "pose_frames": pose_frames}
    np.savez_compressed(buffer, **arrays)
    write_atomically(folder / f"{name}.npz", buffer.getvalue())
    animation = video.swap_animation(content_frame, pose_frames, swapped)
    generate.write_videos(folder, name, rate, (animation, animation))
    what = wording.count(len(swapped), "frame")
    print(f"{what} of {content_path} as in {pose_path}: {folder}/{name}.mp4, .gif and .npz.")
