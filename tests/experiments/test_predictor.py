"""The recipes of the predictor, and the fit of the motion that bounds them."""

import json

import jax
import numpy as np
import pytest

from drnet_jax.models import inference
from drnet_jax.runs.run import create_run
from experiments import predictor
from tests.conftest import tiny_config


@pytest.fixture
def run(data_dir, tmp_path):
    config = tiny_config(data_dir)
    config.evaluation.update(rollout_clips=20, rollout_steps=60, probe_clips=2_000)
    return create_run(config, tmp_path / "run")


def test_orbits_follow_the_law_of_motion_from_every_state(run):
    generator = run.source.generator
    orbits = predictor.all_orbits(generator, 40)
    low, high = generator.speeds
    speeds = [v for v in range(low, high + 1) if v or generator.zero_speeds]
    assert len(orbits) == generator.span * len(speeds)
    for orbit, (speed, place) in zip(orbits, np.ndindex(len(speeds), generator.span), strict=True):
        velocity = speeds[speed]
        for seen in orbit:
            assert seen == place
            moved = place + velocity
            place = min(max(moved, 0), generator.span - 1)
            velocity = velocity if moved == place else -velocity


@pytest.mark.parametrize("knows_places", [True, False])
def test_the_fit_never_loses_positions_that_poses_tell(run, monkeypatch, knows_places):
    """With the true places as poses the fit is exact; with constant poses it can only guess."""
    source = run.source
    sampled = []
    sample = source.sample

    def remember(*args, **settings):
        sampled.append(sample(*args, **settings))
        return sampled[-1]

    def encode(_networks, _autoencoder, frames):
        num_clips, num_observed = frames.shape[:2]
        places = predictor.positions(source.generator, sampled[-1], num_observed)
        assert len(places) == num_clips
        return places * knows_places

    monkeypatch.setattr(source, "sample", remember)
    monkeypatch.setattr(inference, "encode_pose", encode)
    monkeypatch.setattr(jax, "jit", lambda f, **_: f)
    scores = predictor.fit_motion(run, run.init_drnet())
    steps = scores["steps"]
    assert steps[-1] == 60
    errors = np.array(scores["position_error"]["model"]["mean"])
    on_track = np.array(scores["on_track"]["model"]["mean"])
    if knows_places:
        assert np.mean(errors) < 0.5 and on_track[0] == 1
    else:
        assert np.mean(errors) > 1 and on_track[-1] < 0.5


def test_the_table_has_a_row_for_every_recipe_and_oracle(tmp_path, data_dir):
    curves = {"mean": [0.5, 1.0]}
    scores = {
        "steps": [1, 10],
        "position_error": {"model": curves, "true_poses": {"mean": [0.25, 0.25]}},
        "on_track": {"model": {"mean": [1.0, 0.5]}},
        "lost_at": {"mean": 8.0},
    }
    names = [*predictor.RECIPES, predictor.FITTED]
    records = [{"name": name, "seed": seed, "scores": scores} for seed in (1, 2) for name in names]
    records[0] = json.loads(json.dumps(records[0]))
    records[0]["scores"]["lost_at"]["mean"] = 6.0
    figure = predictor.draw(records)
    [table] = figure.tables
    assert [row[0] for row in table.rows] == [*names, predictor.TRUE_POSES]
    assert table.rows[0][1:] == [
        "0.50 [0.50, 0.50]",
        "1.00 [1.00, 1.00]",
        "7 [6, 8]",
        "0.50 [0.50, 0.50]",
    ]
    assert table.rows[-1][1:] == ["0.25 [0.25, 0.25]", "0.25 [0.25, 0.25]", "", ""]
