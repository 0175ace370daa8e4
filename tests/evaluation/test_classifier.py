"""Classifiers that judge frames: what they learn, and their weights in the user's cache."""

import jax
import numpy as np
import pytest

from drnet_jax.evaluation.judges import classifier

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "drnet_jax" / "judges"


def bright_halves(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns noisy pictures whose left (class 0) or right half (class 1) is bright."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, num)
    right = np.arange(20) >= 10
    bright = np.where(classes[:, None, None], right, ~right) * np.ones((20, 1))
    return np.float32(bright + 0.3 * rng.random((num, 20, 20)))[..., None], classes


def probabilities(pictures, classes, num_steps=30, key=KEY) -> np.ndarray:
    classify = classifier.fit(pictures, classes, 2, key, num_steps)
    return np.asarray(jax.jit(lambda classify, x: classify(x))(classify, pictures))


def test_a_kept_classifier_is_the_trained_one(cache, monkeypatch):
    pictures, classes = bright_halves(200)
    trained = probabilities(pictures, classes)
    assert np.mean(trained.argmax(axis=-1) == classes) > 0.95
    (file,) = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "_train", None)
        np.testing.assert_array_equal(probabilities(pictures, classes), trained)
    # A damaged one is trained again.
    whole = file.read_bytes()
    file.write_bytes(whole[:-10] + bytes(10))
    np.testing.assert_array_equal(probabilities(pictures, classes), trained)
    assert file.read_bytes() == whole


def test_other_arguments_have_another_classifier(cache, monkeypatch):
    pictures, classes = bright_halves(40)
    probabilities(pictures, classes, num_steps=1)
    probabilities(pictures, 1 - classes, num_steps=1)
    probabilities(pictures * 0.5, classes, num_steps=1)
    probabilities(pictures, classes, num_steps=2)
    probabilities(pictures, classes, num_steps=1, key=jax.random.key(1))
    monkeypatch.setattr(classifier, "BATCH_SIZE", 8)
    probabilities(pictures, classes, num_steps=1)
    assert len(list(cache.iterdir())) == 6


def test_a_cache_that_cannot_be_written_to_is_done_without(cache):
    cache.parent.mkdir()
    cache.write_text("a file where the folder would be")
    assert probabilities(*bright_halves(40), num_steps=1).shape == (40, 2)
