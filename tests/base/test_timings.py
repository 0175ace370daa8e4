"""Seconds by phase, and by program that JAX compiles."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.helpers.command_line import environment

PROGRAM = """
import json, time
from drnet_jax.base import stopping, timings
timings.watch_compiler()
import jax, jax.numpy as jnp

began = time.monotonic()
stopping.doing("first")
time.sleep(0.3)
with stopping.during("within"):
    def doubled(x):
        return 2 * x + 1
    jax.block_until_ready(jax.jit(doubled)(jnp.ones(7)))
    time.sleep(0.1)
stopping.doing("second")
time.sleep(0.2)
stopping.doing("first")
time.sleep(0.1)

def work():
    stopping.doing("third")
    jax.block_until_ready(jax.jit(lambda x: 3 * x + 2)(jnp.ones(7)))
    time.sleep(0.1)

stopping.start_thread(work, "beside")
stopping._threads[0].join()
assert stopping.current() == "first"
record, elapsed = timings.record(), time.monotonic() - began
print(json.dumps([record, timings.table(), elapsed]))
"""


def test_time_is_added_up_by_phase_and_program():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    record, table, elapsed = json.loads(result.stdout)
    phases = {phase["name"]: phase for phase in record["phases"]}
    assert list(phases) == ["importing", "first", "within", "second", "third"]
    assert [name for name, phase in phases.items() if phase["beside"]] == ["third"]
    assert phases["third"]["seconds"] >= 0.1 and phases["third"]["programs"] == 1
    assert phases["first"]["seconds"] >= 0.4 and phases["second"]["seconds"] >= 0.2
    # Every second is counted once, however busy the machine is.
    counted = sum(phases[name]["seconds"] for name in ("first", "within", "second"))
    assert counted == pytest.approx(elapsed, abs=0.1)
    assert phases["within"]["seconds"] >= 0.1
    assert phases["within"]["seconds"] >= phases["within"]["compiling"] > 0
    assert phases["within"]["tracing"] > 0
    assert phases["first"]["programs"] == phases["second"]["programs"] == 0
    slowest = record["slowest_programs"]
    assert "jit(doubled)" in [program["name"] for program in slowest]
    assert {program["phase"] for program in slowest} == {"within", "third"}
    lines = table.splitlines()
    # What ran beside other phases is not added again.
    seconds = [phase["seconds"] for phase in phases.values() if not phase["beside"]]
    assert float(lines[-2].split()[1]) == pytest.approx(sum(seconds), abs=0.2)
    assert lines[-3].startswith("third (in parallel)")
    assert [line.split()[0] for line in lines] == ["seconds", *phases, "together", "Longest"]
