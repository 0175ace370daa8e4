"""The videos of docs/own_videos.md, and what is measured on them."""

import types

import numpy as np
import pytest

from experiments import own_videos


@pytest.mark.parametrize("panning", [False, True])
def test_only_a_panning_camera_moves_the_background(monkeypatch, panning):
    monkeypatch.setattr(own_videos, "SIDE", 32)
    frames = own_videos.render(3, 6, panning=panning)
    assert frames.shape == (6, 32, 32, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, own_videos.render(3, 6, panning=panning))
    # A corner of the picture, where no shape comes.
    moved = np.abs(frames[:, :4].astype(int) - frames[:1, :4]).max()
    assert (moved > 0) == panning


def test_shares_of_perfect_copying_and_half_seen_decoders():
    clip = np.full((31, 16, 16, 3), 100, np.uint8)
    for time in range(31):
        clip[time, 4:8, time // 3 : time // 3 + 4] = [200, 0, 50]
    background = np.float32(100) / 255

    def model(decode):
        return types.SimpleNamespace(content=np.array, pose=np.array, decode=decode)

    expected = {
        lambda content, pose: pose: (0, 1),
        lambda content, pose: content: (1, 0.15),  # Squares overlap where they moved by little.
        lambda content, pose: (pose + background) / 2: (0, 0.5),
    }
    for decode, (left, painted) in expected.items():
        found = own_videos.shares(model(decode), [clip])
        assert found["left"] == pytest.approx(left, abs=1e-6)
        assert found["painted"] == pytest.approx(painted, abs=0.15)
