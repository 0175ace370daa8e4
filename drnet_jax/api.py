"""A trained model as a Python object: encode, decode and roll out your own frames."""

import functools
import operator
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from drnet_jax.base import checked_json, prng, wording
from drnet_jax.base.arrays import Array, Tree
from drnet_jax.data import registry
from drnet_jax.data.readers import given_frames, inputs
from drnet_jax.models import inference
from drnet_jax.models.content import Content
from drnet_jax.models.rollout import compiled_rollout, rollout_in_chunks
from drnet_jax.models.state import NetworkState
from drnet_jax.runs import exported, sources
from drnet_jax.runs.run import Run, create_run
from drnet_jax.runs.workdir import trained_settings

BATCH_FRAMES = 128
"""The most frames that `Model.embed` encodes at once."""


def load(source: epath.PathLike) -> "Model":
    """Returns a trained model.

    Args:
      source: the workdir of a run that has checkpoints of all its stages; a folder that `export`
        wrote; either of them local or `gs://`; `hf://owner/name` for such a folder as a repository
        of Hugging Face, `hf://owner/name@revision` for one of its revisions (with the extra `hub`);
        or the name of a model that ships, one of `pretrained()`.

    Raises:
      FileNotFoundError: when there is no such model, or no checkpoint of a stage.
      ValueError: when its settings or weights are damaged or do not match.
    """
    folder = sources.locate(os.fspath(source))
    if exported.is_exported(folder):
        return Model(*exported.read(folder))
    config = ml_collections.ConfigDict(trained_settings(folder))
    return restore(create_run(config, folder, with_data=False))


def export(
    source: epath.PathLike,
    folder: epath.PathLike,
    *,
    dtype: str = "float16",
    formats: Sequence[str] = (),
) -> None:
    """Writes a trained model to a new `folder` that `load` reads.

    It holds the encoders, the decoder and the predictor, without the discriminator and the
    optimizers: `weights.safetensors`, `config.json`, `evaluation.json`, a model card `README.md`
    with its pictures. Folders of this machine are taken out of the settings. With `formats`, it
    also holds the networks as programs for other runtimes, see docs/export.md.

    Args:
      source: a model, as `load` takes it.
      folder: local or `gs://`.
      dtype: of the stored weights, `float16` or `float32`; they are float32 when loaded.
      formats: of the programs, none or some of `stablehlo` and `onnx` (with the extra `onnx`);
        their weights are float32.

    Raises:
      FileNotFoundError: when there is no such model, or no checkpoint of a stage.
      ValueError: for another dtype or format, a folder that holds something, or damaged files.
    """
    source = sources.locate(os.fspath(source))
    exported.export(source, epath.Path(folder), dtype=dtype, formats=formats)


def restore(run: Run) -> "Model":
    """Returns the model in the newest checkpoints of `run`.

    Raises:
      FileNotFoundError, ValueError: as `Run.restore` does.
    """
    drnet, predictor = run.restore()
    steps = [int(state.step) for state in (drnet, predictor) if state]
    return Model(run, run.variables(drnet, predictor), steps)


def pretrained() -> dict[str, str]:
    """Returns the models that ship with the package: a line on each, by name."""
    found = {}
    for folder in sorted(sources.PRETRAINED.iterdir()):
        if exported.is_exported(folder):
            found[folder.name] = checked_json.read(folder / "evaluation.json")["data"]["note"]
    return found


class Model:
    """Trained networks with frozen statistics.

    Frames are uint8, or floats in [0, 1]: an array, or a list of arrays, PIL images and paths of
    image files. Pictures are cropped and resized as those of the training data; arrays must have
    the right size. Results have the leading axes that the frames have: none for a single frame.
    Models can be pickled, with their weights.

    Attributes:
      config: the settings of the run.
      video_form: the form of a frame, and the frames per second that `read` takes; None for all.
      variables: `params` and `batch_stats` of each network, by its name.
    """

    def __init__(self, run: Run, variables: dict[str, Tree], steps: list[int]):
        """Models come from `load`; the arguments are its settings, weights and finished steps."""
        self.config = run.config
        self.variables = variables
        self._run = run
        self._steps = steps  # Finished ones, of each stage.
        self.video_form = registry.user_video_form(run.config.data)
        names = ("content_encoder", "pose_encoder", "decoder")
        self._autoencoder = NetworkState(
            params={name: variables[name]["params"] for name in names},
            batch_stats={name: variables[name]["batch_stats"] for name in names},
            opt_state=(),
        )
        networks = run.networks
        self._content = jax.jit(functools.partial(inference.encode_content, networks))
        self._pose = jax.jit(functools.partial(inference.encode_pose, networks))
        self._decode = jax.jit(functools.partial(inference.decode, networks))

    def __getstate__(self) -> dict[str, Any]:
        # Compiled programs and devices belong to this process.
        return {
            "config": self.config.to_dict(),
            "workdir": str(self._run.workdir),
            "variables": jax.device_get(self.variables),
            "steps": self._steps,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        config = ml_collections.ConfigDict(state["config"])
        run = create_run(config, state["workdir"], with_data=False)
        self.__init__(run, jax.tree.map(jnp.asarray, state["variables"]), state["steps"])

    def __repr__(self) -> str:
        height, width, channels = self._run.frame_shape
        model, predictor = self.config.model, self.config.predictor
        steps = " and ".join(f"{number:,}" for number in self._steps)
        observed = wording.count(predictor.num_observed, "observed frame")
        rollouts = f"predicts after {observed}" if self._run.predictor else "has no predictor"
        return (
            f"Model of {self._run.workdir}: {self.config.data.name}, frames [{height}, {width}, "
            f"{channels}], content [{model.content_dim}], pose [{model.pose_dim}]\n"
            f"  {model.content_encoder} and {model.pose_encoder} encoders, trained for {steps} "
            f"steps; {rollouts}"
        )

    @functools.cached_property
    def scores(self) -> dict[str, Any] | None:
        """The scores in `evaluation.json`, see docs/evaluation.md; None if it was not scored."""
        path = self._run.workdir / "evaluation.json"
        return checked_json.read(path) if path.exists() else None

    def read(self, path: str | os.PathLike, num_frames: int | None = None) -> np.ndarray:
        """Returns the frames of a video as this model takes them, uint8 `[time, height, width, *]`.

        Size, crop, background and frame rate are those with which the training data's reader would
        take them.

        Args:
          path: a video, a GIF, an image file, or a folder of numbered images.
          num_frames: the most frames to return; None for all.

        Raises:
          FileNotFoundError: there is no such file or folder.
          ValueError: it cannot be read, or the folder holds several clips or none.
        """
        return self.read_timed(path, num_frames)[0]

    def read_timed(
        self, path: str | os.PathLike, num_frames: int | None = None
    ) -> tuple[np.ndarray, float | None]:
        """Returns what `read` does and the frames per second, None for images and single frames."""
        return inputs.read(pathlib.Path(path), *self.video_form, num_frames)

    def held_out_clips(self, num_clips: int, num_frames: int) -> np.ndarray:
        """Returns clips of the test split of the model's data set, uint8 `[clips, time, ...]`.

        The data are prepared if necessary, as training would do it. Which clips are returned
        depends only on the seed of the settings and on the arguments.

        Args:
          num_clips: how many clips; they are drawn at random, and a small data set may repeat some.
          num_frames: the most frames of each, fewer if clips of the data set are shorter.

        Raises:
          FileNotFoundError, ValueError: the data are missing, or differ from those of training.
        """
        config = ml_collections.ConfigDict(self.config.to_dict())
        run = create_run(config, self._run.workdir)
        times = np.arange(min(num_frames, run.source.max_frames))
        key = prng.stream(run.key, "held-out clips")
        clips = run.source.sample("test", key, num_clips, num_frames=len(times))
        return run.source.frames("test", clips, times)

    def content(self, frames: Any) -> Content:
        """Returns the content of frames `[(batch, (time,)) height, width, channels]`.

        Its `vector` is float32 `[(batch, (time,)) content_dim]`; U-Net models add feature maps in
        `skips`.

        Raises:
          ValueError: for frames of another size or dtype, floats outside [0, 1], or no frames.
        """
        return self._content(self._autoencoder, self._frames(frames, fewest=3))

    def pose(self, frames: Any) -> jax.Array:
        """Returns poses, float32 `[(batch, (time,)) pose_dim]`; frames as for `content`."""
        return self._pose(self._autoencoder, self._frames(frames, fewest=3))

    def embed(self, frames: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the content vectors and the poses of frames, those that `--mode=embed` writes.

        Frames are encoded in batches, so the networks take no more memory for more frames.

        Args:
          frames: as for `content`; or the path of a clip, as `read` takes it.

        Returns:
          float32 `[(batch, (time,)) content_dim]` and `[(batch, (time,)) pose_dim]`.

        Raises:
          FileNotFoundError, ValueError: as `content` and `read` do.
        """
        if isinstance(frames, str | os.PathLike):
            frames = self.read(frames)
        frames = self._frames(frames, fewest=3)
        leading, frame = frames.shape[:-3], frames.shape[-3:]
        flat = np.asarray(frames).reshape(-1, *frame)
        vectors = []
        for begin in range(0, len(flat), BATCH_FRAMES):
            batch = flat[begin : begin + BATCH_FRAMES]
            # All batches have one size, so that one program encodes them.
            padded = np.pad(batch, ((0, min(len(flat), BATCH_FRAMES) - len(batch)), *[(0, 0)] * 3))
            encoded = jax.device_get((self.content(padded).vector, self.pose(padded)))
            vectors.append([np.asarray(array[: len(batch)], np.float32) for array in encoded])
        content, pose = (np.concatenate(parts) for parts in zip(*vectors, strict=True))
        return tuple(x.reshape(*leading, x.shape[-1]) for x in (content, pose))

    def decode(self, content: Content, pose: Array) -> jax.Array:
        """Returns frames, float32 `[(batch, (time,)) height, width, channels]` in [0, 1].

        Args:
          content: as `content` returns it.
          pose: `[(batch, (time,)) pose_dim]`. The leading axes of contents and poses are matched
            from the left; where one of the two has none, or has length 1, it is repeated. So a
            content without a time axis is used at every time, and one content in any pose.

        Raises:
          ValueError: for poses of another shape, or a content whose shape does not match them.
        """
        pose, vector = jnp.asarray(pose), content.vector
        sizes = self.config.model
        leading = _common_axes(vector.shape[:-1], pose.shape[:-1])
        if leading is None or pose.shape[-1:] != (sizes.pose_dim,) or len(leading) > 2:
            raise ValueError(
                f"Poses of shape {pose.shape} with contents of {vector.shape}; allowed: "
                f"[batch, (time,) {sizes.pose_dim}] with [batch, (time,) {sizes.content_dim}]."
            )
        content = jax.tree.map(lambda x: _spread(x, vector.ndim - 1, leading), content)
        return self._decode(self._autoencoder, content, _spread(pose, pose.ndim - 1, leading))

    def rollout(self, frames: Any, num_steps: int) -> jax.Array:
        """Returns predicted frames, uint8 `[(batch,) num_steps, height, width, channels]`.

        Args:
          frames: `[(batch,) time, height, width, channels]`, the observed frames.
          num_steps: frames to generate, 1 or more.

        Raises:
          ValueError: for frames as in `content`, no steps, or a model without a predictor.
        """
        clips, steps, is_single = self._rollout_inputs(frames, num_steps)
        rollout = compiled_rollout(
            self._run.networks, self._run.predictor, steps, self.config.rollout.frames_at_once
        )
        generated = rollout(self._autoencoder, self.variables["predictor"], clips)
        return generated[0] if is_single else generated

    def rollout_in_chunks(self, frames: Any, num_steps: int) -> Iterator[jax.Array]:
        """Yields the frames of `rollout` in chunks along time, so that memory does not grow.

        Arguments and errors are those of `rollout`; `config.rollout.frames_at_once` bounds the
        frames of all clips in a chunk, uint8 `[(batch,) chunk, height, width, channels]`.
        """
        clips, steps, is_single = self._rollout_inputs(frames, num_steps)
        chunks = rollout_in_chunks(
            *(self._run.networks, self._run.predictor),
            *(self._autoencoder, self.variables["predictor"], clips),
            *(steps, self.config.rollout.frames_at_once),
        )
        return (chunk[0] if is_single else chunk for chunk in chunks)

    def _rollout_inputs(self, frames: Any, num_steps: int) -> tuple[Array, int, bool]:
        """Returns checked clips with a batch axis, checked steps, and whether it is one clip."""
        if self._run.predictor is None:
            raise ValueError("This model was imported without a predictor, so it cannot roll out.")
        try:
            steps = operator.index(num_steps)
        except TypeError:
            steps = 0
        if steps < 1:
            raise ValueError(f"num_steps={num_steps!r}; allowed: whole numbers, 1 and above.")
        frames = self._frames(frames, fewest=4)
        return (frames, steps, False) if frames.ndim == 5 else (frames[None], steps, True)

    def _frames(self, frames: Any, fewest: int) -> Array:
        """Returns `frames` as an array that has from `fewest` to 5 axes and fits the model."""
        array = given_frames.as_array(frames, self.video_form[0])
        if not fewest <= array.ndim <= 5:
            axes = ("", "time, ", "batch, time, ")[fewest - 3 :]
            size = ", ".join(map(str, self._run.frame_shape))
            allowed = " or ".join(f"[{names}{size}]" for names in axes)
            raise ValueError(f"Frames of shape {array.shape}; allowed: {allowed}.")
        return array


def _common_axes(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    """Returns the leading axes that both can be repeated to, or None if they do not match."""
    num = max(len(first), len(second))
    pair = (shape + (1,) * (num - len(shape)) for shape in (first, second))
    try:
        return np.broadcast_shapes(*pair)
    except ValueError:
        return None


def _spread(array: Array, num_leading: int, leading: tuple[int, ...]) -> jax.Array:
    """Returns `array` with its first `num_leading` axes repeated to `leading`."""
    own, rest = array.shape[:num_leading], array.shape[num_leading:]
    array = array.reshape(*own, *(1,) * (len(leading) - num_leading), *rest)
    return jnp.broadcast_to(array, (*leading, *rest))
