import json
import math
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from drnet_jax.base import checked_json
from drnet_jax.runs import metrics_writer
from drnet_jax.runs.metrics_writer import MetricsWriter, write_json


def lines(workdir):
    return [
        checked_json.parse(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()
    ]


def records(data):
    """Yields the records of an event file, after comparing their checksums."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12]) == (masked_crc32c(data[:8]),)
        record, checksum, data = (
            data[12 : 12 + length],
            data[12 + length :][:4],
            data[16 + length :],
        )
        assert struct.unpack("<I", checksum) == (masked_crc32c(record),)
        yield record


def points(workdir, stage):
    """Returns (tag, step, value) of every point that TensorBoard would show, in order."""
    paths = list((workdir / "tensorboard" / stage).glob("*"))
    events = [Event.FromString(r) for path in paths for r in records(path.read_bytes())]
    return [(v.tag, e.step, v.simple_value) for e in events for v in e.summary.value]


def test_lines_and_points_are_there_at_once(tmp_path):
    with MetricsWriter(tmp_path, "drnet", 0) as log:
        log.write(1, {"loss": 0.5, "speed": 2})
        assert lines(tmp_path) == [{"stage": "drnet", "step": 1, "loss": 0.5, "speed": 2}]
        assert points(tmp_path, "drnet") == [("drnet/loss", 1, 0.5), ("drnet/speed", 1, 2)]


def test_points_that_cannot_be_drawn_are_left_out(tmp_path):
    with MetricsWriter(tmp_path, "drnet", 0) as log:
        log.write(1, {"loss": math.nan, "speed": math.inf, "error": 1})
    assert points(tmp_path, "drnet") == [("drnet/error", 1, 1)]


def test_resuming_drops_what_the_lost_steps_wrote(folder):
    """Lines up to the checkpoint at step 2 survive, however much more the killed process wrote."""
    for stage in ("drnet", "predictor"):
        log = MetricsWriter(folder, stage, 0)
        for step in (1, 2, 3):
            log.write(step, {"loss": float(step)})
            if step == 2:
                log.flush()  # As before a checkpoint.
        log._events.close()  # Killed: nothing is flushed.
    if metrics_writer.files.is_local(folder):
        with (folder / "metrics.jsonl").open("a") as file:
            file.write('{"stage": "predictor", "st')  # Killed in the middle of a line.
    with MetricsWriter(folder, "drnet", 2) as log:
        log.write(3, {"loss": 3.0})
    with MetricsWriter(folder, "predictor", 2) as log:
        log.write(3, {"loss": 30.0})
    steps = [(line["stage"], line["step"], line["loss"]) for line in lines(folder)]
    assert sorted(steps) == [
        ("drnet", 1, 1.0),
        ("drnet", 2, 2.0),
        ("drnet", 3, 3.0),
        ("predictor", 1, 1.0),
        ("predictor", 2, 2.0),
        ("predictor", 3, 30.0),
    ]
    for stage in ("drnet", "predictor"):
        logged = [(f"{stage}/loss", s, value) for name, s, value in steps if name == stage]
        assert points(folder, stage) == logged


def test_a_bucket_gets_whole_files_from_time_to_time(bucket, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(metrics_writer.time, "monotonic", lambda: clock[0])
    with MetricsWriter(bucket, "drnet", 0) as log:
        seen = []
        for step, clock[0] in enumerate((101.0, 109.9, 110.0, 119.0, 125.0, 126.0), 1):
            log.write(step, {"loss": 1.0})
            seen.append(len(lines(bucket)))
            assert len(points(bucket, "drnet")) == seen[-1]
        assert seen == [0, 0, 3, 3, 5, 5]
    assert len(lines(bucket)) == len(points(bucket, "drnet")) == 6


def test_two_writers_within_a_second_have_files_of_their_own(tmp_path):
    """The second one removes the first one's file, and does not write into it."""
    with (
        MetricsWriter(tmp_path, "drnet", 0) as first,
        MetricsWriter(tmp_path, "drnet", 0) as second,
    ):
        first.write(1, {"loss": 1.0})
        second.write(1, {"loss": 2.0})
    assert points(tmp_path, "drnet") == [("drnet/loss", 1, 2.0)]


def test_json_records_refuse_nan_and_keep_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
