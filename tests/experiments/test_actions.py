"""Figures of actions: few labeled clips and Inception scores, both from scores written by hand."""

import copy

import numpy as np
import pytest

from experiments import fig8_few_shot, fig9_inception
from experiments.shared import actions
from tests.helpers.finished import finish_both


def curve(mean):
    columns = {"mean": [mean, mean + 0.1], "low": [mean - 0.05] * 2, "high": [mean + 0.2] * 2}
    return {"num_labeled": [1, 4.0], **columns, "chance": 0.25}


def few_shot(pose, content):
    num_clips = {"train": 24, "test": 20}
    return {"few_shot": {"num_frames": 24, "num_clips": num_clips, "pose": pose} | content}


def steps_of(mean):
    return {"mean": [mean, mean + 0.5], "low": [mean - 0.25] * 2, "high": [mean + 1] * 2}


def inception(score):
    def answer(score):
        return {"inception_score": steps_of(score), "accuracy": steps_of(score / 10)}

    judge = {"accuracy": {"mean": 0.4, "low": 0.3, "high": 0.5}, "chance": 0.25}
    judge |= {"names": ["up", "down"], "num_steps": 2}
    record = {"judge": judge, "steps": [5, 6], "num_clips": [20, 18]}
    return {"actions": record | {"model": answer(score), "truth": answer(5.5)}}


FEW_SHOT = few_shot(curve(0.6), {"content": curve(0.4)})
FEW_SHOT_BASELINE = few_shot(curve(0.35), {"content": None})


def test_few_labeled_clips(data_dir, tmp_path):
    (figure,) = fig8_few_shot.draw(*finish_both(data_dir, tmp_path, FEW_SHOT, FEW_SHOT_BASELINE))
    assert figure.numbers["few_shot"] == {
        "DrNET, pose": curve(0.6),
        "DrNET, content": curve(0.4),
        "autoencoder": curve(0.35),
    }
    assert figure.numbers["num_clips"] == {"train": 24, "test": 20}
    np.testing.assert_allclose(figure.arrays["autoencoder"], [0.35, 0.45])
    printed = str(figure.tables[0])
    assert "0.600 [0.550, 0.800]" in printed and "0.350 [0.300, 0.550]" in printed
    assert "20 clips of held-out people" in figure.caption


def test_inception_scores(data_dir, tmp_path):
    (figure,) = fig9_inception.draw(*finish_both(data_dir, tmp_path, *map(inception, (3.5, 2.5))))
    assert "0.40 [0.30, 0.50] (chance 0.25), too low to rely on" in figure.caption
    assert "20 at the first step and 18 at the last" in figure.caption
    for name, score in ((actions.REAL, 5.5), (actions.MODEL, 3.5), (actions.AUTOENCODER, 2.5)):
        assert figure.numbers["scores"][name]["inception_score"] == steps_of(score)
        np.testing.assert_array_equal(figure.arrays[name], [score, score + 0.5])
    assert "3.50 [3.25, 4.50]" in str(figure.tables[0])


def test_scores_of_other_clips_or_judges_are_refused(data_dir, tmp_path):
    other = copy.deepcopy(FEW_SHOT_BASELINE)
    other["few_shot"]["num_clips"]["test"] = 19
    pair = finish_both(data_dir, tmp_path, FEW_SHOT | inception(3.5), other | inception(2.5))
    expected = r"not scored like .*/kth: few_shot.num_clips.test is 19 there and 20 here\.$"
    with pytest.raises(ValueError, match=expected):
        next(fig8_few_shot.draw(*pair))
    with pytest.raises(ValueError, match=r"has content_encoder='dcgan_unet'; expected 'none'\.$"):
        next(fig8_few_shot.draw(*pair[::-1]))
    other = inception(2.5)
    other["actions"]["judge"]["num_steps"] = 3
    pair = finish_both(data_dir, tmp_path, inception(3.5), other)
    expected = r"not scored like .*/kth: actions.judge.num_steps is 3 there and 2 here\.$"
    with pytest.raises(ValueError, match=expected):
        next(fig9_inception.draw(*pair))
