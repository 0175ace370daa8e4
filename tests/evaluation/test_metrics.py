import numpy as np
import pytest
import scipy.ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from drnet_jax.evaluation import metrics

RNG = np.random.default_rng(0)
TARGET = RNG.random((3, 20, 24, 3), np.float32)
PREDICTED = np.clip(TARGET + RNG.normal(0, [[[[0.02]]], [[[0.1]]], [[[0.4]]]]), 0, 1).astype(
    np.float32
)


def test_psnr_equals_scikit_image():
    expected = [
        peak_signal_noise_ratio(t, p, data_range=1) for t, p in zip(TARGET, PREDICTED, strict=True)
    ]
    np.testing.assert_allclose(metrics.psnr(PREDICTED, TARGET), expected, rtol=1e-6)


def test_ssim_equals_scikit_image():
    expected = [
        structural_similarity(
            t.astype(np.float64),
            p.astype(np.float64),
            data_range=1,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for t, p in zip(TARGET, PREDICTED, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim(PREDICTED, TARGET), expected, atol=1e-6)


def test_equal_frames_score_best_and_stay_finite():
    np.testing.assert_allclose(metrics.psnr(TARGET, TARGET), metrics.MAX_PSNR, rtol=1e-6)
    np.testing.assert_allclose(metrics.ssim(TARGET, TARGET), 1, rtol=1e-6)


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
    interval = metrics.bootstrap_statistic(lambda m: m[..., 0] / m[..., 1], values, seed=3)
    assert interval["mean"] == pytest.approx(values[:, 0].sum() / values[:, 1].sum())
    assert interval["low"] < interval["mean"] < interval["high"]


def test_errors_of_pictures_are_means_and_sums():
    scores = metrics.picture_scores(PREDICTED, TARGET)
    difference = PREDICTED.astype(np.float64) - TARGET
    expected = {
        "mse": (difference**2).mean(axis=(1, 2, 3)),
        "mae": np.abs(difference).mean(axis=(1, 2, 3)),
        "mse_sum": (difference**2).sum(axis=(1, 2, 3)),
        "mae_sum": np.abs(difference).sum(axis=(1, 2, 3)),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name], values, rtol=1e-5)
    np.testing.assert_allclose(scores["psnr"], metrics.psnr(PREDICTED, TARGET))
    np.testing.assert_allclose(scores["ssim"], metrics.ssim(PREDICTED, TARGET))


def test_sharpness_falls_with_blur_and_equals_the_variance_of_the_laplacian():
    frame = TARGET[:1]
    blurred = (frame[:, :-1] + frame[:, 1:]) / 2
    assert metrics.sharpness(blurred)[0] < 0.7 * metrics.sharpness(frame)[0]
    inside = scipy.ndimage.laplace(frame[0].astype(np.float64), axes=(0, 1))[1:-1, 1:-1]
    np.testing.assert_allclose(
        metrics.sharpness(frame)[0], inside.var(axis=(0, 1)).mean(), rtol=1e-5
    )
