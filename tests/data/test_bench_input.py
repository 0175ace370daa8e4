"""The input benchmark, tiny and without PyTorch."""

import numpy as np
import pytest

from benchmarks import input as benchmark
from benchmarks.png_clips import PngClips, write_folders
from tests.helpers import toy_clips


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
