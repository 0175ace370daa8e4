"""A few faults; `python -m tests.chaos` makes hundreds."""

import itertools
import signal

import pytest

from tests.chaos import commands, outcome
from tests.chaos.__main__ import table
from tests.chaos.commands import Commands
from tests.chaos.faults import Trial


@pytest.mark.slow
def test_a_run_comes_to_the_same_end_whatever_happens(trained, tmp_path):
    """A full disk, kill -9 and SIGTERM meet one run, which ends bit for bit as another does."""
    workdir = tmp_path / "run"
    arguments = commands.train(workdir, tmp_path / "data")
    with Commands(tmp_path / "output") as server:

        def start(**faults):
            return server.start(arguments, only_training=True, folder=str(tmp_path), **faults)

        full = start(full_from=31)
        assert full.wait() == 1
        assert "No space left on device" in full.text()
        assert "Traceback" not in full.text()
        killed = start(kill_at=20)
        assert killed.wait() == -signal.SIGKILL
        stopped = start(kill_at=30, signal=signal.SIGTERM)
        assert stopped.wait() == 128 + signal.SIGTERM
        assert "which is saved" in stopped.text()
        server.run(arguments, only_training=True)
    expected, found = outcome.of_run(trained), outcome.of_run(workdir)
    for part in ("states", "metrics"):
        assert found[part] == expected[part]


def test_trials_are_counted_by_fault():
    trials = [
        Trial(fault="kill", during=during, code=-9, equal=equal)
        for during, equal in (("scoring", True), ("scoring", False), ("training", True))
    ]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(trials).splitlines()]
    assert rows[2:] == [
        ["kill", "scoring", "2", "1", "-9", ""],
        ["kill", "training", "1", "1", "-9", ""],
    ]
    assert all(len(a) == len(b) for a, b in itertools.pairwise(rows))
