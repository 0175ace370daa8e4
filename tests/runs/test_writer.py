import json

import pytest

from drnet_jax.runs.metrics_writer import MetricsWriter, write_json


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_lines_are_json(tmp_path):
    with MetricsWriter(tmp_path, "drnet", 0) as log:
        log.write(1, {"loss": 0.5})
        assert lines(tmp_path) == [{"stage": "drnet", "step": 1, "loss": 0.5}]
    assert list((tmp_path / "tensorboard" / "drnet").iterdir())


def test_resuming_drops_what_the_lost_steps_wrote(tmp_path):
    for stage in ("drnet", "predictor"):
        with MetricsWriter(tmp_path, stage, 0) as log:
            for step in (1, 2, 3):
                log.write(step, {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "predictor", "st')  # Killed in the middle of a line.
    with MetricsWriter(tmp_path, "predictor", 2) as log:
        log.write(3, {"loss": 30.0})
    steps = [(line["stage"], line["step"], line["loss"]) for line in lines(tmp_path)]
    assert steps == [
        ("drnet", 1, 1.0),
        ("drnet", 2, 2.0),
        ("drnet", 3, 3.0),
        ("predictor", 1, 1.0),
        ("predictor", 2, 2.0),
        ("predictor", 3, 30.0),
    ]


def test_json_records_refuse_nan_and_keep_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
