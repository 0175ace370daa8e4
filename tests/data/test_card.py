"""The card and the contact sheet of a prepared data set."""

import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image

from drnet_jax.data.preparation import card, contact_sheet
from tests.helpers import squares


def sheet(builder):
    return np.asarray(Image.open(builder.data_path / "contact_sheet.png"))


def test_card(tmp_path, monkeypatch):
    text = (squares.prepared(tmp_path).data_path / "card.md").read_text()
    expected = (pathlib.Path(__file__).parent / "squares_card.md").read_text()
    # The last line names the versions of libraries.
    assert text.rpartition("- Made by drnet_jax ")[0] == expected
    originals = dict(stand_in=False, periodic=True, homepage="https://a.b", citation="C.")
    card_of_originals = dataclasses.replace(squares.Toy.CARD, **originals)
    monkeypatch.setattr(squares.Toy, "CARD", card_of_originals)
    text = (squares.prepared(tmp_path, num_jobs=1).data_path / "card.md").read_text()
    lines = text.splitlines()
    assert lines[0] == "# Moving squares"
    turn = "A clip is one full turn: its first frame follows its last."
    assert {turn, "- Source: https://a.b", "- Citation: C."} <= set(lines)


def test_factor_text(tmp_path):
    features = squares.create(tmp_path).info.features
    assert card.factor_text(features["action"], 1) == "running"
    assert card.factor_text(features["person"], "Zoë".encode()) == "Zoë"
    assert card.factor_text(features["brightness"], 1 / 3) == "0.3333"
    assert card.factor_text(features["height"], 12345) == "12345"


def test_contact_sheet_shows_the_frames(tmp_path):
    builder = squares.prepared(tmp_path)
    picture = sheet(builder)
    # The last row is the last clip, of ten frames, enlarged five times.
    frames = squares.Toy.make(builder, builder.jobs()["test"][-1])[-1].frames
    top = picture.shape[0] - 8 - 4 - 80
    for i, frame in enumerate(frames):
        left = 8 + 230 + i * 84
        shown = picture[top : top + 80, left : left + 80]
        expected = frame.repeat(5, axis=0).repeat(5, axis=1)
        np.testing.assert_array_equal(shown, np.broadcast_to(expected, (80, 80, 3)))
    assert picture.shape == sheet(squares.prepared(tmp_path, num_jobs=12)).shape


@pytest.mark.parametrize("size, side", [(16, 80), (64, 128), (96, 96), (160, 160), (240, 120)])
def test_frames_are_scaled_to_a_viewable_size(size, side):
    assert contact_sheet._shown(np.zeros((2, size, size, 3), np.uint8)).shape == (2, side, side, 3)


def test_spread():
    assert contact_sheet.spread(3, 8) == [0, 1, 2]
    assert contact_sheet.spread(1, 8) == [0]
    assert contact_sheet.spread(29, 8) == [0, 4, 8, 12, 16, 20, 24, 28]
    assert contact_sheet.spread(36, 9, periodic=True) == [0, 4, 8, 12, 16, 20, 24, 28, 32]


def test_long_words_lose_their_middle():
    words = "a very long name of a clip in a folder of folders 17"
    cut = contact_sheet._cut(words, 150, 14)
    start, end = cut.split("...")
    assert words.startswith(start) and words.endswith(end) and len(start) >= len(end) > 5
    assert contact_sheet._cut("short", 150, 14) == "short"
