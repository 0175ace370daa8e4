import json

import jax
import numpy as np
import pytest

from drnet_jax import main as command_line
from drnet_jax.commands import train
from drnet_jax.data.recorded import RecordedClips
from drnet_jax.evaluation import leakage, samples, swaps
from drnet_jax.runs.run import create_run
from tests.helpers import videos


def clips(numbers, starts):
    return RecordedClips(np.array(numbers), np.array(starts))


class Recorded:
    """Clips of 10 frames; two in a row are of one object."""

    def identities(self, split, clips, times):
        times = np.broadcast_to(times, (len(clips.numbers), np.shape(times)[-1]))
        return np.column_stack([clips.numbers, clips.starts[:, None] + times])

    def clusters(self, split, clips):
        return clips.numbers // 2


def test_a_clip_from_another_frame_on_is_another_sample_of_the_same_clip():
    drawn = samples.distinct(Recorded(), "test", clips([4, 5, 4, 4, 0], [1, 1, 1, 2, 1]))
    assert drawn.rows.tolist() == [0, 1, 3, 4]
    assert drawn.clusters.tolist() == [2, 2, 2, 0]
    assert drawn.counts == {"num_clips": 3, "num_samples": 4, "num_independent": 2}


def test_frames_that_are_reached_from_different_starts_are_the_same():
    times = np.array([[3], [2], [2]])
    drawn = samples.distinct(Recorded(), "test", clips([4, 4, 4], [1, 2, 1]), times=times)
    assert drawn.rows.tolist() == [0, 2]


def test_pairs_are_of_two_clips_and_have_two_clusters():
    first, second = clips([4, 5, 4, 4, 0], [1, 1, 1, 2, 1]), clips([1, 5, 1, 1, 4], [0, 2, 0, 0, 1])
    drawn = samples.distinct(Recorded(), "test", first, second)
    assert drawn.rows.tolist() == [0, 3, 4]
    assert drawn.clusters.tolist() == [[2, 0], [2, 0], [0, 2]]
    assert drawn.counts == {"num_clips": 2, "num_samples": 3, "num_independent": 2}


def test_generated_clips_are_all_distinct(tiny_run):
    source = tiny_run[0].source
    drawn = samples.distinct(source, "test", source.sample("test", jax.random.key(0), 7))
    assert drawn.rows.tolist() == list(range(7)) and drawn.clusters is None
    assert drawn.counts == {"num_clips": 7, "num_samples": 7, "num_independent": 7}


@pytest.mark.parametrize("shift", [1, 2])
def test_no_partner_is_of_the_same_clip(shift):
    rows = samples.partners(np.arange(6), shift)
    np.testing.assert_array_equal(np.arange(6)[rows], np.roll(np.arange(6), shift))
    numbers = np.array([3, 3, 3, 1, 3, 2, 2])
    assert np.all(numbers[samples.partners(numbers, shift)] != numbers)


def test_persons_are_clusters_of_kth(people):
    source = people[0].source
    store = source.stores["test"]
    persons = [clip["person"] for clip in store.factors]
    assert len(np.unique(store.clusters)) == len(set(persons)) < len(np.unique(store.contents))
    drawn = source.all_clips("test")
    for a, of_a in zip(persons, source.clusters("test", drawn), strict=True):
        for b, of_b in zip(persons, store.clusters, strict=True):
            assert (a == b) == (of_a == of_b)


def record(num_clips, num_independent, swap=1, in_rollouts=10):
    numbers = {"num_clips": num_clips, "num_independent": num_independent}
    prediction = {"num_independent": in_rollouts} if in_rollouts else None
    return numbers | {"swap": swap, "prediction": prediction}


def test_warnings():
    assert samples.warnings(record(10, 10)) == samples.warnings(record(10, 10, 1, None)) == []
    (few,) = samples.warnings(record(72, 3, in_rollouts=2))
    expected = "of only 3 independent held-out clips or groups of clips, fewer than 10: their "
    assert few.startswith(f"Scores are {expected}")
    (few,) = samples.warnings(record(72, 30, in_rollouts=3))
    assert few.startswith(f"Scores of rollouts are {expected}")
    none, left_out = samples.warnings(record(1, 1, None))
    assert none.startswith("Scores are of only 1 independent held-out clip, fewer than 10: there a")
    assert left_out.startswith("Swaps, the discriminator and fresh discriminators are left out")
    (unknown,) = samples.warnings(record(20, 20, None))
    assert unknown == "Swaps are left out: what they should show is unknown for these data."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with 12 videos of 20 frames."""
    folder = tmp_path_factory.mktemp("few_videos")
    for number in range(12):
        videos.write_video(folder / "videos" / f"{number}.avi", videos.clip(number, num_frames=20))
    return folder


def few_videos(folder, test_fraction):
    config = command_line._load_config({"config": "configs/video_folder.py:smoke"})
    config.data.update(folder=str(folder / "videos"), data_dir=str(folder), image_size=16)
    config.data.real.test_fraction = test_fraction
    config.drnet.num_steps = config.predictor.num_steps = 2
    config.evaluation.update(num_clips=30, batch_size=20, horizon=3)
    config.rollout.num_steps = 5
    config.update(sample_every_steps=0, checkpoint_every_steps=0)
    return config


@pytest.mark.slow
def test_one_held_out_video_is_not_scored_against_itself(folder, tmp_path):
    workdir = tmp_path
    train.run(few_videos(folder, 0.1), workdir)
    record = json.loads((workdir / "evaluation.json").read_text())
    assert "11 training clips, 1 test clip" in record["data"]["note"]
    assert record["num_clips"] == record["num_independent"] == 1
    # 20 frames; five are observed and three follow, so there are 13 starts for 30 draws.
    assert 1 < record["num_samples"] <= 13
    assert record["swap"] is None and record["discriminator"]["accuracy"] is None
    assert set(record["leakage"]["discriminator"].values()) == {None}
    assert record["prediction"]["num_clips"] == record["neighbors"]["num_clips"] == 1
    for psnr in (record["reconstruction"]["psnr"], record["prediction"]["model"]["psnr"]):
        assert psnr["mean"] > 0 and psnr["low"] is None and psnr["high"] is None
    assert record["collapse"]["content_spread"] is None
    assert len(record["warnings"]) == 2
    page = (workdir / "report.html").read_text()
    for warning in record["warnings"]:
        assert warning in page
    assert "no interval" in page
    assert len(np.load(workdir / "samples" / "rollout.npz")["frames"]) == 1


@pytest.mark.slow
def test_two_held_out_videos_are_scored_against_each_other(folder, tmp_path):
    run = create_run(few_videos(folder, 0.2), tmp_path)
    assert len(run.source.stores["test"]) == 2
    state = run.init_drnet()
    _, (a, b) = swaps.held_out_batch(run, jax.random.key(0), 20)
    assert np.all(a.numbers != b.numbers)
    record = swaps.score(run, state, None, None, np.zeros(run.frame_shape, np.float32))
    assert record["num_clips"] == record["num_independent"] == 2
    # Both pairs have the same two videos: nothing can be resampled.
    assert record["discriminator"]["accuracy"]["low"] is None
    found = leakage.score(run, state)["leakage"]["discriminator"]["same_clip"]
    assert 0 <= found["mean"] <= 1
