"""A trained model as a Python object: encode, decode and roll out your own frames."""

import functools

import jax
import jax.numpy as jnp
import ml_collections
from etils import epath

from drnet_jax.base.arrays import Array, Tree
from drnet_jax.models import inference
from drnet_jax.models.content import Content
from drnet_jax.models.rollout import compiled_rollout
from drnet_jax.models.state import NetworkState
from drnet_jax.runs.run import Run, create_run
from drnet_jax.runs.workdir import trained_settings


def load(workdir: epath.PathLike) -> "Model":
    """Returns the model of a workdir that has checkpoints of all its stages.

    Raises:
      FileNotFoundError: when `workdir` holds no run, or no checkpoint of a stage.
      ValueError: when its settings or checkpoints are damaged or do not match.
    """
    config = ml_collections.ConfigDict(trained_settings(workdir))
    return Model(create_run(config, workdir, with_data=False))


class Model:
    """Trained networks with frozen statistics; frames are uint8, or floats in [0, 1].

    Attributes:
      config: the settings of the run.
      variables: `params` and `batch_stats` of each network, by its name.
    """

    def __init__(self, run: Run):
        drnet, predictor = run.restore()
        self.config = run.config
        self._run = run
        self._autoencoder = drnet.autoencoder
        states: list[NetworkState] = [drnet.autoencoder, drnet.discriminator]
        states += [predictor.predictor] if predictor else []
        self.variables: dict[str, Tree] = {
            name: state.variables(name) for state in states for name in state.params
        }
        networks = run.networks
        self._content = jax.jit(functools.partial(inference.encode_content, networks))
        self._pose = jax.jit(functools.partial(inference.encode_pose, networks))
        self._decode = jax.jit(functools.partial(inference.decode, networks))

    def content(self, frames: Array) -> Content:
        """Returns the content of frames `[batch, (time,) height, width, channels]`.

        Its `vector` is `[batch, (time,) content_dim]`; U-Net models add feature maps in `skips`.
        """
        self._check_frames(frames, ndims=(4, 5))
        return self._content(self._autoencoder, frames)

    def pose(self, frames: Array) -> jax.Array:
        """Returns poses `[batch, (time,) pose_dim]`; frames as for `content`."""
        self._check_frames(frames, ndims=(4, 5))
        return self._pose(self._autoencoder, frames)

    def decode(self, content: Content, pose: Array) -> jax.Array:
        """Returns frames, float32 `[batch, (time,) height, width, channels]` in [0, 1].

        Args:
          content: as `content` returns it, of one frame for each clip or one for each pose.
          pose: `[batch, pose_dim]` or `[batch, time, pose_dim]`. A content without a time axis is
            used at every time.

        Raises:
          ValueError: for poses of another shape, or a content whose shape does not match them.
        """
        pose, vector = jnp.asarray(pose), content.vector
        sizes = self.config.model
        if pose.ndim == 3 and vector.ndim == 2:
            times = pose.shape[1]
            content = jax.tree.map(lambda x: x[:, None].repeat(times, axis=1), content)
        leading = content.vector.shape[:-1]
        if pose.shape != (*leading, sizes.pose_dim) or pose.ndim not in (2, 3):
            raise ValueError(
                f"Poses of shape {pose.shape} with contents of {vector.shape}; allowed: "
                f"[batch, (time,) {sizes.pose_dim}] with [batch, (time,) {sizes.content_dim}]."
            )
        return self._decode(self._autoencoder, content, pose)

    def rollout(self, frames: Array, num_steps: int) -> jax.Array:
        """Returns predicted frames, uint8 `[batch, num_steps, height, width, channels]`.

        Args:
          frames: `[batch, time, height, width, channels]`, the observed frames.
          num_steps: frames to generate, 1 or more.

        Raises:
          ValueError: for frames of another shape, no steps, or a model without a predictor.
        """
        if self._run.predictor is None:
            raise ValueError("This model was imported without a predictor, so it cannot roll out.")
        if num_steps < 1:
            raise ValueError(f"num_steps={num_steps}; allowed: 1 and above.")
        self._check_frames(frames, ndims=(5,))
        rollout = compiled_rollout(
            self._run.networks, self._run.predictor, num_steps, self.config.rollout.frames_at_once
        )
        return rollout(self._autoencoder, self.variables["predictor"], frames)

    def _check_frames(self, frames: Array, ndims: tuple[int, ...]) -> None:
        """Raises ValueError unless `frames` fit the model and have one of `ndims` axes."""
        if frames.dtype != jnp.uint8 and not jnp.issubdtype(frames.dtype, jnp.floating):
            raise ValueError(f"Frames of {frames.dtype}; allowed: uint8, or floats in [0, 1].")
        if frames.ndim not in ndims or frames.shape[-3:] != self._run.frame_shape:
            frame = ", ".join(map(str, self._run.frame_shape))
            allowed = [f"[batch, {'time, ' if n == 5 else ''}{frame}]" for n in ndims]
            raise ValueError(f"Frames of shape {frames.shape}; allowed: {' or '.join(allowed)}.")
