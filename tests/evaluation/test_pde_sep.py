"""The test of PDE-sep on a run whose model is a plain function of what it observes."""

import types

import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from drnet_jax.data.moving_mnist.digits import Digits
from drnet_jax.evaluation import metrics, pde_sep, summary
from drnet_jax.evaluation import pde_sep_benchmark as benchmark
from drnet_jax.models.content import Content
from drnet_jax.models.registry import Networks
from tests.evaluation.test_evaluate import Stub
from tests.helpers.networks import tiny_state
from tests.test_configs import load


@pytest.fixture
def run(monkeypatch):
    """A run on random digits that are taken for MNIST, which repeats what its content shows."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10_000, 28, 28), np.uint8)
    labels = rng.integers(0, 10, 10_000).astype(np.int32)
    networks = Networks(
        content_encoder=Stub(lambda frames: Content(frames.reshape(len(frames), -1))),
        pose_encoder=None,
        decoder=Stub(lambda content, poses: content.vector.reshape(-1, 64, 64, 1)),
        discriminator=None,
    )

    def predict_poses(networks, predictor, autoencoder, variables, observed, num_steps):
        content = networks.content_encoder.apply({}, observed[:, -1].astype(jnp.float32) / 255)
        return content, jnp.zeros((len(observed), num_steps, 4))

    monkeypatch.setattr(pde_sep, "predict_poses", predict_poses)
    monkeypatch.setattr(pde_sep.benchmark, "_NUM_MEAN_CLIPS", 3)
    monkeypatch.setattr(pde_sep.benchmark, "is_mnist", lambda images, _: len(images) == 10_000)
    config = load("mnist", "pde_sep_quick")
    config.evaluation.pde_sep_clips = 7  # Two batches, of 5 clips each.
    digits = Digits("full", images[:1], labels[:1], images, labels, "note")
    return types.SimpleNamespace(
        config=ml_collections.FrozenConfigDict(config),
        source=types.SimpleNamespace(digits=digits),
        networks=networks,
        predictor=None,
    )


def test_scores_are_those_of_the_copied_file(run):
    state, predictor = tiny_state(optax.identity()), types.SimpleNamespace(variables={})
    record = pde_sep.score(run, state, predictor)
    digits, clips = run.source.digits, range(7)
    test = benchmark.TestSet(digits.test_images, digits.test_labels)
    assert record["num_clips"] == 7
    swapped = np.repeat(test.swap_content(clips)[:, -1:] / np.float32(255), 95, axis=1)
    for horizon in (10, 95):
        prediction = record["prediction"][str(horizon)]
        for name, interval in prediction["model"].items():
            assert interval == pytest.approx(prediction["copy_last_frame"][name], rel=1e-6)
        expected = benchmark.score_swap(test, clips, swapped)
        for answer, scores in record["swap"][str(horizon)].items():
            for name, interval in scores.items():
                values = expected[answer][horizon][name]
                assert interval == pytest.approx(metrics.bootstrap(values, seed=1), rel=1e-5)
    text = summary.text(_plain_record() | {"pde_sep": record})
    row = next(line for line in text.splitlines() if line.startswith("prediction, t+95"))
    assert f"{record['prediction']['95']['model']['psnr']['mean']:.2f}" in row
    assert sum(line.strip().startswith("black frame") for line in text.splitlines()) == 4


def _plain_record():
    """Returns the scores of a run as far as every run has them."""
    interval = {"mean": 1.0, "low": 0.5, "high": 1.5}
    missing = ("swap", "prediction", "judge", "swap_judge", "rollout", "actions", "few_shot")
    return dict.fromkeys((*missing, "neighbors", "blocks")) | {
        "reconstruction": {"psnr": interval, "ssim": interval},
        "leakage": {"probes": None, "discriminator": {}},
        "discriminator": {"accuracy": None},
        "collapse": {"warnings": []},
        "warnings": [],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"data.motion": "clamp"},
        {"data.speeds": (-4, 3)},
        {"data.name": "kth"},
        {"predictor.num_observed": 4},
    ],
    ids=str,
)
def test_runs_by_other_laws_are_not_scored(run, changes):
    config = ml_collections.ConfigDict(run.config)
    config.update_from_flattened_dict(changes)
    other = types.SimpleNamespace(**vars(run) | {"config": ml_collections.FrozenConfigDict(config)})
    assert pde_sep.applies(run)
    assert not pde_sep.applies(other)


def test_other_digits_are_not_scored(run):
    run.source.digits = types.SimpleNamespace(
        test_images=np.zeros((5, 28, 28)), test_labels=[0] * 5
    )
    assert not pde_sep.applies(run)
