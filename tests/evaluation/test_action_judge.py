"""The judge of actions, of moving squares and of a run."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from drnet_jax.base import prng
from drnet_jax.data.recorded import RecordedClips
from drnet_jax.evaluation import few_shot
from drnet_jax.evaluation.held_out import roll_out
from drnet_jax.evaluation.judges import actions as action_judge
from drnet_jax.evaluation.judges import classifier
from drnet_jax.evaluation.judges.actions import SPAN
from drnet_jax.evaluation.judges.classifier import Judge
from tests.evaluation.test_evaluate import check_documented

NAMES = ["down", "sideways", "still"]


class Squares:
    """A square that moves down, sideways or not at all, before a gray that its clip determines."""

    def __init__(self):
        self.truth = self

    def labels(self, split, clips):
        return clips.numbers % 3, NAMES

    def all_clips(self, split, num_frames):
        return RecordedClips(np.arange(30), np.zeros(30, int))

    def clusters(self, split, clips):
        return clips.numbers

    def lengths(self, split, clips):
        return np.full(len(clips.numbers), 12)

    def sample(self, split, key, num_clips, *, num_frames):
        numbers = prng.host_generator(key).integers(30, size=(2, num_clips))
        return RecordedClips(numbers[0], numbers[1] % (12 - num_frames))

    def frames(self, split, clips, times):
        times = clips.starts[:, None] + times
        frames = np.empty((*times.shape, 20, 20, 1), np.uint8)
        for i, j in np.ndindex(times.shape):
            number, time = clips.numbers[i], times[i, j]
            y, x, shade = np.random.default_rng([number, split == "test"]).integers([6, 6, 100])
            down, right = [(time, 0), (0, time), (0, 0)][number % 3]
            frames[i, j] = shade
            frames[i, j, y + down : y + down + 5, x + right : x + right + 5] = 200
        return frames


@pytest.fixture(scope="module")
def judged():
    """A judge of moving squares."""
    config = types.SimpleNamespace(seed=0, evaluation=types.SimpleNamespace(judge_steps=60))
    run = types.SimpleNamespace(source=Squares(), config=config, key=jax.random.key(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(action_judge, "SIDE", 20)
        with pytest.MonkeyPatch.context() as briefly:
            briefly.setattr(classifier, "BATCH_SIZE", 24)
            judge = action_judge.train(run)
        yield run.source, judge


def test_a_judge_learns_and_scores_itself(judged):
    source, judge = judged
    record = judge.record
    assert record["accuracy"]["mean"] > 0.9
    assert record["chance"] == pytest.approx(1 / 3)
    assert (record["num_clips"], record["num_windows"]) == (30, 30 * action_judge.NUM_TEST_WINDOWS)
    clips = source.all_clips("test", 1)
    said = judge.probabilities(source.frames("test", clips, np.arange(12)))
    assert said.shape == (30, 12 - SPAN, 3)
    np.testing.assert_allclose(said.sum(axis=-1), 1, rtol=1e-5)
    assert np.mean(said.argmax(axis=-1) == clips.numbers[:, None] % 3) > 0.9


def test_a_frame_is_judged_with_those_just_before(judged):
    source, judge = judged
    frames = source.frames("test", source.all_clips("test", 1), np.arange(10))
    said = judge.probabilities(frames)
    for i in (0, 3):
        alone = judge.probabilities(frames[:, i : i + SPAN + 1])[:, 0]
        np.testing.assert_allclose(said[:, i], alone, atol=1e-5)
    frames[:, 7, :, :10] = 255
    changed = np.abs(judge.probabilities(frames) - said).max(axis=(0, 2)) > 1e-4
    # Windows of frames 0, 2 and 4 before: frame 7 is in those that begin at 3, 5 and 7.
    np.testing.assert_array_equal(changed, [False, False, False, True, False, True])


def brightness(frames):
    """Returns probabilities that tell frames apart: their brightness and its complement."""
    bright = np.asarray(frames)[:, SPAN:].mean(axis=(2, 3, 4)) / 255
    return np.stack([bright, 1 - bright], axis=-1)


@pytest.fixture
def stub(monkeypatch):
    """A judge that tells how light it is."""
    judge = Judge(brightness, {"names": ["light", "dark"]})
    monkeypatch.setattr(action_judge, "train", lambda run: judge)


def test_scores_of_a_run(people, stub):
    """The scores of real frames are those of plain arithmetic on the clips that have not ended."""
    run, state, predictor = people
    record = action_judge.score(run, state, predictor)
    check_documented({"actions": record})
    assert record["steps"] == [5, 6, 7, 8, 9]
    clips = run.source.all_clips("test", 3 + 5)
    lengths = run.source.stores["test"].lengths[clips.numbers]
    # Three frames are observed, so step 5 is frame number 7.
    assert record["num_clips"] == [int(np.sum(lengths > 2 + step)) for step in range(5, 10)]
    light = run.source.frames("test", clips, np.arange(7, 12)).mean(axis=(2, 3, 4)) / 255
    classes, _ = run.source.truth.labels("test", clips)
    for step in range(5):
        goes_on = lengths > 7 + step
        p = np.stack([light[goes_on, step], 1 - light[goes_on, step]], axis=-1)
        expected = {
            "inception_score": np.exp(np.mean(np.sum(p * np.log(p / p.mean(axis=0)), axis=1))),
            "entropy_given_frame": -np.sum(p * np.log(p), axis=1).mean(),
            "accuracy": np.mean(p.argmax(axis=1) == classes[goes_on]),
        }
        means = {name: record["truth"][name]["mean"][step] for name in expected}
        assert means == pytest.approx(expected)


def test_generated_frames_are_judged_in_their_order(people, stub, monkeypatch):
    run, state, predictor = people
    seen = []
    monkeypatch.setattr(action_judge, "scores_by_step", lambda p, *_: seen.append(p))
    monkeypatch.setattr(action_judge, "_CLIPS_AT_ONCE", 7)
    action_judge.score(run, state, predictor)
    clips = run.source.all_clips("test", 3 + 5)
    _, generated, _ = roll_out(run, state, predictor, clips, 9)
    np.testing.assert_allclose(seen[0], brightness(generated), atol=1 / 255)


def test_no_more_clips_than_asked_for(people):
    run = people[0]
    config = ml_collections.ConfigDict(run.config.to_dict())
    config.evaluation.num_clips = 5
    some = action_judge._clips(dataclasses.replace(run, config=config), 8)
    assert len(set(some.numbers.tolist())) == 5
    assert len(action_judge._clips(run, 8).numbers) == 24
    assert len(few_shot._clips(run, "test", 5).numbers) == 5


def test_data_without_labels_or_long_clips_have_no_scores(people, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(action_judge, "MAX_STEPS", SPAN)
        assert action_judge.score(*people) is None
        patch.setattr(few_shot, "NUM_FRAMES", 31)
        assert few_shot.score(*people[:2]) is None
    monkeypatch.setattr(type(people[0].source.builder), "LABEL", "")
    assert action_judge.score(*people) is None and few_shot.score(*people[:2]) is None


def test_judge_of_people(people, monkeypatch):
    monkeypatch.setattr(action_judge, "NUM_TRAINING_WINDOWS", 100)
    monkeypatch.setattr(action_judge, "NUM_TEST_WINDOWS", 2)

    def fit(pictures, classes, num_classes, key, num_steps):
        assert pictures.shape == (100, action_judge.SIDE, action_judge.SIDE, 3)
        return jax.tree_util.Partial(
            lambda pictures: jnp.full((*pictures.shape[:-3], num_classes), 1 / num_classes)
        )

    monkeypatch.setattr(classifier, "fit", fit)
    judge = action_judge.train(people[0])
    names = ["boxing", "handclapping", "handwaving", "jogging", "running", "walking"]
    assert judge.record["names"] == names
    # A person does all six actions in each of four scenarios.
    assert (judge.record["num_clips"], judge.record["num_windows"]) == (24, 48)
    assert judge.record["chance"] == pytest.approx(1 / 6)
    assert judge.record["num_training_windows"] == 100
