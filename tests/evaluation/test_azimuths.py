"""Azimuths of rollouts whose errors are known beforehand: shifted, still and backward turns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.base.arrays import as_float
from drnet_jax.evaluation import azimuths, rollouts, summary
from drnet_jax.runs.run import create_run
from tests.helpers import finished

LAST = 2  # The time of the last observed frame.
STEPS = rollouts.scored_steps(80, 36)


@pytest.fixture(scope="module")
def model(data_dir, tmp_path_factory):
    """An untrained run on turns of 36 frames, and its states."""
    config = finished.tiny("suncg", data_dir)
    config.data.stand_in.update(num_identities=4, num_azimuths=36)
    config.evaluation.update(rollout_clips=4, rollout_steps=80)
    run = create_run(config, tmp_path_factory.mktemp("suncg"))
    return run, run.init_drnet(), run.init_predictor()


@pytest.fixture
def errors_of(model):
    """Returns the errors of rollouts of 4 clips that show the real frames at `times`, darkened."""
    run = model[0]

    def errors_of(times):
        clips = run.source.sample("test", jax.random.key(0), 4)
        truth = run.source.frames("test", clips, LAST + STEPS)
        # Slightly off, as generated frames are.
        frames = 0.98 * as_float(run.source.frames("test", clips, times))
        return azimuths.measure(run, clips, {"model": frames, "truth": truth}, STEPS)

    return errors_of


def records_of(errors):
    return azimuths.records(errors, STEPS, 36, seed=0)


def test_every_step_of_the_first_turns_is_scored():
    assert STEPS.tolist() == [*range(1, 73), 75, 80]
    steps = rollouts.scored_steps(1000, 18)
    assert {*range(1, 37), *range(163, 181)} <= set(steps.tolist())


@pytest.mark.parametrize(("shift", "degrees"), [(0, 0), (1, 10), (-3, 30), (18, 180), (35, 10)])
def test_a_shifted_turn_is_off_by_ten_degrees_a_frame(errors_of, shift, degrees):
    errors = errors_of(LAST + STEPS + shift)
    assert errors["model"].shape == (4, len(STEPS))
    np.testing.assert_array_equal(errors["model"], degrees)
    np.testing.assert_array_equal(errors["truth"], 0)
    record = records_of(errors)
    for end in ("mean", "low", "high"):
        assert record["azimuth_error"]["model"][end] == [degrees] * len(STEPS)
        assert record["turns"]["model"][end] == [degrees, degrees]
    for limit in azimuths.NEAR:
        share = record[f"azimuth_within_{limit}"]["model"]["mean"]
        np.testing.assert_array_equal(share, degrees <= limit)


def test_the_last_frame_is_right_after_a_turn_and_opposite_after_half_a_turn(errors_of):
    errors = errors_of(np.full(len(STEPS), LAST))
    np.testing.assert_array_equal(*np.broadcast_arrays(errors["model"], errors["copy_last_frame"]))
    record = records_of(errors)
    at = dict(zip(STEPS.tolist(), record["azimuth_error"]["copy_last_frame"]["mean"], strict=True))
    assert (at[1], at[18], at[30], at[36], at[54]) == (10, 180, 60, 0, 180)
    assert record["turns"]["model"]["mean"] == [90, 90]


def test_a_backward_turn_scores_as_chance(errors_of):
    record = records_of(errors_of(LAST - STEPS))
    errors = record["azimuth_error"]["model"]["mean"]
    assert errors[:10] == [20, 40, 60, 80, 100, 120, 140, 160, 180, 160]
    assert record["turns"]["model"]["mean"] == [90, 90] and azimuths.CHANCE == 90


def test_scores_are_medians_and_shares_over_clips(errors_of):
    # 0, 10, 30 and 90 degrees.
    record = records_of(errors_of(LAST + STEPS + np.array([[0], [1], [3], [9]])))
    np.testing.assert_array_equal(record["azimuth_error"]["model"]["mean"], 20)
    np.testing.assert_array_equal(record["azimuth_within_10"]["model"]["mean"], 0.5)
    np.testing.assert_array_equal(record["azimuth_within_30"]["model"]["mean"], 0.75)


def test_short_rollouts_have_no_whole_turn():
    record = azimuths.records({"model": np.full((3, 20), 10)}, np.arange(1, 21), 36, seed=0)
    assert record["turns"] == {"num_frames": 36, "numbers": []}
    assert record["azimuth_error"]["model"]["mean"] == [10] * 20


def test_the_nearest_view_has_the_least_squared_distance():
    rng = np.random.default_rng(0)
    frames, views = rng.random((2, 5, 4, 4, 3)), rng.random((2, 7, 4, 4, 3))
    distances = np.square(frames[:, :, None] - views[:, None]).sum(axis=(3, 4, 5))
    found = azimuths.nearest(np.float32(frames), np.float32(views))
    np.testing.assert_array_equal(found, distances.argmin(axis=2))
    # Views that differ in one pixel, by one level.
    views = np.full((1, 5, 64, 64, 3), 200, np.uint8)
    views[0, np.arange(5), 0, np.arange(5)] = 201
    np.testing.assert_array_equal(azimuths.nearest(views[:, ::-1], views), [[4, 3, 2, 1, 0]])


def test_differences_of_angles_go_the_shorter_way():
    a, b = np.array([[0, 350, 10, 720, 90], [0, 10, 350, 0, 271]])
    np.testing.assert_array_equal(azimuths.difference(a, b), [0, 20, 20, 0, 179])


def test_rollouts_of_turns_are_scored_and_summarized(model, monkeypatch):
    run, sampled = model[0], []
    sample = run.source.sample

    def remember(*args, **settings):
        sampled.append(sample(*args, **settings))
        return sampled[-1]

    def one_frame_ahead(_run, _state, _predictor, _num_steps, decoded):
        return lambda _: as_float(run.source.frames("test", sampled[-1], LAST + decoded + 1))

    monkeypatch.setattr(run.source, "sample", remember)
    monkeypatch.setattr(rollouts, "_make_rollout", one_frame_ahead)
    rollout = rollouts.score(*model, None, jnp.zeros((16, 16, 3)))["rollout"]
    assert rollout["steps"] == STEPS.tolist() and rollout["horizons"] == [10, 36, 50, 72]
    assert rollout["azimuth_error"]["model"]["mean"] == [10] * len(STEPS)
    # What untrained networks make of the true poses.
    assert any(rollout["azimuth_error"]["true_poses"]["mean"])

    score = {"mean": 0.5, "low": 0.4, "high": 0.6}
    record = dict.fromkeys(
        ("prediction", "swap", "judge", "actions", "few_shot", "neighbors", "blocks", "pde_sep")
    )
    record |= {
        "reconstruction": {"psnr": score, "ssim": score},
        "rollout": rollout,
        "leakage": {"probes": None, "discriminator": {}},
        "discriminator": {"accuracy": None},
        "collapse": {"warnings": []},
        "warnings": [],
    }
    lines = [" ".join(line.split()) for line in summary.text(record).splitlines()]
    assert "azimuth error, median [deg] 10 10 10 10" in lines
    assert "azimuth within 10 deg 1.00 1.00 1.00 1.00" in lines
    turns = lines.index("azimuth error over turn [deg] 1 2 chance")
    assert lines[turns + 1] == "this model 10 10 90"
    assert lines[turns + 3] == "copy last frame 90 90 90"


def test_digits_have_no_azimuths(tiny_run):
    truth = tiny_run[0].source.truth
    clips = tiny_run[0].source.sample("test", jax.random.key(0), 2)
    assert truth.turn_length("test") is None
    assert truth.azimuths("test", clips, np.arange(2)) is None
