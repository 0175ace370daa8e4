"""Seconds by phase, and by program that JAX compiles."""

import json
import subprocess
import sys

from tests.conftest import ROOT
from tests.helpers.command_line import environment

PROGRAM = """
import json, time
from drnet_jax.base import stopping, timings
timings.watch_compiler()
import jax, jax.numpy as jnp

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
print(json.dumps([timings.record(), timings.table()]))
"""


def test_time_is_added_up_by_phase_and_program():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    record, table = json.loads(result.stdout)
    phases = {phase["name"]: phase for phase in record["phases"]}
    assert list(phases) == ["importing", "first", "within", "second"]
    assert 0.4 <= phases["first"]["seconds"] < 2
    assert 0.2 <= phases["second"]["seconds"] < 2
    assert phases["within"]["seconds"] >= 0.1
    assert phases["within"]["seconds"] >= phases["within"]["compiling"] > 0
    assert phases["within"]["tracing"] > 0
    assert phases["first"]["programs"] == phases["second"]["programs"] == 0
    slowest = record["slowest_programs"]
    assert "jit(doubled)" in [program["name"] for program in slowest]
    assert {program["phase"] for program in slowest} == {"within"}
    lines = table.splitlines()
    assert [line.split()[0] for line in lines] == ["seconds", *phases, "together", "Longest"]
