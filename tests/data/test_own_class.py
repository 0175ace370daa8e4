"""Data sets of users: a class that the settings name."""

import re
import sys
import textwrap

import numpy as np
import pytest

from drnet_jax.data import own_class, registry
from drnet_jax.data.preparation.prepare import prepare_clips
from drnet_jax.runs import checks
from tests.conftest import ROOT
from tests.helpers import command_line
from tests.test_configs import load


def documented() -> str:
    """Returns the example of docs/data.md."""
    text = (ROOT / "docs" / "data.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return example


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the module `arrays` of docs/data.md and what it reads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arrays.py").write_text(documented())
    rng = np.random.default_rng(0)
    for split, number in (("train", 12), ("test", 4)):
        (tmp_path / "files" / split).mkdir(parents=True)
        for i in range(number):
            clip = rng.integers(0, 256, (20, 32, 32, 1), np.uint8)
            np.save(tmp_path / "files" / split / f"{i}.npy", clip)
    yield tmp_path
    sys.modules.pop("arrays", None)


def settings(folder, **changes):
    data = load("video_folder", "smoke").data
    data.update(name="arrays:Arrays", folder=str(folder / "files"), colored=False)
    data.update(data_dir=str(folder / "prepared"), **changes)
    return data


def test_the_documented_class_is_trained_and_scored(folder):
    run = f"--workdir={folder / 'run'}"
    train = (
        *("--config=configs/video_folder.py:smoke", run, "--config.data.name=arrays:Arrays"),
        *(f"--config.data.folder={folder / 'files'}", "--config.data.colored=False"),
        f"--config.data.data_dir={folder / 'prepared'}",
    )
    for arguments in (train, ("--mode=evaluate", run)):
        result = command_line.run(*arguments, cwd=folder)
        assert result.returncode == 0, result.stderr
    assert (folder / "run" / "report.html").exists()
    (card,) = (folder / "prepared").rglob("card.md")
    assert "brightness" in card.read_text()


def test_changed_files_and_settings_are_prepared_again(folder):
    names = {registry.make_builder(settings(folder)).builder_config.name}
    (folder / "files" / "test" / "9.npy").write_bytes(b"")
    names.add(registry.make_builder(settings(folder)).builder_config.name)
    names.add(registry.make_builder(settings(folder, image_size=16)).builder_config.name)
    assert len(names) == 3


def test_frames_of_another_shape_are_said(folder):
    builder = registry.make_builder(settings(folder, image_size=16))
    message = r"My arrays: 't\w+/\d+\.npy': the frames of the clip .* are uint8 \[20, 32, 32, 1\]; "
    with pytest.raises(ValueError, match=message + r"allowed: uint8 \[time, 16, 16, 1\]\."):
        prepare_clips(builder, max_skipped=0)


BAD_MODULES = {
    "absent:A": (None, "there is no module 'absent' in .*, and none is installed"),
    "broken:A": ("1 / 0", "broken cannot be imported: ZeroDivisionError: division by zero"),
    "needy:A": ("import absent", "needy cannot be imported: ModuleNotFoundError: No module named"),
    "empty:A": ("", r"empty\.py has no class 'A'"),
    "sys:A": (None, "sys has no class 'A'"),
    "other:A": ("class A: pass", "A is no subclass of ClipBuilder; see docs/data.md"),
    "short:A": (
        """
        from drnet_jax.data.preparation.builder import ClipBuilder

        class A(ClipBuilder):
            def jobs(self): ...
        """,
        "A lacks factor_features, make, CARD; see docs/data.md",
    ),
}


@pytest.mark.parametrize("name", BAD_MODULES)
def test_what_is_no_data_set_is_said_in_a_line(tmp_path, monkeypatch, name):
    source, message = BAD_MODULES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    if source is not None:
        (tmp_path / f"{name.partition(':')[0]}.py").write_text(textwrap.dedent(source))
    with pytest.raises(ValueError, match=f"^config.data.name='{name}': .*{message}") as error:
        own_class.load(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["arrays", "a b:C", "a:", ":C", "a:b:C", "../a:C"])
def test_other_names_are_refused(name):
    config = load("video_folder", "smoke")
    config.data.name = name
    with pytest.raises(ValueError, match=r"video_folder, or <module>:<class>\.$"):
        checks.check(config.to_dict())
