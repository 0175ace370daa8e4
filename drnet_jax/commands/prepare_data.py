"""Preparation of a data set ahead of training, with a card and a contact sheet to look at."""

import ml_collections
import numpy as np
from etils import epath

from drnet_jax.base import prng, processes, sharding
from drnet_jax.base.errors import input_errors
from drnet_jax.data import registry
from drnet_jax.data.preparation.prepare import prepare_clips
from drnet_jax.pictures import grids
from drnet_jax.runs import checks

NUM_SHOWN_CLIPS = 8
SHOWN_TIMES = np.arange(10) * 5


def run(config: ml_collections.ConfigDict) -> None:
    """Prepares the data of `config` in `config.data.data_dir`, and prints where they are.

    Raises:
      InputError: for settings that cannot be used, or files that are not there.
    """
    with input_errors():
        checks.check(config.to_dict())
        data_dir = epath.Path(config.data.data_dir).expanduser()
        note = processes.in_turn(data_dir, lambda: _prepare(config))
    processes.say(note)


def _prepare(config: ml_collections.ConfigDict) -> str:
    """Prepares the data, and returns a note on what and where they are."""
    if config.data.name == registry.MOVING_MNIST:
        return _prepare_moving_mnist(config)
    builder = registry.make_builder(config.data)
    folder = prepare_clips(builder, max_skipped=config.data.max_skipped)
    files = "\n".join(f"  {folder / name}" for name in ("card.md", "contact_sheet.png"))
    return f"{builder.CARD.title}, ready for training:\n{files}"


def _prepare_moving_mnist(config: ml_collections.ConfigDict) -> str:
    """Prepares the digits and draws some clips; training makes new ones for every batch."""
    source = registry.open_source(config.data, config.seed, sharding.data_mesh())
    key = prng.stream(prng.root(config.seed), "contact sheet")
    clips = source.sample("train", key, NUM_SHOWN_CLIPS)
    frames = source.frames("train", clips, SHOWN_TIMES)
    path = epath.Path(config.data.data_dir).expanduser() / "moving_mnist" / "contact_sheet.png"
    grids.write_png(path, grids.clips(frames, SHOWN_TIMES))
    return f"Moving MNIST, ready for training, {source.note}:\n  {path}"
