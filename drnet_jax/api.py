"""A trained model in a program: content, pose, decoding and rollouts of one's own frames."""

import functools

import jax
import ml_collections
from etils import epath

from drnet_jax import run as run_lib
from drnet_jax.arrays import Array, Tree, as_float
from drnet_jax.nets.content import Content
from drnet_jax.rollout import make_rollout
from drnet_jax.state import Player


def load(workdir: epath.PathLike) -> "Model":
    """Returns the model of a workdir that training has finished, or at least begun both stages.

    Raises:
      FileNotFoundError: when `workdir` holds no run, or no checkpoint of a stage.
      ValueError: when its records are damaged or do not fit each other.
    """
    run_lib.require_trained(workdir)
    stored = run_lib.stored_config(epath.Path(workdir))
    return Model(run_lib.create(ml_collections.ConfigDict(stored), workdir, with_data=False))


class Model:
    """Trained networks with frozen statistics; frames are uint8, or floats in [0, 1].

    Attributes:
      config: the settings of the run.
      variables: all arrays, `params` and `batch_stats` by name of the network.
    """

    def __init__(self, run: run_lib.Run):
        drnet, predictor = run.restore()
        self.config = run.config
        self._run = run
        self._main = drnet.main
        players: list[Player] = [drnet.main, drnet.discriminator]
        players += [predictor.predictor] if predictor else []
        self.variables: dict[str, Tree] = {
            name: player.variables(name) for player in players for name in player.params
        }
        self._content = self._jit("content_encoder")
        self._pose = self._jit("pose_encoder")
        self._decode = self._jit("decoder")

    def _jit(self, name: str):
        module = getattr(self._run.networks, name)
        return jax.jit(functools.partial(module.apply, train=False))

    def content(self, frames: Array) -> Content:
        """Returns the content of frames `[batch, (time,) height, width, channels]`.

        Its `vector` is `[batch, (time,) content_dim]`; U-Net models add feature maps in `skips`.
        """
        return self._over_frames(self._content, "content_encoder", frames)

    def pose(self, frames: Array) -> jax.Array:
        """Returns poses `[batch, (time,) pose_dim]`; frames as for `content`."""
        return self._over_frames(self._pose, "pose_encoder", frames)

    def decode(self, content: Content, pose: Array) -> jax.Array:
        """Returns frames, float32 `[batch, (time,) height, width, channels]` in [0, 1].

        Args:
          content: of `[batch, ...]` frames, or of `[batch, time, ...]` frames as many as the poses.
          pose: `[batch, pose_dim]` or `[batch, time, pose_dim]`; one content goes with all times.
        """
        if pose.ndim == 2:
            return self._decode(self.variables["decoder"], content, pose)
        batch_size, num_times = pose.shape[:2]
        if content.vector.ndim == 2:
            content = jax.tree.map(lambda x: x[:, None].repeat(num_times, axis=1), content)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (content, pose))
        frames = self._decode(self.variables["decoder"], *flat)
        return frames.reshape(batch_size, num_times, *frames.shape[1:])

    def rollout(self, frames: Array, num_steps: int) -> jax.Array:
        """Returns what follows `frames`, uint8 `[batch, num_steps, height, width, channels]`.

        Args:
          frames: `[batch, time, height, width, channels]`, the observed ones.
          num_steps: how many to generate, 1 or more.

        Raises:
          ValueError: for frames of another shape, no steps, or a model without a predictor.
        """
        if self._run.predictor is None:
            raise ValueError("This model was imported without a predictor: it cannot roll out.")
        if num_steps < 1:
            raise ValueError(f"num_steps={num_steps}; allowed: 1 and above.")
        self._check_frames(frames, with_time=(5,))
        return self._rollout(num_steps)(self._main, self.variables["predictor"], frames)

    @functools.lru_cache(maxsize=8)  # noqa: B019 - a model lives as long as its program.
    def _rollout(self, num_steps: int):
        chunk_size = min(num_steps, self.config.rollout.chunk_size)
        run = self._run
        return jax.jit(
            make_rollout(run.networks, run.predictor, num_steps=num_steps, chunk_size=chunk_size)
        )

    def _over_frames(self, encode, name: str, frames: Array):
        self._check_frames(frames, with_time=(4, 5))
        leading = frames.shape[:-3]
        flat = as_float(frames).reshape(-1, *frames.shape[-3:])
        encoded = encode(self.variables[name], flat)
        return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), encoded)

    def _check_frames(self, frames: Array, with_time: tuple[int, ...]) -> None:
        size, channels = self.config.data.image_size, self._run.generator.channels
        if frames.ndim not in with_time or frames.shape[-3:] != (size, size, channels):
            frame = f"{size}, {size}, {channels}"
            allowed = [f"[batch, {'time, ' if n == 5 else ''}{frame}]" for n in with_time]
            raise ValueError(f"Frames of shape {frames.shape}; allowed: {' or '.join(allowed)}.")
