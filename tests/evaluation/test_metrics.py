import numpy as np
import pytest
import scipy.ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from drnet_jax.evaluation import metrics

RNG = np.random.default_rng(0)
TARGET = RNG.random((3, 20, 24, 3), np.float32)
NOISE = RNG.normal(0, [[[[0.02]]], [[[0.1]]], [[[0.4]]]])
PREDICTED = np.clip(TARGET + NOISE, 0, 1).astype(np.float32)


def test_picture_scores_equal_those_of_scikit_image_and_numpy():
    scores = metrics.picture_scores(PREDICTED, TARGET)
    settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    for i, (target, predicted) in enumerate(
        zip(TARGET.astype(np.float64), PREDICTED.astype(np.float64), strict=True)
    ):
        ssim = structural_similarity(target, predicted, data_range=1, channel_axis=-1, **settings)
        assert scores["ssim"][i] == pytest.approx(ssim, abs=1e-6)
        expected = {
            "psnr": peak_signal_noise_ratio(target, predicted, data_range=1),
            "mse": ((predicted - target) ** 2).mean(),
            "mae": np.abs(predicted - target).mean(),
            "mse_sum": ((predicted - target) ** 2).sum(),
            "mae_sum": np.abs(predicted - target).sum(),
        }
        assert {name: scores[name][i] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_equal_frames_score_best_and_stay_finite():
    scores = metrics.picture_scores(TARGET, TARGET)
    np.testing.assert_allclose(scores["psnr"], metrics.MAX_PSNR, rtol=1e-6)
    np.testing.assert_allclose(scores["ssim"], 1, rtol=1e-6)


def test_ssim_refuses_frames_smaller_than_its_window():
    with pytest.raises(ValueError, match=r"SSIM of \(10, 24\) frames; allowed: 11 and more"):
        metrics.ssim(TARGET[:, :10], TARGET[:, :10])


def test_bootstrap_interval_covers_the_mean_of_a_normal_sample():
    values = np.random.default_rng(1).normal(5, 2, size=400)
    interval = metrics.bootstrap(values, seed=0)
    assert interval["mean"] == pytest.approx(values.mean())
    # The normal approximation: 1.96 standard errors on both sides.
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval["low"] == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert interval["high"] == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert interval == metrics.bootstrap(values, seed=0)


def test_bootstrap_of_several_columns_is_that_of_each():
    values = np.random.default_rng(1).normal(5, 2, size=(40, 3))
    intervals = metrics.bootstrap(values, seed=3)
    for i in range(3):
        alone = metrics.bootstrap(values[:, i], seed=3)
        assert {key: ends[i] for key, ends in intervals.items()} == pytest.approx(alone)


def test_bootstrap_of_a_ratio_is_that_of_its_means():
    values = np.random.default_rng(1).uniform(1, 2, size=(40, 2))
    interval = metrics.bootstrap(values, 3, lambda means: means[..., 0] / means[..., 1])
    assert interval["mean"] == pytest.approx(values[:, 0].sum() / values[:, 1].sum())
    assert interval["low"] < interval["mean"] < interval["high"]


def test_interval_of_a_median():
    values = np.random.default_rng(0).normal(size=400)
    score = metrics.bootstrap_median(values, seed=1)
    assert score["mean"] == np.median(values)
    # The standard error of the median of a normal variable is 1.2533 / sqrt(n).
    error = 1.2533 / np.sqrt(400)
    assert score["high"] - score["low"] == pytest.approx(2 * 1.96 * error, rel=0.3)
    table = metrics.bootstrap_median(np.stack([values, values + 3], axis=1), seed=1)
    for end, value in score.items():
        assert table[end] == pytest.approx([value, value + 3])


def test_sharpness_falls_with_blur_and_equals_the_variance_of_the_laplacian():
    frame = TARGET[:1]
    blurred = (frame[:, :-1] + frame[:, 1:]) / 2
    sharpness = metrics.sharpness(frame)[0]
    assert metrics.sharpness(blurred)[0] < 0.7 * sharpness
    inside = scipy.ndimage.laplace(frame[0].astype(np.float64), axes=(0, 1))[1:-1, 1:-1]
    assert sharpness == pytest.approx(inside.var(axis=(0, 1)).mean(), rel=1e-5)
