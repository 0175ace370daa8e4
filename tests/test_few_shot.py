"""Few labelled clips: scores that are known beforehand, and the figure on tiny runs."""

import numpy as np
import pytest
from people import autoencoder, people  # noqa: F401 (fixtures)
from sklearn.linear_model import LogisticRegression
from test_experiments import written

from drnet_jax.data.recorded import Recorded
from drnet_jax.evaluation import few_shot, probes
from experiments import actions, fig8_few_shot

RNG = np.random.default_rng(0)
CLASSES = np.repeat(np.arange(3), 12)
TEST_CLASSES = np.repeat(np.arange(3), [20, 30, 10])


def noisy(classes, noise):
    return np.eye(4)[classes] + RNG.normal(0, noise, (len(classes), 4))


def test_all_labelled_equals_scikit_learn():
    codes, test_codes = noisy(CLASSES, 0.6), noisy(TEST_CLASSES, 0.6)
    record = few_shot.score(codes, CLASSES, test_codes, TEST_CLASSES, seed=0)
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    reference = LogisticRegression(max_iter=1000).fit((codes - mean) / deviation, CLASSES)
    expected = reference.score((test_codes - mean) / deviation, TEST_CLASSES)
    assert record["num_labelled"] == [1, 2, 5, 10, 12]
    assert record["mean"][-1] == record["low"][-1] == record["high"][-1] == pytest.approx(expected)
    assert record["chance"] == 0.5
    assert 0.4 < expected < 1


def test_codes_that_tell_and_codes_that_do_not():
    sure = few_shot.score(np.eye(4)[CLASSES], CLASSES, np.eye(4)[TEST_CLASSES], TEST_CLASSES, 0)
    np.testing.assert_array_equal(sure["mean"], 1)
    blind = RNG.normal(size=(36, 4)), RNG.normal(size=(60, 4))
    record = few_shot.score(blind[0], CLASSES, blind[1], TEST_CLASSES, 0)
    assert np.all(np.abs(np.array(record["mean"]) - 1 / 3) < 0.2)


def test_bands_are_those_of_the_draws():
    record = few_shot.score(noisy(CLASSES, 0.9), CLASSES, noisy(TEST_CLASSES, 0.9), TEST_CLASSES, 0)
    for i, draws in enumerate(record["draws"]):
        assert len(draws) == (few_shot.NUM_DRAWS if i < 4 else 1)
        assert record["mean"][i] == pytest.approx(sum(draws) / len(draws))
        np.testing.assert_allclose(record["low"][i], np.quantile(draws, 0.025))
        np.testing.assert_allclose(record["high"][i], np.quantile(draws, 0.975))
    over = record["over_clips"]
    np.testing.assert_allclose(over["mean"], record["mean"])
    assert np.all(np.less(over["low"], over["mean"])) and np.all(
        np.less(over["mean"], over["high"])
    )
    assert record["low"][0] < record["high"][0]


def test_draws_are_of_every_class_and_the_same_for_all_codes(monkeypatch):
    fitted = []
    fit = probes.fit_classifier

    def remember(kind, codes, classes, seed):
        fitted.append((codes[:, -1].astype(int), classes))
        return fit(kind, codes, classes, seed)

    monkeypatch.setattr(probes, "fit_classifier", remember)
    rows = np.arange(36.0)[:, None]
    for codes in (rows, np.concatenate([noisy(CLASSES, 1), rows], axis=1)):
        few_shot.score(codes, CLASSES, codes[:5], CLASSES[:5], seed=3)
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


def test_figure(people, autoencoder, tmp_path, capsys):  # noqa: F811 (fixtures)
    fig8_few_shot.draw(tmp_path, people, autoencoder)
    record, arrays = written(tmp_path, "fig8_few_shot")
    store = people.run.source.stores["test"]
    enough = [f["action"] for f, n in zip(store.factors, store.lengths, strict=True) if n >= 24]
    np.testing.assert_array_equal(np.sort(arrays["test_classes"]), np.sort(enough))
    assert record["num_clips"]["test"] == len(enough) > 12
    assert arrays["DrNET, pose test"].shape == (len(enough), 24 * 3)
    assert arrays["DrNET, content test"].shape == (len(enough), 4)
    assert arrays["autoencoder test"].shape == (len(enough), 24 * 7)
    assert record["few_shot"].keys() == {"DrNET, pose", "DrNET, content", "autoencoder"}
    printed = capsys.readouterr().out
    assert f"{record['few_shot']['autoencoder']['mean'][-1]:.3f}" in printed
    np.testing.assert_allclose(
        record["few_shot"]["DrNET, pose"]["chance"], np.bincount(enough).max() / len(enough)
    )


def test_codes_are_of_the_clips_in_their_order(people):  # noqa: F811 (a fixture)
    clips = fig8_few_shot._clips(people.run, "test")
    assert len(set(clips.numbers.tolist())) == len(clips.numbers)
    codes = fig8_few_shot._encode(people.run, "test", clips, lambda f: f.mean((2, 3, 4)), 24)
    for code, number, start in zip(codes, clips.numbers, clips.starts, strict=True):
        one = Recorded(np.array([number]), np.array([0]))
        frames = people.run.source.frames("test", one, start + np.arange(24))[0]
        np.testing.assert_allclose(code, frames.mean((1, 2, 3)), rtol=1e-6)


def test_data_without_labels_are_refused(people, autoencoder, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(type(people.run.source.builder), "LABEL", "")
    with pytest.raises(ValueError, match=r"^kth has no labels of motion; KTH has\.$"):
        fig8_few_shot.draw(tmp_path, people, autoencoder)
    clips = people.run.source.all_clips("test")
    with pytest.raises(ValueError, match="has no labels"):
        actions.labels(people.run, "test", clips)
