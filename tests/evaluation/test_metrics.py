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


def by_hand(values, seed, clusters, statistic=np.mean):
    """Returns the ends of the interval, from resamples that are written out sample by sample."""
    names, rng = np.unique(clusters), np.random.default_rng(seed)
    found = []
    for drawn in rng.integers(len(names), size=(metrics.NUM_RESAMPLES, len(names))):
        times = {name: int(np.sum(names[drawn] == name)) for name in names}
        sample = []
        for value, of in zip(values, clusters, strict=True):
            count = np.prod([times[name] for name in set(np.atleast_1d(of))])
            if np.ndim(of):
                # n - 1 in n pairs of draws are of different ones; so much weighs a pair within one.
                count *= len(names) - (len(set(of)) == 1)
            sample += [value] * int(count)
        if sample:
            found.append(statistic(sample, axis=0))
    return np.percentile(found, [2.5, 97.5], axis=0)


CLUSTERS = np.array([7, 7, 7, 2, 2, 5, 5, 5, 5, 11])
PAIRS = np.stack([CLUSTERS, [2, 5, 11, 2, 7, 2, 2, 7, 5, 2]], axis=1)  # Two are within a cluster.


@pytest.mark.parametrize("clusters", [CLUSTERS, PAIRS])
def test_bootstrap_over_clusters_equals_one_written_out_in_numpy(clusters):
    values = np.random.default_rng(0).normal(size=(10, 2))
    interval = metrics.bootstrap(values, 4, clusters=clusters)
    assert interval["mean"] == pytest.approx(values.mean(axis=0))
    expected = by_hand(values, 4, clusters)
    np.testing.assert_allclose([interval["low"], interval["high"]], expected, rtol=1e-9)


def test_median_over_clusters_equals_one_written_out_in_numpy():
    values = np.random.default_rng(0).normal(size=(10, 2))
    score = metrics.bootstrap_median(values, 4, clusters=CLUSTERS)
    expected = by_hand(values, 4, CLUSTERS, np.median)
    np.testing.assert_allclose([score["low"], score["high"]], expected, rtol=1e-9)


def test_clusters_of_one_sample_are_independent_samples():
    values = np.random.default_rng(0).normal(size=50)
    for score in (metrics.bootstrap, metrics.bootstrap_median):
        alone = score(values, 2, clusters=np.arange(50) + 3)
        assert alone == pytest.approx(score(values, 2), rel=1e-12)


def test_too_few_clusters_have_no_interval():
    one = metrics.bootstrap(np.arange(4.0), 0, clusters=np.zeros(4, int))
    assert one == {"mean": 1.5, "low": None, "high": None}
    columns = metrics.bootstrap_median(np.arange(8.0).reshape(4, 2), 0, clusters=np.zeros(4, int))
    assert columns == {"mean": [3, 4], "low": [None, None], "high": [None, None]}
    # Two clusters have one pair, in both orders.
    assert metrics.bootstrap(np.arange(2.0), 0, clusters=np.array([[0, 1], [1, 0]]))["low"] is None
    assert metrics.bootstrap(np.arange(2.0), 0, clusters=np.array([0, 1]))["low"] == 0


def covers(values, **clusters):
    interval = metrics.bootstrap(values, 0, **clusters)
    return interval["low"] <= 0 <= interval["high"]


@pytest.mark.slow
def test_intervals_of_dependent_samples_cover_as_often_as_they_say():
    """Sets of known mean 0: ten samples of each of 40 objects, and pairs of 40 objects."""
    objects = np.arange(40).repeat(10)
    covered = []
    for seed in range(200):
        rng = np.random.default_rng([seed, 1])
        samples = rng.normal(size=40)[objects] + 0.5 * rng.normal(size=400)
        pairs = np.stack([objects, (objects + rng.integers(1, 40, 400)) % 40], axis=1)
        swaps = rng.normal(size=40)[pairs[:, 0]] + rng.normal(size=40)[pairs[:, 1]]
        swaps += 0.5 * rng.normal(size=400)
        covered.append(
            [
                covers(samples, clusters=objects),
                covers(samples),
                covers(swaps, clusters=pairs),
                covers(swaps, clusters=pairs[:, 0]),
                covers(swaps),
            ]
        )
    of_clusters, of_draws, of_pairs, of_first, of_pair_draws = np.mean(covered, axis=0)
    # Of 200 sets, 95 % are covered within 3 standard errors, and 40 clusters are a little few.
    assert 0.89 <= of_clusters <= 0.99
    assert 0.89 <= of_pairs <= 1
    assert of_draws < 0.6 and of_pair_draws < 0.6
    assert of_first < of_pairs
