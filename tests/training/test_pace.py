import pathlib
import shutil

import pytest

from drnet_jax.training import pace


def test_only_long_stages_are_warned_about():
    assert pace.warning("drnet", 0.18, 120_000) is None  # Exactly 6 hours.
    assert pace.warning("drnet", 0.2, 120_000).startswith(
        "drnet will take about 7 hours on this CPU: 120,000 steps of 0.2 s. "
    )
    assert "drnet will take about 10 days on this CPU" in pace.warning("drnet", 7.2, 120_000)


@pytest.mark.parametrize(
    ("present", "extra"), [("nvidia-smi", '".[cuda]"'), (None, 'pip install -e ".[tpu]"')]
)
def test_the_extra_to_install_is_named(monkeypatch, present, extra):
    monkeypatch.setattr(shutil, "which", lambda name: name if name == present else None)
    monkeypatch.setattr(pathlib.Path, "exists", lambda self: False)
    assert pace.warning("drnet", 9.0, 120_000).endswith(extra)


def test_the_first_program_which_compiles_is_not_counted(monkeypatch, caplog):
    # Clock readings: after the first program, and after the third.
    clock = iter([1000.0, 1040.0])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(clock))
    told = pace.Pace("predictor", 100_000)
    for step in (1, 2, 3, 4, 5):
        told.add(step, None)
    (record,) = caplog.records
    # 40 s for two steps: 99,997 steps of 20 s are 23 days.
    assert "predictor will take about 23 days" in record.getMessage()
    assert "99,997 steps of 20 s" in record.getMessage()
