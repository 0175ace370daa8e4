"""What the predictor learns from: clips as poses and content, each encoded only once.

The encoders are finished when the predictor trains, so its batches need no frames. A data set of
recorded clips is encoded whole. Endless clips are encoded in sets of batches, which are used a
number of times before the next set is drawn.
"""

import functools
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from drnet_jax.base import sharding
from drnet_jax.base.arrays import Array
from drnet_jax.base.progress import progress_bar
from drnet_jax.data.source import DeviceSource, HostSource, Source, select
from drnet_jax.models import inference
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import NetworkState
from drnet_jax.training.feed import Feed

_FRAMES_AT_ONCE = 512
"""Recorded frames that are encoded at once, rounded up to a multiple of the number of devices."""


@flax.struct.dataclass
class PoseClips:
    """A batch of encoded clips.

    Attributes:
      poses: float32 `[batch, time, pose_dim]`.
      content: float32 `[batch, content_dim]`, of the last observed frame.
      lengths: int32 `[batch]`, the number of real frames of each clip; later poses repeat the last
        one. None if all frames are real.
    """

    poses: jax.Array
    content: jax.Array
    lengths: jax.Array | None = None


def encode_clips(
    networks: Networks,
    autoencoder: NetworkState,
    frames: Array,
    *,
    num_observed: int,
    with_content: bool,
) -> PoseClips:
    """Returns clips `[batch, time, height, width, channels]`, uint8 or float in [0, 1], encoded.

    Without content, `content_dim` is 0.
    """
    poses = inference.encode_pose(networks, autoencoder, frames)
    if not with_content:
        return PoseClips(poses, jnp.zeros((len(frames), 0)))
    content = inference.encode_content(networks, autoencoder, frames[:, num_observed - 1])
    return PoseClips(poses, content.vector)


def pose_feed(
    source: Source,
    networks: Networks,
    autoencoder: NetworkState,
    mesh: Mesh,
    *,
    batch_size: int,
    num_frames: int,
    num_observed: int,
    with_content: bool,
    batches_per_set: int,
    passes_per_set: int,
    max_bytes: float,
) -> Feed:
    """Returns the feed of `PoseClips`, split over the devices; nothing is encoded yet.

    Args:
      source: the data.
      networks: with the encoders.
      autoencoder: their finished state.
      mesh: all devices.
      batch_size: clips in a batch.
      num_frames: frames of a clip.
      num_observed: frames that a rollout observes; the content is that of the last of them.
      with_content: whether the predictor sees content; otherwise none is encoded.
      batches_per_set: batches of endless clips that are encoded together.
      passes_per_set: how many times training uses a set before it draws the next.
      max_bytes: poses and contents of recorded clips up to this size are kept in memory, larger
        ones in a temporary file.
    """
    encode = functools.partial(
        encode_clips, networks, num_observed=num_observed, with_content=with_content
    )
    if isinstance(source, DeviceSource):

        def draw(arrays: Any, autoencoder: NetworkState, number: int) -> PoseClips:
            frames = source.draw_clips(arrays, number, batch_size, num_frames)
            frames = jax.lax.with_sharding_constraint(frames, sharding.batch_split(mesh))
            return encode(autoencoder, frames)

        draw = functools.partial(jax.jit(draw), source.arrays, autoencoder)
        return _feed_of_sets(draw, mesh, batches_per_set, passes_per_set)

    def inputs(first: int, _) -> Iterator[PoseClips]:
        # Not within the generator, so that all is encoded before training shows its own progress.
        look_up = encode_all(
            source, networks, autoencoder, mesh, with_content=with_content, max_bytes=max_bytes
        )
        look_up = functools.partial(look_up, num_observed=num_observed)
        batches = source.train_clips(first, batch_size, num_frames, look_up)
        return (clips.replace(lengths=lengths) for clips, lengths in batches)

    return Feed(inputs, lambda batch, step: batch, steps_per_input=1)


def _feed_of_sets(
    draw: Callable[[int], PoseClips], mesh: Mesh, batches_per_set: int, passes_per_set: int
) -> Feed:
    """Returns a feed of the batches that `draw` returns by number, each used several times."""
    # The axis of batches comes before the one that is split over the devices.
    split = NamedSharding(mesh, PartitionSpec(None, *sharding.batch_split(mesh).spec))
    stack = jax.jit(
        lambda *batches: jax.tree.map(lambda *x: jnp.stack(x), *batches), out_shardings=split
    )
    steps_per_set = batches_per_set * passes_per_set

    def inputs(first: int, steps_per_call: int) -> Iterator[PoseClips]:
        held = clips = None
        for step in itertools.count(first, steps_per_call):
            if step // steps_per_set != held:
                held, clips = step // steps_per_set, None  # Makes room for the next set.
                numbers = range(held * batches_per_set, (held + 1) * batches_per_set)
                clips = stack(*[draw(number) for number in numbers])
            yield clips

    def batch(clips: PoseClips, step: jax.Array) -> PoseClips:
        batch = jax.tree.map(lambda x: x[step % batches_per_set], clips)
        return jax.lax.with_sharding_constraint(batch, sharding.batch_split(mesh))

    return Feed(inputs, batch, steps_per_input=steps_per_set)


def encode_all(
    source: HostSource,
    networks: Networks,
    autoencoder: NetworkState,
    mesh: Mesh,
    *,
    with_content: bool,
    max_bytes: float,
) -> Callable[..., PoseClips]:
    """Encodes every training frame of `source`; shows its progress.

    Returns:
      `look_up(numbers, times, num_observed)`, the `PoseClips` of clips `numbers`, int `[batch]`, at
      frames `times`, int `[batch, time]`, as NumPy arrays. It can be called from several threads.
    """
    counts = source.frame_counts("train")
    clips, starts = source.all_clips("train"), np.cumsum(counts) - counts
    numbers, total = np.repeat(np.arange(len(counts)), counts), int(counts.sum())
    times = np.arange(total) - starts[numbers]
    encode = functools.partial(encode_clips, networks, num_observed=1, with_content=with_content)
    # Each process encodes a part of the frames, and needs the codes of all.
    encode = jax.jit(encode, out_shardings=sharding.replicated(mesh))
    # At most `total` frames, so that small data sets are not padded to a whole batch.
    size = -(-min(_FRAMES_AT_ONCE, total) // mesh.size) * mesh.size
    table = None
    with progress_bar("encode", total, "frame") as bar:
        for begin in range(0, total, size):
            rows = np.arange(begin, begin + size) % total  # The last batch is filled up.
            own = rows[sharding.own_rows(size)]
            frames = source.frames("train", select(clips, numbers[own]), times[own][:, None])
            encoded = jax.device_get(encode(autoencoder, sharding.put_rows(frames, size, mesh)))
            vectors = np.concatenate([encoded.poses[:, 0], encoded.content], axis=1)
            if table is None:
                table = _allocate((total, vectors.shape[1]), max_bytes)
                pose_dim = encoded.poses.shape[-1]
            num = min(size, total - begin)
            table[begin : begin + num] = vectors[:num]
            bar.update(num)
    poses, contents = np.split(table, [pose_dim], axis=1)

    def look_up(numbers: np.ndarray, times: np.ndarray, num_observed: int) -> PoseClips:
        rows = starts[numbers][:, None] + times
        return PoseClips(poses[rows], contents[rows[:, num_observed - 1]])

    return look_up


def _allocate(shape: tuple[int, int], max_bytes: float) -> np.ndarray:
    """Returns an empty float32 array, in memory or in a temporary file."""
    if 4 * math.prod(shape) <= max_bytes:
        return np.empty(shape, np.float32)
    # The file has no name, so nothing is left behind when the process ends.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=shape)
