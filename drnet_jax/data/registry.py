"""Turns the settings `config.data` into a source of clips."""

import dataclasses
import importlib
import pathlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import jax
from absl import logging
from etils import epath

from drnet_jax.base import local_copy, prng, wording
from drnet_jax.data import own_class
from drnet_jax.data.kth import actions as kth_actions
from drnet_jax.data.kth import stand_in as kth_stand_in
from drnet_jax.data.moving_mnist import digits
from drnet_jax.data.moving_mnist.generator import MovingMnist
from drnet_jax.data.moving_mnist.source import MovingMnistSource, without_test_digits
from drnet_jax.data.norb import small_norb
from drnet_jax.data.norb import stand_in as norb_stand_in
from drnet_jax.data.preparation import prepare
from drnet_jax.data.preparation.builder import ClipBuilder, ClipConfig
from drnet_jax.data.readers import raw_files, video_files
from drnet_jax.data.readers.framing import Framing
from drnet_jax.data.recorded import RecordedSource
from drnet_jax.data.source import Source
from drnet_jax.data.suncg import chairs as suncg_chairs
from drnet_jax.data.suncg import stand_in as chairs_stand_in
from drnet_jax.data.video_folder import builder as video_folder

MOVING_MNIST = "moving_mnist"
REAL = {
    "kth": (kth_actions.KthActions, kth_actions.KthConfig),
    "norb": (small_norb.SmallNorb, small_norb.SmallNorbConfig),
    "suncg": (suncg_chairs.SuncgChairs, suncg_chairs.SuncgChairsConfig),
    "video_folder": (video_folder.VideoFolder, video_folder.VideoFolderConfig),
}
NAMES = (MOVING_MNIST, *REAL)
STAND_INS = {
    "kth": (kth_stand_in.StandInKth, kth_stand_in.StandInKthConfig),
    "norb": (norb_stand_in.StandInNorb, norb_stand_in.StandInNorbConfig),
    "suncg": (chairs_stand_in.StandInChairs, chairs_stand_in.StandInChairsConfig),
}


def open_source(data: Mapping[str, Any], seed: int, mesh: jax.sharding.Mesh) -> Source:
    """Returns the source that `config.data` describes; prepares the data if necessary.

    Raises:
      ValueError: for settings that contradict each other, or damaged data.
      OSError: for missing files.
    """
    if data["name"] == MOVING_MNIST:
        return _moving_mnist(data, seed, mesh)
    builder = make_builder(data)
    prepare.prepare_clips(builder, max_skipped=data["max_skipped"])
    return RecordedSource(
        builder,
        max_frame_gap=data["max_frame_gap"],
        consecutive=data["consecutive"],
        max_bytes=data["in_memory_gb"] * 1e9,
        seed=seed,
        mesh=mesh,
    )


def check_array_record() -> None:
    """Raises ValueError without the package that reads and writes all prepared data."""
    try:
        importlib.import_module("array_record")
    except ImportError:
        raise ValueError(
            "Data are kept in ArrayRecord files, which need the package array-record. It has no "
            "wheels for Windows: use Linux there, in WSL 2. Trained models work without it."
        ) from None


def make_builder(data: Mapping[str, Any]) -> ClipBuilder:
    """Returns the builder of `config.data`, for all data except Moving MNIST; prepares nothing yet.

    Logs a warning if the clips stand in for data that are not available.

    Raises:
      ValueError: for settings that contradict each other.
      FileNotFoundError: if real files are asked for and are missing.
    """
    check_array_record()
    name, image_size = data["name"], data["image_size"]
    folder = _real_folder(data)
    if own_class.is_own(name):
        builder_class = own_class.load(name)
        config = _own_config(builder_class, data, folder)
    elif folder is None:
        builder_class, config_class = STAND_INS[name]
        config = config_class(image_size=image_size, **data["stand_in"])
    else:
        builder_class, config_class = REAL[name]
        own = dict(data.get("real", {}))
        if any(field.name == "colored" for field in dataclasses.fields(config_class)):
            own["colored"] = data["colored"]
        own |= {name: data[name] for name in ("background", "bits") if name in data}
        config = config_class(image_size=image_size, folder=str(folder), **own)
    builder = builder_class(config=config, data_dir=_local_data_dir(data))
    channels = 3 if data["colored"] else 1
    if builder.channels != channels:
        raise ValueError(
            f"config.data.colored={data['colored']}; allowed: {builder.channels == 3}, as the "
            f"frames of {builder.CARD.title} have {wording.count(builder.channels, 'channel')}."
        )
    if builder.CARD.stand_in:
        logging.warning(
            "STAND-IN: %s is not the data of the paper; set config.data.folder to the real data.",
            builder.CARD.title,
        )
    return builder


def _own_config(
    builder_class: type[ClipBuilder], data: Mapping[str, Any], folder: epath.Path | None
) -> ClipConfig:
    """Returns the settings of a user's class: those in `config.data.real` that it declares."""
    config_class = builder_class.CONFIG
    declared = {field.name for field in dataclasses.fields(config_class)}
    own = {name: value for name, value in data.get("real", {}).items() if name in declared}
    path = "" if folder is None else str(folder)
    try:
        config = config_class(image_size=data["image_size"], folder=path, **own)
    except TypeError as error:  # A field without a value.
        raise ValueError(f"config.data.real: {error}.") from error
    if not config.name:
        files, _ = raw_files.walk(pathlib.Path(path)) if path else ([], [])
        described = [tuple(sorted(own.items())), *((f.name, f.size, f.changed) for f in files)]
        config.name = f"px{data['image_size']}_{raw_files.fingerprint(described)}"
    return config


def user_video_form(data: Mapping[str, Any]) -> tuple[Framing, Fraction | None]:
    """Returns how a user's videos become frames like those of `config.data`.

    That is the form of a frame, and the frames per second that are used, or None for all. Data
    sets whose readers have no such settings squeeze the whole picture into a square.
    """
    own = data.get("real", {})
    framing = Framing(
        data["image_size"],
        channels=3 if data["colored"] else 1,
        crop=own.get("crop", "none"),
        background=data.get("background", "white"),
        bits=data.get("bits", 16),
    )
    return framing, video_files.exact_rate(own.get("frame_rate", 0))


def _real_folder(data: Mapping[str, Any]) -> epath.Path | None:
    """Returns the folder of the real files, or None if the stand-in is to be used."""
    name, wanted = data["name"], data["source"]
    if name not in STAND_INS and wanted == "stand_in":
        raise ValueError(f"config.data.source='stand_in'; allowed for {name}: real.")
    if own_class.is_own(name) and not data["folder"]:
        return None  # It may make its clips without files.
    if wanted == "stand_in":
        return None
    usual = epath.Path(data["data_dir"]).expanduser() / "downloads" / "manual" / name
    folder = epath.Path(data["folder"]).expanduser() if data["folder"] else usual
    # A single video may stand in for a folder of videos.
    if folder.is_dir() or (name == "video_folder" and folder.is_file()):
        return local_copy.download(folder)
    if wanted == "auto" and not data["folder"] and name in STAND_INS:
        return None
    raise FileNotFoundError(f"There is no folder {folder}: set config.data.folder to the files.")


def _local_data_dir(data: Mapping[str, Any]) -> epath.Path:
    return local_copy.place(epath.Path(data["data_dir"]).expanduser())


def _moving_mnist(data: Mapping[str, Any], seed: int, mesh: jax.sharding.Mesh) -> Source:
    check_array_record()
    generator = MovingMnist(
        image_size=data["image_size"],
        digit_size=data["digit_size"],
        num_digits=data["num_digits"],
        colored=data["colored"],
        speeds=tuple(data["speeds"]),
        zero_speeds=data["zero_speeds"],
        motion=data["motion"],
        blending=data["blending"],
    )
    found = digits.load(
        data["digits"],
        folder=data["digits_dir"] or None,
        data_dir=_local_data_dir(data),
    )
    return MovingMnistSource(
        generator,
        without_test_digits(found) if data["validation"] else found,
        max_frame_gap=data["max_frame_gap"],
        consecutive=data["consecutive"],
        key=prng.root(seed),
        mesh=mesh,
    )
