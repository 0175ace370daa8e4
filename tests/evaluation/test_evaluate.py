import itertools
import json
import pathlib
import re
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from drnet_jax.base.errors import InputError
from drnet_jax.commands import evaluate
from drnet_jax.evaluation import score, summary, swaps
from drnet_jax.models import registry as build
from drnet_jax.models.content import Content


def intervals(record):
    """Yields every score with an interval in a nested record, as arrays (mean, low, high)."""
    if isinstance(record, dict) and record.keys() >= {"mean", "low", "high"}:
        yield np.array([record[key] for key in ("mean", "low", "high")])
    elif isinstance(record, dict | list):
        for part in record.values() if isinstance(record, dict) else record:
            yield from intervals(part)


def test_record_has_every_score_with_its_interval_and_is_documented(trained):
    record = json.loads((trained / "evaluation.json").read_text())
    check_documented(record)
    assert record["schema_version"] == score.SCHEMA_VERSION
    for name in ("num_clips", "num_samples", "num_independent"):
        assert record[name] == 10
    assert "embedded" in record["data"]["note"]
    for part in ("reconstruction", "prediction", "swap", "swap_judge", "rollout"):
        assert len(list(intervals(record[part]))) > 3
    assert len(list(intervals(record["neighbors"]))) == 2
    assert record["few_shot"] is None and record["actions"] is None
    for mean, low, high in intervals(record):
        assert np.all(low <= mean + 1e-9) and np.all(mean <= high + 1e-9)
    answers = {"model", "predicted", "copy_content_frame", "copy_pose_frame", "mean_frame"}
    assert answers < record["swap"].keys()
    assert [swap["horizon"] for swap in record["swap"]["by_horizon"]] == [10, 95, 500]
    assert record["prediction"].keys() == {
        *("horizon", "num_clips", "num_samples", "num_independent"),
        *("model", "copy_last_frame", "mean_frame"),
    }


def check_documented(record):
    """Asserts that docs/evaluation.md has all names of a record, and no others of its parts."""
    text = (pathlib.Path(__file__).parent.parent.parent / "docs" / "evaluation.md").read_text()
    table = "".join(line for line in text.splitlines() if line.startswith("| `"))
    documented = set(re.findall(r"`([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)?)`", table))
    parts = {part for part, value in record.items() if isinstance(value, dict)}
    names = {f"{part}.{name}" for part in parts for name in record[part]}
    names |= {part for part, value in record.items() if value is not None} - parts
    assert names <= documented
    assert {name for name in documented if "." in name and name.split(".")[0] in parts} <= names
    # What these data do not allow has names all the same.
    assert record.keys() <= {name.split(".")[0] for name in documented}


def test_summary_of_what_few_data_allow(trained):
    record = json.loads((trained / "evaluation.json").read_text())
    plain = summary.text(record)
    assert "COLLAPSED" not in summary.text(record | {"collapse": {"warnings": []}})
    collapsed = record | {"collapse": {"warnings": ["all clips have the same content."]}}
    assert "COLLAPSED: all clips have the same content." in summary.text(collapsed).splitlines()
    assert "closest of 20,000 training frames" in plain and "action" not in plain
    over = {"mean": [0.25, 0.5, 0.75]}
    answer = {"inception_score": over, "accuracy": over}
    own = {"accuracy": {"mean": 0.9, "low": 0.8, "high": 0.95}, "chance": 0.2}
    actions = {"judge": own, "steps": [5, 6, 7], "model": answer, "truth": answer}
    few_shot = {"pose": over | {"num_labeled": [1, 2, 3.5], "chance": 0.2}, "content": None}
    text = summary.text(record | {"actions": actions, "few_shot": few_shot})
    assert "from content" not in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "Judge of actions: accuracy 0.900 [0.800, 0.950] on real clips, chance 0.200." in lines
    assert "inception score 0.250 0.500 0.750" in lines
    assert "from pose 0.250 0.500 0.750 0.200" in lines


def test_a_model_without_predictor_has_no_rollouts(tiny_run, monkeypatch):
    # These parts never see the predictor.
    monkeypatch.setattr(score.object_judge, "train", lambda run: None)
    monkeypatch.setattr(score.leakage, "score", lambda run, drnet: {})
    record = score.score_run(*tiny_run[:2])
    for part in ("rollout", "prediction", "actions", "neighbors"):
        assert record[part] is None
    assert "predicted" not in record["swap"]


@pytest.mark.parametrize("part", ["_judge", "_mean_frame"])
def test_errors_of_scores_in_other_threads_are_raised(tiny_run, monkeypatch, part):
    threads = []

    def fail(run):
        threads.append(threading.current_thread())
        raise ValueError(part)

    monkeypatch.setattr(score, part, fail)
    monkeypatch.setattr(score.leakage, "score", lambda run, drnet: {})
    with pytest.raises(ValueError, match=part):
        score.score_run(*tiny_run[:2])
    assert threads[0] is not threading.main_thread()


def test_truth_of_a_swap_is_a_digits_on_b_tracks(tiny_run):
    """Drawn once more in NumPy: a digit of A wherever a digit of B is, both assignments."""
    run = tiny_run[0]
    batch, (a, b) = jax.device_get(swaps.held_out_batch(run, jax.random.key(3), 4))
    generator, later = run.source.generator, 4 + np.array([[10, 95, 500]] * 4)
    digits = run.source._images["test"]
    places = np.asarray(jax.jit(generator.positions)(b, later))
    for clip, time, (i, order) in itertools.product(
        range(4), range(3), enumerate([(0, 1), (1, 0)])
    ):
        expected = np.zeros((16, 16, 3), np.uint8)
        for n in (0, 1):
            y, x = places[clip, time, order[n]]
            expected[y : y + 8, x : x + 8, n] = digits[a.digits[clip, n]]
        front = a.front[clip]
        expected[expected[:, :, front] > 0, 1 - front] = 0
        np.testing.assert_array_equal(batch["targets"][clip, time, i], expected)
    key_a, key_b, _ = jax.random.split(jax.random.key(3), 3)
    for clips, key in ((a, key_a), (b, key_b)):
        jax.tree.map(np.testing.assert_array_equal, clips, run.source.sample("test", key, 4))
    own = run.source.frames("test", a, np.array([4]))
    np.testing.assert_array_equal(batch["content"], own[:, 0])


def test_best_assignment_is_chosen_clip_by_clip():
    rng = np.random.default_rng(0)
    targets = rng.random((3, 1, 2, 12, 12, 3), np.float32)
    frames = np.stack([targets[0, :, 0], targets[1, :, 1], targets[2, :, 0]]) * np.float32(0.9)
    best = jax.jit(swaps.best)(frames, targets)
    expected = [
        max(peak_signal_noise_ratio(t, frames[i, 0], data_range=1) for t in targets[i, 0])
        for i in range(3)
    ]
    np.testing.assert_allclose(best["psnr"][:, 0], expected, rtol=1e-5)
    assert np.all(best["ssim"] > 0.9)


class Stub:
    """A network that is a plain function of its inputs."""

    def __init__(self, function):
        self.function = function

    def apply(self, _variables, *inputs, train=False):
        assert not train
        return self.function(*inputs)


def test_scores_compare_the_right_frames(tiny_run):
    """Poses that are whole frames, decoded to themselves, must rebuild perfectly and swap badly."""
    run, state, _ = tiny_run
    batch, _ = swaps.held_out_batch(run, jax.random.key(0), 4)
    batch |= {"content": batch["targets"][:, 0, 1], "random_1": batch["random_0"]}
    networks = build.Networks(
        content_encoder=Stub(lambda frames: Content(frames.reshape(len(frames), -1))),
        pose_encoder=Stub(lambda frames: frames.reshape(len(frames), -1)),
        decoder=Stub(lambda content, pose: pose.reshape(-1, 16, 16, 3)),
        discriminator=Stub(lambda a, b: jnp.where(jnp.all(a == b, axis=1), 1.0, -1.0)),
    )
    score_batch = swaps.compiled_scorer(networks, None, swaps.swap_horizons(run), headline=0)
    scores, swapped = score_batch(state, None, batch, jnp.zeros((16, 16, 3)))
    np.testing.assert_allclose(scores["reconstruction"]["model"]["psnr"], 100, rtol=1e-5)
    np.testing.assert_allclose(scores["discriminator"], 1)
    np.testing.assert_allclose(swapped, batch["pose"][:, 0] / 255.0, rtol=1e-6)
    for name in ("psnr", "ssim"):
        np.testing.assert_array_equal(
            scores["swap"]["model"][name], scores["swap"]["copy_pose_frame"][name]
        )
    assert np.all(scores["swap"]["model"]["psnr"] < 60)
    # Copying the content frame is perfect where that frame is one of the targets.
    copied = scores["swap"]["copy_content_frame"]["psnr"]
    np.testing.assert_allclose(copied[:, 0], 100, rtol=1e-5)
    energy = np.mean((np.asarray(batch["targets"]) / 255.0) ** 2, axis=(3, 4, 5)).min(axis=2)
    np.testing.assert_allclose(
        scores["swap"]["mean_frame"]["psnr"], -10 * np.log10(energy), rtol=1e-4
    )


def test_mean_training_frame_is_digits_spread_over_their_places(tiny_run):
    run = tiny_run[0]
    mean = np.asarray(score.mean_training_frame(run))
    assert mean.shape == (16, 16, 3)
    np.testing.assert_array_equal(mean[:, :, 2], 0)
    # A digit fills a quarter of the frame; half of them lie behind the other one, in part.
    ink = np.mean(run.source._images["train"] / 255.0) / 4
    assert np.all(mean.mean((0, 1))[:2] < 1.05 * ink)
    assert np.all(mean.mean((0, 1))[:2] > 0.7 * ink)


def test_untrained_workdir_is_refused(config, tmp_path):
    with pytest.raises(InputError, match=r"nothing has been trained there"):
        evaluate.run(config, tmp_path)
    assert not list(tmp_path.iterdir())
