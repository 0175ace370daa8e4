"""The test of PDE-sep on Moving MNIST: its 5,000 clips, its content swaps, and its scores.

This file needs Python 3.10, NumPy and the two files of MNIST's test digits, and nothing else: copy
it into any repository. It makes the same frames, bit for bit, on every machine.

Task. 64 x 64 gray frames show two MNIST digits of 28 x 28 pixels. Each moves with a constant
velocity of -4 to 4 pixels per step on each axis, and bounces off the border; where digits overlap,
gray levels add up, at most to 255. A clip has 100 frames. A model observes the first 5 and
predicts the next 10 or 95. In a swap, it draws the digits of one clip on the tracks of another.
PSNR and SSIM are means over the predicted frames of all clips; a model predicts each clip once.

From the command line, with arrays of the first n clips, n <= 5,000, and with 10 to 95 steps:

  python pde_sep_benchmark.py --mnist=MNIST --write=FOLDER     # What models observe, as two arrays.
  python pde_sep_benchmark.py --mnist=MNIST --predictions=P.npy --swaps=S.npy        # The scores.

  observed.npy      uint8 [5000, 5, 64, 64], the first frames of clips 0, 1, ...
  swap_content.npy  uint8 [5000, 5, 64, 64], clips that show the digits which a swap shall have
  P.npy             float [n, steps, 64, 64], the frames after observed.npy, white is 1
  S.npy             float [n, steps, 64, 64], the same, but with the digits of swap_content.npy

From Python:

  test = load("MNIST")
  clips = range(100)
  scores = score_prediction(test, clips, predict(test.observed(clips)))
  scores = score_swap(test, clips, swap(test.swap_content(clips), test.observed(clips)))
  scores["model"][10]["psnr"].mean()  # Beside "mean_frame" and other answers that need no model.

SHA-256 of the bytes in C order, to check other implementations:

  order of the digits, int64 [10000]: 6252 4684 1731 ...
    a7abb567e1b402aa2c38c8ed10d14292d2dcda2b90744463ae9da533aa766f11
  positions (row, column), uint8 [100, 5000, 2, 2]: step, clip, digit, axis
    4a747ef669904b100b37bd358ac892804113163bd543774f23cef4412a94d707
  classes of the digits, uint8 [5000, 2]: (6, 2) (3, 7) ...
    7e387e07d121771f53e67d5d38994eca7c4f1692cf4124f8edd55ea088e81daf

Source: Dona, Franceschi, Lamprier and Gallinari, "PDE-driven spatiotemporal disentanglement", ICLR
2021, section 4 and https://github.com/JeremDona/spatiotemporal_variable_separation; written anew.
"""

import argparse
import functools
import gzip
import hashlib
import pathlib

import numpy as np

NUM_CLIPS, NUM_FRAMES, NUM_OBSERVED = 5_000, 100, 5
HORIZONS = (10, 95)
"""The numbers of predicted frames that scores are means over."""

SIDE, DIGIT, MAX_SPEED = 64, 28, 4
"""Sides of a frame and of a digit in pixels; greatest speed on an axis in pixels per step."""

MNIST_SHA256 = "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b"
"""Of MNIST's 10,000 test digits and then their classes."""

_LAST = SIDE - DIGIT  # The last position on an axis; the first is 0.
_FILES = {"t10k-images-idx3-ubyte": 16, "t10k-labels-idx1-ubyte": 8}  # With the length of a header.
_NUM_MEAN_CLIPS = 500
_CLIPS_AT_ONCE = 20


class TestSet:
    """The clips of the test, rendered when they are asked for.

    `clips` is always a sequence of clip numbers, 0 to 4,999.

    Attributes:
      digits: uint8 `[10000, 28, 28]`, MNIST's test digits.
      labels: uint8 `[10000]`, their classes.
      chosen: int `[5000, 2]`, the digits of each clip.
      positions: uint8 `[100, 5000, 2, 2]`, (row, column) of each digit's corner at each time.
      swapped: int `[5000, 2]`, the digits that each clip shall show instead in a swap.
    """

    def __init__(self, digits, labels):
        self.digits, self.labels = digits, labels
        order, self.positions = draw()
        self.chosen = order.reshape(NUM_CLIPS, 2)
        # Digits i and i + 5,000 of a second order take the tracks of clip i.
        self.swapped = np.random.RandomState(1).permutation(10_000).reshape(2, NUM_CLIPS).T

    def frames(self, clips, times=range(NUM_FRAMES)):
        """Returns frames of clips, uint8 `[clips, times, 64, 64]`."""
        return self._render(self.chosen[clips], clips, times)

    def observed(self, clips):
        """Returns what a model sees of clips, uint8 `[clips, 5, 64, 64]`."""
        return self.frames(clips, range(NUM_OBSERVED))

    def swap_content(self, clips):
        """Returns clips of the digits that a swap shall show, uint8 `[clips, 5, 64, 64]`.

        They move along tracks that have nothing to do with those of `clips`.
        """
        others = NUM_CLIPS - 1 - np.asarray(clips)
        return self._render(self.swapped[clips], others, range(NUM_OBSERVED))

    def swap_targets(self, clips, times):
        """Returns uint8 `[2, clips, times, 64, 64]`: either digit on either track is right."""
        digits = self.swapped[clips]
        return np.stack([self._render(d, clips, times) for d in (digits, digits[:, ::-1])])

    @functools.cached_property
    def mean_frame(self):
        """The mean of all frames of the first 500 clips, float32 `[64, 64]` in [0, 1]."""
        clips = ([clip] for clip in range(_NUM_MEAN_CLIPS))
        total = sum(self.frames(clip).sum(axis=(0, 1), dtype=np.int64) for clip in clips)
        return np.float32(total / (255 * _NUM_MEAN_CLIPS * NUM_FRAMES))

    def _render(self, digits, clips, times):
        positions = self.positions[np.asarray(times)[:, None], np.asarray(clips)]
        frames = np.zeros((len(clips), len(times), SIDE, SIDE), np.uint16)
        for clip, time in np.ndindex(frames.shape[:2]):
            for digit, (row, column) in zip(digits[clip], positions[time, clip], strict=True):
                covered = frames[clip, time, row : row + DIGIT, column : column + DIGIT]
                covered += self.digits[digit]
        return np.minimum(frames, 255).astype(np.uint8)


def load(mnist):
    """Returns the `TestSet` of the files in folder `mnist`, which may be gzipped.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: the files do not hold MNIST's test digits.
    """
    images, labels = (_read(pathlib.Path(mnist), name) for name in _FILES)
    if not is_mnist(images, labels):
        raise ValueError(f"{mnist} does not hold the 10,000 test digits of MNIST.")
    return TestSet(images.reshape(10_000, DIGIT, DIGIT), labels)


def is_mnist(images, labels):
    """Returns whether these are MNIST's test digits in the order of its files."""
    content = np.uint8(images).tobytes() + np.uint8(labels).tobytes()
    return hashlib.sha256(content).hexdigest() == MNIST_SHA256


def draw():
    """Returns the order of the digits, int64 `[10000]`, and positions, uint8 `[100, 5000, 2, 2]`.

    Clip i has digits 2 i and 2 i + 1 of that order. The axes of positions are time, clip, digit and
    (row, column).
    """
    rng = np.random.RandomState(42)
    order = rng.permutation(2 * NUM_CLIPS)
    # One number at a time, as drawing arrays would consume the random stream differently.
    ranges = ((0, _LAST), (0, _LAST), (-MAX_SPEED, MAX_SPEED), (-MAX_SPEED, MAX_SPEED))
    drawn = [[rng.randint(low, high + 1) for low, high in ranges] for _ in order]
    start, speed = np.moveaxis(np.array(drawn).reshape(NUM_CLIPS, 2, 2, 2), 2, 0)
    unfolded = (start + speed * np.arange(NUM_FRAMES)[:, None, None, None]) % (2 * _LAST)
    return order, np.minimum(unfolded, 2 * _LAST - unfolded).astype(np.uint8)


def psnr(predicted, target):
    """Returns the PSNR of each frame in dB; both are floats `[..., height, width]` in [0, 1].

    It is at most 100 dB: motion repeats, so that an old frame may be a perfect answer.
    """
    squared = np.mean(np.square(predicted - target), axis=(-2, -1))
    return -10 * np.log10(np.maximum(squared, 1e-10))


def ssim(predicted, target):
    """Returns the SSIM of each frame; both are floats `[..., height, width]` in [0, 1].

    The window is a Gaussian of 11 x 11 pixels with standard deviation 1.5, where it lies inside the
    frame; K1 = 0.01, K2 = 0.03, and variances are those of a population.
    """
    mean_p, mean_t = _smooth(predicted), _smooth(target)
    var_p = _smooth(np.square(predicted)) - np.square(mean_p)
    var_t = _smooth(np.square(target)) - np.square(mean_t)
    covariance = _smooth(predicted * target) - mean_p * mean_t
    luminance = (2 * mean_p * mean_t + 1e-4) / (np.square(mean_p) + np.square(mean_t) + 1e-4)
    contrast = (2 * covariance + 9e-4) / (var_p + var_t + 9e-4)
    return np.mean(luminance * contrast, axis=(-2, -1))


def _smooth(frames):
    """Returns the means of frames `[..., height, width]` under all Gaussian windows inside."""
    weights = np.exp(-0.5 * np.square(np.arange(-5, 6) / 1.5))
    weights /= weights.sum()
    for _ in range(2):  # The columns, and then what were the rows.
        size = frames.shape[-1]
        band = sum(w * np.eye(size, size - 10, -i) for i, w in enumerate(weights))
        frames = np.swapaxes(frames @ band.astype(frames.dtype), -2, -1)
    return frames


def score_prediction(test, clips, predicted):
    """Returns the scores of predictions and of answers that need no model.

    Args:
      test: the `TestSet`.
      clips: numbers of clips.
      predicted: floats `[clips, steps, 64, 64]`, the frames after the observed ones; white is 1.

    Returns:
      `{answer: {horizon: {"psnr": [clips], "ssim": [clips]}}}`. The answers are `model`,
      `black_frame`, `mean_frame` and `copy_last_frame`, the last observed frame. Horizons above
      `steps` are left out.
    """
    answers = _with_constant_frames(test, predicted)
    answers["copy_last_frame"] = _as_float(test.frames(clips, [NUM_OBSERVED - 1]))
    times = NUM_OBSERVED + np.arange(np.shape(predicted)[1])
    return _scores(answers, _as_float(test.frames(clips, times)))


def score_swap(test, clips, swapped):
    """Returns the scores of swaps, as `score_prediction` does those of predictions.

    `swapped` show the digits of `swap_content` on the tracks of `clips`. Of the two ways to assign
    digits to tracks, the better one counts, for each clip, horizon and score by itself. The answers
    are `model`, `black_frame` and `mean_frame`.
    """
    answers = _with_constant_frames(test, swapped)
    times = NUM_OBSERVED + np.arange(np.shape(swapped)[1])
    one, other = (_scores(answers, _as_float(t)) for t in test.swap_targets(clips, times))

    def better(one, other):
        if isinstance(one, dict):
            return {key: better(value, other[key]) for key, value in one.items()}
        return np.maximum(one, other)

    return better(one, other)


def _with_constant_frames(test, frames):
    """Returns answers by name; their shapes need not be equal, but fit each other."""
    black = np.zeros((1, 1, SIDE, SIDE), np.float32)
    model = np.asarray(frames, np.float32)
    return {"model": model, "black_frame": black, "mean_frame": test.mean_frame[None, None]}


def _as_float(frames):
    return np.float32(frames) / np.float32(255)


def _scores(answers, target):
    """Returns means over frames, as `score_prediction`, of answers to `[clips, steps, 64, 64]`."""
    horizons = [h for h in HORIZONS if h <= target.shape[1]]
    scores = {}
    for name, answer in answers.items():
        frames = {"psnr": psnr(answer, target), "ssim": ssim(answer, target)}
        scores[name] = {h: {k: v[:, :h].mean(axis=1) for k, v in frames.items()} for h in horizons}
    return scores


def _read(folder, name):
    """Returns the bytes after the header of a file, plain or gzipped."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            content = path.read_bytes()
            # The content decides, not the name: browsers unpack a file but keep its `.gz`.
            content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            return np.frombuffer(content, np.uint8, offset=_FILES[name])
    raise FileNotFoundError(f"There is no {name} in {folder}, plain or with .gz.")


def _open(path):
    """Returns the array in a file, which stays there until it is used."""
    array = np.load(path, mmap_mode="r")
    allowed = NUM_FRAMES - NUM_OBSERVED
    fits = array.ndim == 4 and array.shape[2:] == (SIDE, SIDE) and len(array) <= NUM_CLIPS
    if not fits or not HORIZONS[0] <= array.shape[1] <= allowed:
        raise SystemExit(
            f"{path} has shape {array.shape}; allowed: [n, steps, {SIDE}, {SIDE}] with n up to "
            f"{NUM_CLIPS} and steps from {HORIZONS[0]} to {allowed}."
        )
    if array.dtype.kind != "f":
        raise SystemExit(f"{path} has dtype {array.dtype}; allowed: floats, where white is 1.")
    return array


def _print_scores(title, score, test, answers):
    """Prints a table of an array's scores, beside those of answers that need no model."""
    parts = []
    for begin in range(0, len(answers), _CLIPS_AT_ONCE):
        chunk = answers[begin : begin + _CLIPS_AT_ONCE]
        parts.append(score(test, range(begin, begin + len(chunk)), chunk))
    print(f"\n{title}, {len(answers):,} clips")
    for name, by_horizon in parts[0].items():
        cells = []
        for h in by_horizon:
            means = [np.concatenate([p[name][h][k] for p in parts]).mean() for k in by_horizon[h]]
            cells.append("t+{}: {:6.2f} dB {:.4f}".format(h, *means))
        print(f"{name:16}", *cells, sep="  ")


def main():
    """Writes what models observe, or scores what they answer."""
    summary = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--mnist", required=True, help="folder with the files of MNIST")
    parser.add_argument("--write", type=pathlib.Path, help="folder for what models observe")
    parser.add_argument("--predictions", type=pathlib.Path, help="file to score")
    parser.add_argument("--swaps", type=pathlib.Path, help="file to score")
    flags = parser.parse_args()
    try:
        test = load(flags.mnist)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    if flags.write:
        flags.write.mkdir(parents=True, exist_ok=True)
        np.save(flags.write / "observed.npy", test.observed(range(NUM_CLIPS)))
        np.save(flags.write / "swap_content.npy", test.swap_content(range(NUM_CLIPS)))
    given = [
        ("Prediction", score_prediction, flags.predictions),
        ("Swap", score_swap, flags.swaps),
    ]
    given = [(title, score, _open(path)) for title, score, path in given if path]
    for title, score, answers in given:
        _print_scores(title, score, test, answers)


if __name__ == "__main__":
    main()
