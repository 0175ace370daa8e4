"""Where the frames of a swap grid are in its picture, and rollouts as pictures to play."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from drnet_jax.pictures import grids
from drnet_jax.report import interactive
from drnet_jax.report.inputs import Inputs


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "samples").mkdir()
    return tmp_path


def read(workdir, section, name, value):
    """Returns the inputs of the report of a run with a single setting."""
    (workdir / "config.json").write_text(json.dumps({section: {name: value}}))
    return Inputs.read(workdir)


def sheet_of(workdir, frames, truth, num_observed=5):
    """Returns the sheet of a rollout, uint8 `[clips, time, side, side, channels]`."""
    np.savez(workdir / "samples" / "rollout.npz", frames=frames, truth=truth)
    return interactive.rollout_sheet(read(workdir, "predictor", "num_observed", num_observed))


def random_frames(*shape):
    return np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_has_every_frame_of_a_rollout(workdir, channels):
    frames, truth = random_frames(2, 3, 120, 8, 8, channels)
    sheet = sheet_of(workdir, frames, truth)
    # An enlargement to at least 80 pixels; every fifth step after the hundredth.
    assert (sheet.side, sheet.num_clips, sheet.num_observed) == (8, 3, 5)
    assert (sheet.last, sheet.scale) == (120, 10)
    assert sheet.steps == [*range(1, 101), 105, 110, 115, 120]
    picture = np.asarray(Image.open(io.BytesIO(sheet.webp)).convert("RGB"))
    for index, step in enumerate(sheet.steps):
        for row, array in enumerate((truth, frames)):
            for clip in range(3):
                y = index // sheet.num_columns * 2 * 8 + row * 8
                x = index % sheet.num_columns * 3 * 8 + clip * 8
                expected = np.broadcast_to(array[clip, step - 1], (8, 8, 3))
                np.testing.assert_array_equal(picture[y : y + 8, x : x + 8], expected)


def test_rollouts_that_cannot_be_played_are_left_out(workdir, monkeypatch):
    frames = random_frames(3, 12, 8, 8, 3)
    assert sheet_of(workdir, frames, frames)
    for other in (frames[:, :, :4], frames.astype(float), frames[0], frames[:, :0]):
        assert sheet_of(workdir, other, other) is None
    assert sheet_of(workdir, frames[:2], frames) is None
    for value in (None, "x", 10**9):
        assert sheet_of(workdir, frames, frames, num_observed=value) is None
    monkeypatch.setattr(interactive, "_MOST_ROLLOUT_BYTES", 100)
    assert sheet_of(workdir, frames, frames) is None


def test_long_and_large_rollouts_are_played_in_part(workdir, monkeypatch):
    frames = np.zeros((2, 3000, 2, 2, 1), np.uint8)
    steps = sheet_of(workdir, frames, frames).steps
    assert len(steps) == 200 and (steps[0], steps[-1]) == (1, 3000)
    monkeypatch.setattr(interactive, "_MOST_PIXELS", 2 * 200 * 4)
    assert sheet_of(workdir, frames, frames).num_clips == 1
    monkeypatch.setattr(interactive, "_MOST_PIXELS", 2 * 200 * 4 - 1)
    assert sheet_of(workdir, frames, frames) is None


def test_arrays_that_promise_more_than_there_is_are_left_out(workdir):
    header = io.BytesIO()
    form = {"descr": "|u1", "fortran_order": False, "shape": (1, 10**9, 1000, 1000, 3)}
    np.lib.format.write_array_header_1_0(header, form)
    with zipfile.ZipFile(workdir / "samples" / "rollout.npz", "w") as archive:
        for name in ("frames.npy", "truth.npy"):
            archive.writestr(name, header.getvalue())
    assert interactive.rollout_sheet(read(workdir, "predictor", "num_observed", 5)) is None


def test_the_cells_of_a_swap_grid_are_where_they_were_drawn(workdir):
    rng = np.random.default_rng(3)
    poses, contents = (rng.random((n, 32, 32, 3)) for n in (4, 2))
    swapped = rng.random((2, 4, 32, 32, 3))
    path = workdir / "swap_grid.png"
    grids.write_png(path, grids.swap_grid(poses, contents, swapped))
    cells = interactive.swap_cells(read(workdir, "data", "image_size", 32), path.read_bytes())
    picture, side = np.asarray(Image.open(path)), cells.side
    assert (len(cells.lefts), len(cells.tops)) == (5, 3)
    for row, y in enumerate(cells.tops):
        for column, x in enumerate(cells.lefts):
            if row or column:
                frames = swapped[row - 1, column - 1]
                frames = poses[column - 1] if not row else frames
                frames = contents[row - 1] if not column else frames
                expected = np.round(frames * 255).repeat(3, axis=0).repeat(3, axis=1)
                np.testing.assert_array_equal(picture[y : y + side, x : x + side], expected)
    other = read(workdir, "data", "image_size", 31)
    assert interactive.swap_cells(other, path.read_bytes()) is None


def test_a_picture_that_promises_too_many_pixels_has_no_cells(workdir):
    size = struct.pack(">II5B", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    assert interactive.swap_cells(read(workdir, "data", "image_size", 32), png) is None
