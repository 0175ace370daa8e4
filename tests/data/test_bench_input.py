"""The input benchmark, tiny and without PyTorch, and the example in docs/data.md."""

import importlib
import itertools
import pathlib
import re

import jax
import numpy as np
import pytest

from benchmarks import input as benchmark
from benchmarks.png_clips import PngClips, write_folders
from drnet_jax.base import sharding
from drnet_jax.data import registry
from tests.helpers import toy_clips

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "data.md"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    builder = toy_clips.create(tmp_path_factory.mktemp("clips"), toy_clips.ToyTurn)
    return benchmark.open_source(builder, 1e9)


@pytest.fixture
def clips(source, tmp_path):
    return write_folders(source.stores["train"], tmp_path)


def test_png_clips_have_the_same_pixels(source, clips):
    benchmark.check_same_frames(source, PngClips(clips, num_frames=4, max_frame_gap=2))
    clips[1], clips[2] = clips[2], clips[1]
    with pytest.raises(ValueError, match="train 1 differs"):
        benchmark.check_same_frames(source, PngClips(clips, num_frames=4, max_frame_gap=2))


def test_frames_of_png_clips_lie_in_a_window(clips):
    dataset = PngClips(clips, num_frames=4, max_frame_gap=2)
    assert len(dataset) == 4
    times = [toy_clips.read(dataset[2][None])[0] - 40 for _ in range(50)]
    assert {len(row) for row in times} == {4}
    for row in times:
        # On a turn of eight frames.
        assert any(np.all((row - start) % 8 <= 2) for start in range(8))
    assert set(np.ravel(times)) == set(range(8))


def test_ratio_is_to_the_fastest_peer(source, monkeypatch):
    speeds = {"ours": 8.0, "disk": 4.0, "peer_0": 1.0, "peer_1": 2.0}
    monkeypatch.setattr(benchmark, "clips_per_second", lambda stream, size, count: speeds[stream])
    result = benchmark.compare({name: (name, 1) for name in speeds}, 4, repeats=3)
    assert (result["ratio"], result["disk_ratio"]) == (4, 2)
    assert (result["peer"], result["peer_clips_per_s"]) == ("peer_1", 2)


def test_our_stream_is_timed(source):
    stream = lambda: source.train_frames(0, 4, 4)  # noqa: E731
    result = benchmark.compare({"ours": (stream, 3)}, 4, repeats=2)
    assert list(result) == ["ours_clips_per_s"]
    assert result["ours_clips_per_s"] > 0


def test_the_example_in_the_document_works(tmp_path, monkeypatch):
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "arrays.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    arrays = importlib.import_module("arrays")
    rng = np.random.default_rng(0)
    for split, count in {"train": 3, "test": 1}.items():
        (tmp_path / split).mkdir()
        for i in range(count):
            np.save(tmp_path / split / f"{i}.npy", rng.integers(0, 255, (6, 8, 8, 1), np.uint8))
    (tmp_path / "train" / "9.npy").write_bytes(b"damaged")
    monkeypatch.setitem(registry.REAL, "arrays", (arrays.Arrays, arrays.ArraysConfig))
    data = dict(name="arrays", source="real", folder=str(tmp_path), image_size=8, colored=False)
    data |= dict(max_frame_gap=2, consecutive=False, data_dir=str(tmp_path / "data"))
    data |= dict(in_memory_gb=1, max_skipped=0.2)
    source = registry.open_source(data, 0, sharding.data_mesh())
    assert source.stores["train"].names == ["train/0.npy", "train/1.npy", "train/2.npy"]
    [card] = (tmp_path / "data").rglob("card.md")
    assert "train/9.npy: train/9.npy is no array" in card.read_text()
    [batch] = itertools.islice(source.train_frames(0, 2, 4), 1)
    assert jax.device_get(batch).shape == (2, 4, 8, 8, 1)
