"""The card and the contact sheet of a prepared data set."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from drnet_jax.data.preparation import card, contact_sheet
from tests.helpers import squares


def read(builder):
    """Returns the decoded records by split, as a preparation would."""
    return {
        split: [
            builder.deserialize(builder.serialize(clip))
            for job in jobs
            for clip in builder.make(job)
        ]
        for split, jobs in builder.jobs().items()
    }


def write_card(builder, skipped=()):
    return card.text(builder, card.Contents(read(builder), list(skipped))).splitlines()


def draw(builder):
    records = read(builder)
    shown = {
        s: [r[i] for i in contact_sheet.spread(len(r), contact_sheet.NUM_CLIPS)]
        for s, r in records.items()
    }
    png = contact_sheet.png(builder, card.Contents(records, []), shown)
    return np.asarray(Image.open(io.BytesIO(png)))


def test_text(tmp_path):
    builder = squares.create(tmp_path)
    lines = write_card(builder, [("a.avi", "a.avi is empty.")])
    assert lines[0] == (
        "# STAND-IN: rendered by drnet_jax in place of data that cannot be had. Moving squares"
    )
    # Lengths are 3 + 2 i + j for i below 4 and j below 2.
    assert "| train | 8 | 52 | 3 | 6.5 | 10 |" in lines
    assert "Frames are 16 x 16 pixels, gray." in lines
    assert "- `action`: one of 3: walking, running, waving" in lines
    assert "- `height`: number, 7 different, 0 to 6" in lines
    assert "- `brightness`: number, 4 different, 0.5 to 0.8" in lines
    assert "- `person`: text, 4 different" in lines
    assert "- `position`: one per frame, 0 to 12" in lines
    assert "- a.avi: a.avi is empty." in lines
    assert "- License: CC0" in lines
    assert "- Data set: toy/toy_16_4_2/1.0.0" in lines
    assert "- Settings: image_size=16, num_jobs=4, num_clips=2" in lines
    assert str(tmp_path) not in "\n".join(lines)


def test_text_of_originals(tmp_path, monkeypatch):
    builder = squares.create(tmp_path)
    about = dataclasses.replace(
        squares.Toy.CARD, stand_in=False, periodic=True, homepage="https://a.b", citation="C."
    )
    monkeypatch.setattr(builder, "CARD", about)
    lines = write_card(builder)
    assert lines[0] == "# Moving squares"
    assert "A clip is one full turn: its first frame follows its last." in lines
    assert "- Source: https://a.b" in lines
    assert "- Citation: C." in lines
    assert "None." in lines


def test_factor_text(tmp_path):
    features = squares.create(tmp_path).info.features
    assert card.factor_text(features["action"], 1) == "running"
    assert card.factor_text(features["person"], "Zoë".encode()) == "Zoë"
    assert card.factor_text(features["brightness"], 1 / 3) == "0.3333"
    assert card.factor_text(features["height"], 12345) == "12345"


def test_contact_sheet_shows_the_frames(tmp_path):
    builder = squares.create(tmp_path, num_clips=1)
    picture = draw(builder)
    # The last row is the last clip, of nine frames, enlarged five times.
    frames = squares.Toy.make(builder, builder.jobs()["test"][-1])[0].frames
    top = picture.shape[0] - 8 - 4 - 80
    for i, frame in enumerate(frames):
        left = 8 + 230 + i * 84
        shown = picture[top : top + 80, left : left + 80]
        expected = frame.repeat(5, axis=0).repeat(5, axis=1)
        np.testing.assert_array_equal(shown, np.broadcast_to(expected, (80, 80, 3)))


def test_contact_sheet_is_of_one_size(tmp_path):
    few, many = (squares.create(tmp_path, num_jobs=n) for n in (4, 12))
    assert draw(few).shape == draw(many).shape


@pytest.mark.parametrize("size, side", [(16, 80), (64, 128), (96, 96), (160, 160), (240, 120)])
def test_frames_are_shown_at_a_size_to_look_at(size, side):
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
