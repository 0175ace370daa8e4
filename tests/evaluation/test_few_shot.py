"""Few labeled clips: codes whose scores are obvious, and those of tiny runs."""

import functools

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from drnet_jax.evaluation import few_shot, probes
from drnet_jax.models import inference
from tests.evaluation.test_evaluate import check_documented

RNG = np.random.default_rng(0)
CLASSES = np.repeat(np.arange(3), 12)
TEST_CLASSES = np.repeat(np.arange(3), [20, 30, 10])


def noisy(classes, noise):
    return np.eye(4)[classes] + RNG.normal(0, noise, (len(classes), 4))


def test_all_labeled_equals_scikit_learn():
    codes, test_codes = noisy(CLASSES, 0.6), noisy(TEST_CLASSES, 0.6)
    record = few_shot.curve(codes, CLASSES, test_codes, TEST_CLASSES, seed=0)
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    reference = LogisticRegression(max_iter=1000).fit((codes - mean) / deviation, CLASSES)
    expected = reference.score((test_codes - mean) / deviation, TEST_CLASSES)
    assert record["num_labeled"] == [1, 2, 5, 10, 12]
    assert record["mean"][-1] == record["low"][-1] == record["high"][-1] == pytest.approx(expected)
    assert record["chance"] == 0.5
    assert 0.4 < expected < 1


def test_codes_that_tell_and_codes_that_do_not():
    sure = few_shot.curve(np.eye(4)[CLASSES], CLASSES, np.eye(4)[TEST_CLASSES], TEST_CLASSES, 0)
    np.testing.assert_array_equal(sure["mean"], 1)
    blind = RNG.normal(size=(36, 4)), RNG.normal(size=(60, 4))
    record = few_shot.curve(blind[0], CLASSES, blind[1], TEST_CLASSES, 0)
    assert np.all(np.abs(np.array(record["mean"]) - 1 / 3) < 0.2)


def test_bands_are_those_of_the_draws():
    record = few_shot.curve(noisy(CLASSES, 0.9), CLASSES, noisy(TEST_CLASSES, 0.9), TEST_CLASSES, 0)
    for i, draws in enumerate(record["draws"]):
        assert len(draws) == (few_shot.NUM_DRAWS if i < 4 else 1)
        assert record["mean"][i] == pytest.approx(sum(draws) / len(draws))
        np.testing.assert_allclose(record["low"][i], np.quantile(draws, 0.025))
        np.testing.assert_allclose(record["high"][i], np.quantile(draws, 0.975))
    over = record["over_clips"]
    np.testing.assert_allclose(over["mean"], record["mean"])
    assert np.all(np.diff([over[key] for key in ("low", "mean", "high")], axis=0) > 0)
    assert record["low"][0] < record["high"][0]


def test_draws_are_of_every_class_and_the_same_for_all_codes(monkeypatch):
    fitted = []
    fit = probes.fit

    def remember(kind, codes, classes, seed):
        fitted.append((codes[:, -1].astype(int), classes))
        return fit(kind, codes, classes, seed)

    monkeypatch.setattr(probes, "fit", remember)
    rows = np.arange(36.0)[:, None]
    for codes in (rows, np.concatenate([noisy(CLASSES, 1), rows], axis=1)):
        few_shot.curve(codes, CLASSES, codes[:5], CLASSES[:5], seed=3)
    first, second = fitted[: len(fitted) // 2], fitted[len(fitted) // 2 :]
    for (a, classes), (b, _) in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(classes, CLASSES[a])
    for i, count in enumerate((1, 2, 5, 10)):
        draws = [set(first[i * few_shot.NUM_DRAWS + d][0]) for d in range(few_shot.NUM_DRAWS)]
        assert len({frozenset(draw) for draw in draws}) > 1
        for draw in draws:
            np.testing.assert_array_equal(np.bincount(CLASSES[list(draw)]), [count] * 3)
    assert set(first[0][0]) < set(first[few_shot.NUM_DRAWS][0])


def test_scores_of_a_run_are_of_the_poses_of_24_frames(people):
    run, state, _ = people
    record = few_shot.score(run, state)
    check_documented({"few_shot": record})
    lengths = run.source.stores["test"].lengths
    assert record["num_clips"]["test"] == np.sum(lengths >= 24) > 12
    encode = jax.jit(functools.partial(inference.encode_pose, run.networks))
    known = []
    for split in ("train", "test"):
        store, clips = run.source.stores[split], few_shot._clips(run, split, 60)
        frames = store.gather(clips.numbers, clips.starts[:, None] + np.arange(24))
        known.append(np.asarray(encode(state.autoencoder, frames)).reshape(len(frames), -1))
        known.append(np.array([store.factors[number]["action"] for number in clips.numbers]))
    expected = few_shot.curve(*known, run.config.seed)
    # Another order of the same sums may change the answer to a clip.
    one = 1.5 / len(known[3])
    np.testing.assert_allclose(record["pose"]["mean"], expected["mean"], atol=one)
    assert record["pose"]["chance"] == np.bincount(known[3]).max() / len(known[3])
    assert record["content"]["num_labeled"] == record["pose"]["num_labeled"]


def test_one_encoder_has_no_content(people, autoencoder):
    one, both = few_shot.score(*autoencoder[:2]), few_shot.score(*people[:2])
    assert one["content"] is None
    assert one["num_clips"] == both["num_clips"]
    assert one["pose"]["num_labeled"] == both["pose"]["num_labeled"]


def test_codes_are_of_the_clips_in_their_order(people):
    clips = few_shot._clips(people[0], "test", 60)
    assert len(set(clips.numbers.tolist())) == len(clips.numbers)
    encoded = few_shot._encode(people[0], lambda x: {"mean": x.mean((2, 3, 4))}, "test", clips)
    store = people[0].source.stores["test"]
    frames = store.gather(clips.numbers, clips.starts[:, None] + np.arange(24))
    np.testing.assert_allclose(encoded["mean"], frames.mean((2, 3, 4)), rtol=1e-6)
