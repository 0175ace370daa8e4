import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from drnet_jax import metrics

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
