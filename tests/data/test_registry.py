"""Which data set `config.data` chooses."""

import numpy as np
import pytest
from PIL import Image

from drnet_jax.base import sharding
from drnet_jax.data import registry
from drnet_jax.data.suncg.chairs import SuncgChairs
from drnet_jax.data.suncg.stand_in import StandInChairs
from tests.test_configs import load


def settings(tmp_path, name="suncg", **changes):
    data = load(name, "smoke").data
    data.data_dir = str(tmp_path / "prepared")
    data.update(image_size=16, **changes)
    if name == "suncg":
        data.stand_in.update(num_identities=2, num_azimuths=2)
    return data


def write_chairs(folder):
    """Writes two chairs in the authors' layout, 36 plain frames each."""
    for chair in ("aa", "bb"):
        for i in range(1, 37):
            path = folder / chair / "elevation_20" / f"p200-64_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (7 * i, 0, 255)).save(path)


def test_without_files_the_stand_in_is_taken_with_a_warning(tmp_path, caplog):
    source = registry.open_source(settings(tmp_path), 1, sharding.data_mesh())
    assert isinstance(source.builder, StandInChairs)
    assert source.stand_in
    assert source.resolved["source"] == "stand_in"
    assert "STAND-IN" in caplog.text
    assert "stand-in" in source.note


@pytest.mark.parametrize("where", ["given", "usual"])
def test_existing_files_are_taken(tmp_path, where, caplog):
    usual = tmp_path / "prepared" / "downloads" / "manual" / "suncg"
    folder = tmp_path / "my files" if where == "given" else usual
    write_chairs(folder)
    changes = {"folder": str(folder)} if where == "given" else {}
    source = registry.open_source(settings(tmp_path, **changes), 1, sharding.data_mesh())
    assert isinstance(source.builder, SuncgChairs)
    assert not source.stand_in
    assert source.resolved == {
        "source": "real",
        "fingerprint": source.builder.builder_config.name,
    }
    assert "STAND-IN" not in caplog.text
    frames = next(source.train_frames(0, 2, 4))
    assert set(np.unique(frames[..., 2])) == {255}


def test_a_requested_stand_in_is_taken_even_if_there_are_files(tmp_path):
    write_chairs(tmp_path / "files")
    data = settings(tmp_path, folder=str(tmp_path / "files"), source="stand_in")
    assert isinstance(registry.make_builder(data), StandInChairs)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("suncg", {"folder": "nowhere"}, r"There is no folder nowhere: set config.data.folder"),
        ("suncg", {"source": "real"}, r"no folder .*manual/suncg: set config.data.folder"),
        ("video_folder", {}, r"no folder .*manual/video_folder: set config.data.folder"),
        ("video_folder", {"source": "stand_in"}, r"'stand_in'; allowed for video_folder: real"),
        ("suncg", {"colored": False}, r"config.data.colored=False; allowed: True, as the frames"),
        ("kth", {"colored": True}, r"colored=True; allowed: False, .* have 1 channel\."),
    ],
)
def test_contradictory_settings_are_refused(tmp_path, name, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        registry.make_builder(settings(tmp_path, name, **changes))
