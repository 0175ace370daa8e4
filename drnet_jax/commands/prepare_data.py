"""A data set made ready ahead of training, with a card and a contact sheet to look at."""

import functools
from collections.abc import Callable

import jax
import ml_collections
import numpy as np
from etils import epath

from drnet_jax.base import prng, sharding
from drnet_jax.data import registry
from drnet_jax.data.preparation.prepare import prepare_clips
from drnet_jax.pictures import grids as viz
from drnet_jax.runs import checks as settings

NUM_SHOWN_CLIPS = 8
SHOWN_TIMES = np.arange(10) * 5


def prepare(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> Callable[[], None]:
    """Prepares the data of `config`, and returns what says where they are.

    Args:
      config: settings of which only those of the data count.
      workdir: not used; prepared data lie in `config.data.data_dir`, for all runs.

    Raises:
      ValueError: for settings that cannot be used.
      OSError: for files that are not there.
    """
    del workdir
    settings.check(config.to_dict())
    if config.data.name == registry.MOVING_MNIST:
        return functools.partial(print, _prepare_moving_mnist(config))
    builder = registry.make_builder(config.data)
    registry.warn_of_stand_in(builder)
    folder = prepare_clips(builder, max_skipped=config.data.max_skipped)
    files = "\n".join(f"  {folder / name}" for name in ("card.md", "contact_sheet.png"))
    return functools.partial(print, f"{builder.CARD.title}, ready for training:\n{files}")


def _prepare_moving_mnist(config: ml_collections.ConfigDict) -> str:
    """Prepares the digits, and draws clips: in training they are made anew for every batch."""
    source = registry.open_source(config.data, config.seed, sharding.data_mesh())
    key = prng.stream(prng.root(config.seed), "contact sheet")
    clips = source.sample("train", key, NUM_SHOWN_CLIPS)
    frames = jax.device_get(source.frames("train", clips, SHOWN_TIMES))
    path = epath.Path(config.data.data_dir).expanduser() / "moving_mnist" / "contact_sheet.png"
    viz.write_png(path, viz.clips(frames, SHOWN_TIMES))
    return f"Moving MNIST, ready for training, {source.note}:\n  {path}"
