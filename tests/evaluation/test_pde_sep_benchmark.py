"""The file that other repositories may copy, on random digits in place of MNIST's."""

import ast
import gzip
import hashlib
import pathlib
import sys

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from drnet_jax.data.moving_mnist import idx
from drnet_jax.evaluation import pde_sep_benchmark as benchmark


@pytest.fixture(scope="module")
def stand_in():
    """Random digits and classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10_000, 28, 28), np.uint8)
    images[:, :, :9] = 0  # Background to look through.
    return images, rng.integers(0, 10, 10_000, np.uint8)


@pytest.fixture(scope="module")
def pde_sep(stand_in):
    return benchmark.TestSet(*stand_in)


@pytest.fixture
def mnist(stand_in, tmp_path, monkeypatch):
    """A folder with the stand-in in MNIST's two files, which are taken for MNIST."""
    images, labels = map(idx.encode, stand_in)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    checksum = hashlib.sha256(images[16:] + labels[8:]).hexdigest()
    monkeypatch.setattr(benchmark, "MNIST_SHA256", checksum)
    monkeypatch.setattr(benchmark, "_NUM_MEAN_CLIPS", 3)
    return tmp_path


def numpy_frames(digits, start, speed, num_frames):
    """Returns `[num_frames, 64, 64]`, moved step by step, from two digits and their tracks."""
    position, speed, frames = np.array(start, int), np.array(speed, int), []
    for _ in range(num_frames):
        frame = np.zeros((64, 64), int)
        for digit, (row, column) in zip(digits, position, strict=True):
            frame[row : row + 28, column : column + 28] += digit
        frames.append(np.clip(frame, 0, 255))
        position += speed
        speed[(position < 0) | (position > 36)] *= -1
        position = np.where(position < 0, -position, position)
        position = np.where(position > 36, 72 - position, position)
    return np.stack(frames)


def test_only_numpy_and_python_are_imported():
    nodes = list(ast.walk(ast.parse(pathlib.Path(benchmark.__file__).read_text())))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert not any(isinstance(node, ast.ImportFrom) for node in nodes)
    assert modules - {"numpy"} <= sys.stdlib_module_names


def test_draws_have_the_checksums_that_the_docstring_states():
    order, positions = benchmark.draw()
    assert order.dtype == np.int64
    assert positions.shape == (100, 5000, 2, 2)
    for array in (order, positions):
        assert hashlib.sha256(array.tobytes()).hexdigest() in benchmark.__doc__
    np.testing.assert_array_equal(order[:4], [6252, 4684, 1731, 4742])
    np.testing.assert_array_equal(positions[99, 0], [[14, 3], [23, 19]])


def test_frames_equal_those_of_stepping_through_a_clip(pde_sep):
    assert pde_sep.positions[0, 0].tolist() == [[13, 6], [23, 26]]
    digits = pde_sep.digits[[6252, 4684]]
    expected = numpy_frames(digits, [[13, 6], [23, 26]], [[-1, -3], [0, 1]], 100)
    assert np.any(digits[0][5:].astype(int) + digits[1][:-5] > 255)
    frames = pde_sep.frames([0])
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames[0], expected)
    np.testing.assert_array_equal(pde_sep.observed([4, 0])[1], expected[:5])


def test_files_are_read_and_the_mean_frame_is_that_of_the_first_clips(mnist, stand_in):
    read = benchmark.load(mnist)
    np.testing.assert_array_equal(read.digits, stand_in[0])
    np.testing.assert_array_equal(read.labels, stand_in[1])
    mean = np.mean(read.frames(range(3)) / 255, axis=(0, 1))
    np.testing.assert_allclose(read.mean_frame, mean, rtol=1e-6)


def test_swaps_put_the_digits_of_one_clip_on_the_tracks_of_another(pde_sep):
    order = np.random.RandomState(1).permutation(10_000)
    np.testing.assert_array_equal(order[:3], [9953, 3850, 4962])
    digits = [pde_sep.digits[order[0]], pde_sep.digits[order[5000]]]
    tracks = [[13, 6], [23, 26]], [[-1, -3], [0, 1]]
    expected = np.stack([numpy_frames(d, *tracks, 20) for d in (digits, digits[::-1])])
    np.testing.assert_array_equal(pde_sep.swap_targets([0], range(20))[:, 0], expected)
    # The content of clip 0 is shown on the tracks of the last clip.
    first, second = pde_sep.positions[:2, 4999].astype(int)
    content = numpy_frames(digits, first, second - first, 2)
    np.testing.assert_array_equal(pde_sep.swap_content([0])[0, :2], content)


def test_scores_of_frames_equal_scikit_image():
    rng = np.random.default_rng(1)
    predicted, target = rng.random((2, 3, 2, 30, 25)).cumsum(axis=-1) / 25
    for index in np.ndindex(3, 2):
        pair = predicted[index], target[index]
        expected = structural_similarity(
            *pair, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        np.testing.assert_allclose(benchmark.ssim(predicted, target)[index], expected, rtol=1e-9)
        expected = peak_signal_noise_ratio(*pair, data_range=1)
        np.testing.assert_allclose(benchmark.psnr(predicted, target)[index], expected)


@pytest.fixture
def of_three_clips(pde_sep, monkeypatch):
    """The test set, with a mean frame of its own."""
    monkeypatch.setitem(pde_sep.__dict__, "mean_frame", np.full((64, 64), 0.25, np.float32))
    return pde_sep


def psnr(frames, target):
    return -10 * np.log10(np.maximum(np.mean((frames - target) ** 2, axis=(-2, -1)), 1e-10))


def test_a_score_is_the_mean_over_the_frames_up_to_its_horizon(of_three_clips):
    clips = [7, 2]
    target = of_three_clips.frames(clips, range(5, 100)) / 255
    predicted = target.copy()
    predicted[:, 10:] -= 0.1
    scores = benchmark.score_prediction(of_three_clips, clips, predicted)
    model = scores["model"]
    np.testing.assert_allclose(model[10]["psnr"], 100)
    np.testing.assert_allclose(model[10]["ssim"], 1)
    np.testing.assert_allclose(model[95]["psnr"], (10 * 100 + 85 * 20) / 95, rtol=1e-4)
    last = of_three_clips.frames(clips, [4]) / 255
    for name, frames in (("black_frame", 0), ("mean_frame", 0.25), ("copy_last_frame", last)):
        expected = psnr(frames, target)[:, :10].mean(axis=1)
        np.testing.assert_allclose(scores[name][10]["psnr"], expected, rtol=1e-4)
    shorter = benchmark.score_prediction(of_three_clips, clips, predicted[:, :20])
    assert all(answer.keys() == {10} for answer in shorter.values())


def test_the_better_assignment_of_a_swap_counts_in_every_clip(of_three_clips):
    clips = [0, 1, 2]
    one, other = targets = of_three_clips.swap_targets(clips, range(5, 15)) / 255
    swapped = np.stack([one[0], other[1], np.full_like(one[2], 0.25)])
    scores = benchmark.score_swap(of_three_clips, clips, swapped)
    assert scores.keys() == {"model", "black_frame", "mean_frame"}
    np.testing.assert_allclose(scores["model"][10]["psnr"][:2], 100)
    np.testing.assert_allclose(scores["model"][10]["ssim"][:2], 1, rtol=1e-6)
    black = psnr(0, targets).mean(axis=-1).max(axis=0)
    np.testing.assert_allclose(scores["black_frame"][10]["psnr"], black, rtol=1e-5)
    for name in ("psnr", "ssim"):
        np.testing.assert_allclose(
            scores["model"][10][name][2], scores["mean_frame"][10][name][2], rtol=1e-5
        )


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["pde_sep_benchmark.py", *map(str, arguments)])
    benchmark.main()


def test_arrays_are_scored_from_the_command_line(mnist, pde_sep, tmp_path, monkeypatch, capsys):
    predictions, swaps = tmp_path / "p.npy", tmp_path / "s.npy"
    np.save(predictions, pde_sep.frames(range(3), range(5, 15)) / np.float32(255))
    np.save(swaps, np.zeros((2, 12, 64, 64), np.float32))
    run(monkeypatch, f"--mnist={mnist}", f"--predictions={predictions}", f"--swaps={swaps}")
    lines = capsys.readouterr().out.splitlines()
    assert "Prediction, 3 clips" in lines and "Swap, 2 clips" in lines
    assert (
        lines[lines.index("Prediction, 3 clips") + 1] == "model             t+10: 100.00 dB 1.0000"
    )
    begin = lines.index("Swap, 2 clips")
    names = [line.split()[0] for line in lines[begin + 1 :]]
    assert names == ["model", "black_frame", "mean_frame"]
    assert lines[begin + 1].split()[1:] == lines[begin + 2].split()[1:]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 9, 64, 64)), r"has shape \(2, 9, 64, 64\); allowed: .* steps from 10 to 95"),
        (np.zeros((2, 10, 64, 64, 1)), r"has shape \(2, 10, 64, 64, 1\); allowed"),
        (
            np.zeros((2, 10, 64, 64), np.uint8),
            r"has dtype uint8; allowed: floats, where white is 1",
        ),
    ],
)
def test_arrays_that_cannot_be_scored_are_refused(mnist, tmp_path, monkeypatch, array, message):
    np.save(tmp_path / "p.npy", array)
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, f"--mnist={mnist}", f"--predictions={tmp_path / 'p.npy'}")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no t10k-images-idx3-ubyte in"):
        benchmark.load(tmp_path)
    for name, size in (("t10k-images-idx3-ubyte", 7), ("t10k-labels-idx1-ubyte", 7)):
        (tmp_path / name).write_bytes(bytes(16 + size))
    with pytest.raises(ValueError, match=r"does not hold the 10,000 test digits"):
        benchmark.load(tmp_path)
