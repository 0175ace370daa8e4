"""Swap grids and long rollouts of held-out clips, as pictures, videos and arrays."""

import functools
import io
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from drnet_jax import api, report
from drnet_jax.base import prng, processes, sharding, stopping, wording
from drnet_jax.base.arrays import as_uint8
from drnet_jax.base.errors import input_errors
from drnet_jax.base.files import write_atomically
from drnet_jax.data import source as source_lib
from drnet_jax.data.source import Clips
from drnet_jax.evaluation import collapse, held_out
from drnet_jax.models import inference
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import DrnetState, NetworkState, PredictorState
from drnet_jax.pictures import grids, video
from drnet_jax.runs import memory
from drnet_jax.runs.run import Run, create_run, open_trained
from drnet_jax.runs.workdir import trained_settings

STRIP_STEPS = (6, 10, 25, 50, 100, 250, 500, 1000)
"""Time steps in the strip: those at the right of the paper's Figure 3, and one more."""

NUM_GRID_CLIPS = 8
NUM_SHOWN_CLIPS = 5
"""Clips of a rollout that are drawn; the arrays hold all of them."""

SAMPLE_STEPS = 95
"""Length of the rollouts that are drawn while training."""

NO_TRUTH = 60
"""Gray level of frames past the end of a clip."""


def run(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> None:
    """Writes a swap grid and rollouts of a trained workdir, and writes its report again.

    Raises:
      InputError: for impossible settings, those of another run, or missing checkpoints.
    """
    with input_errors():
        run, drnet, predictor = open_trained(config, workdir)
        memory.check(run, memory.rollout_needs)
    if processes.is_first():
        write(run, drnet, predictor)
        report.refresh(run.workdir)


def run_on_input(config: ml_collections.ConfigDict, workdir: epath.PathLike, path: str) -> None:
    """Writes a rollout that continues the user's own clip at `path` to `samples/`; needs no data.

    Raises:
      InputError: for a clip that is too short or cannot be read, or as `run` does.
    """
    with input_errors():
        model = open_model(config, workdir)
        num_observed = model.config.predictor.num_observed
        num_steps = model.config.rollout.num_steps
        frames, rate = model.read_timed(path, num_observed + num_steps)
        if len(frames) < num_observed:
            found = wording.count(len(frames), "frame")
            raise ValueError(f"{path} has {found}; allowed: at least {num_observed}, to observe.")
        generated = model.rollout(frames[:num_observed], num_steps)
    if not processes.is_first():
        return
    observed, truth = frames[None, :num_observed], frames[None, num_observed:]
    folder = epath.Path(workdir) / "samples"
    name = f"{clip_name(path)}_rollout"
    generated = jax.device_get(generated)[None]
    _write_arrays(folder / f"{name}.npz", observed, generated, truth)
    truth = truth if truth.shape[1] else None
    write_videos(folder, name, rate, _animations(observed, generated, truth))
    what = wording.count(num_steps, "generated frame")
    print(f"{what} after {path} are in {folder}, as {name}.mp4, .gif and .npz.")


def open_model(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> api.Model:
    """Returns the trained model of `workdir` with the settings `config`, without its data.

    Raises:
      FileNotFoundError, ValueError: as `api.load` does.
    """
    trained_settings(workdir)
    return api.restore(create_run(config, workdir, with_data=False))


def clip_name(path: str) -> str:
    """Returns the name of files that are about the clip at `path`."""
    return pathlib.Path(path).resolve().stem


def write_videos(
    folder: epath.Path, name: str, rate: float | None, animations: tuple[np.ndarray, np.ndarray]
) -> None:
    """Writes the first of `animations` as `name.mp4` and the second as `name.gif`.

    `rate` is the frames per second; None is `video.FRAMES_PER_SECOND`.
    """
    rate = rate or video.FRAMES_PER_SECOND
    video.write_mp4(folder / f"{name}.mp4", animations[0], rate)
    video.write_gif(folder / f"{name}.gif", animations[1], rate)


def _animations(
    observed: np.ndarray, generated: np.ndarray, truth: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a rollout for an MP4 and for a GIF, which skips steps much earlier.

    A GIF stores nearly every frame in full.
    """
    last = observed.shape[1] + generated.shape[1]
    steps = video.playback_steps(last, dense=1000), video.playback_steps(last)
    return tuple(video.rollout_animation(observed, generated, truth, s) for s in steps)


def _write_arrays(
    path: epath.Path, observed: np.ndarray, generated: np.ndarray, truth: np.ndarray
) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        frames=np.concatenate([observed, generated], axis=1),
        truth=np.concatenate([observed, truth], axis=1),
    )
    write_atomically(path, buffer.getvalue())


def write(run: Run, drnet: DrnetState, predictor: PredictorState | None) -> None:
    """Writes the final pictures and arrays to `samples/` of the run."""
    stopping.doing("generating", "the trained model is saved")
    write_swap_grid(run, drnet, "swap_grid.png")
    if predictor is None:
        print(f"A swap grid is in {run.workdir / 'samples'}; no rollouts without a predictor.")
        return
    observed, generated, truth = roll_out(
        run, drnet, predictor, run.config.rollout.num_clips, run.config.rollout.num_steps
    )
    folder = run.workdir / "samples"
    _write_arrays(folder / "rollout.npz", observed, generated, truth)
    _write_strip(folder / "rollout_strip.png", observed, generated, truth)
    played = [array[:NUM_SHOWN_CLIPS] for array in (observed, generated, truth)]
    write_videos(folder, "rollout", None, _animations(*played))
    clips = wording.count(len(generated), "clip")
    print(f"{generated.shape[1]} generated frames of {clips} are in {folder}.")


def write_sample(run: Run, drnet: DrnetState, predictor: PredictorState | None, name: str) -> None:
    """Writes a picture during training: a swap grid, or a rollout once there is a predictor."""
    if predictor is None:
        write_swap_grid(run, drnet, name)
        return
    observed, generated, truth = roll_out(
        run, drnet, predictor, num_clips=3, num_steps=SAMPLE_STEPS
    )
    _write_strip(run.workdir / "samples" / name, observed, generated, truth)


def write_swap_grid(run: Run, state: DrnetState, name: str) -> None:
    """Writes the left part of the paper's Figure 3: poses from the top, contents from the left."""
    contents = _clips(run, "swap grid content", NUM_GRID_CLIPS)
    # A clip may come again, at another time.
    key = prng.stream(run.key, "swap grid pose")
    poses = run.source.sample("test", key, NUM_GRID_CLIPS)
    last_observed = np.array([run.config.predictor.num_observed - 1])
    contents = run.source.frames("test", contents, last_observed)[:, 0]
    poses = run.source.frames("test", poses, last_observed)[:, 0]
    autoencoder = sharding.on_first_device(state.autoencoder)
    swapped = jax.device_get(_swap_program(run.networks)(autoencoder, contents, poses))
    if int(state.step) >= run.config.evaluation.collapse_step:
        collapse.warn_if_alike(int(state.step), swapped, np.concatenate([contents, poses]))
    image = grids.swap_grid(poses, contents, swapped)
    grids.write_png(run.workdir / "samples" / name, image)


@functools.lru_cache(maxsize=4)
def _swap_program(networks: Networks) -> Callable[..., jax.Array]:
    """Returns the compiled program that decodes every content in every pose.

    It returns uint8 `[contents, poses, height, width, channels]`.
    """

    def swap(autoencoder: NetworkState, content_frames: jax.Array, pose_frames: jax.Array):
        content = inference.encode_content(networks, autoencoder, content_frames)
        pose = inference.encode_pose(networks, autoencoder, pose_frames)
        num_contents, num_poses = len(content_frames), len(pose_frames)
        # Both become [contents, poses, ...].
        content = jax.tree.map(lambda x: x[:, None].repeat(num_poses, axis=1), content)
        pose = jnp.broadcast_to(pose, (num_contents, *pose.shape))
        return as_uint8(inference.decode(networks, autoencoder, content, pose))

    return jax.jit(swap)


def roll_out(
    run: Run, drnet: DrnetState, predictor: PredictorState, num_clips: int, num_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns observed frames, the generated ones after them, and the true ones, all uint8.

    Shapes are `[num_clips, num_observed, height, width, channels]` and twice
    `[num_clips, num_steps, height, width, channels]`; the clips are of the test split, and fewer
    if it has fewer. Past the end of a clip the true frames are `NO_TRUTH`.
    """
    num_frames = min(run.config.predictor.num_observed + num_steps, run.source.max_frames)
    clips = _clips(run, "rollout", num_clips, num_frames)
    return held_out.roll_out(run, drnet, predictor, clips, num_steps, past_end=NO_TRUTH)


def _clips(run: Run, stream: str, num_clips: int, num_frames: int = 1) -> Clips:
    """Returns random test clips of at least `num_frames` frames, or all if there are fewer."""
    known = run.source.all_clips("test", num_frames)
    if known is not None:  # No clip is shown twice.
        num_clips = min(num_clips, source_lib.num_clips(known))
    return run.source.sample("test", prng.stream(run.key, stream), num_clips, num_frames=num_frames)


def _write_strip(path, observed: np.ndarray, generated: np.ndarray, truth: np.ndarray) -> None:
    last = observed.shape[1] + generated.shape[1]
    steps = [step for step in STRIP_STEPS if step <= last] or [last]
    shown = (array[:NUM_SHOWN_CLIPS] for array in (observed, generated, truth))
    grids.write_png(path, grids.rollout_strip(*shown, steps))
