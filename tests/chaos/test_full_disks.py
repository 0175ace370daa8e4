"""Full disks under a command or two; `python -m tests.chaos --writes` tries all that write."""

import pytest

from tests.chaos import full_disks
from tests.chaos.commands import Commands
from tests.chaos.faults import Bench


@pytest.mark.slow
@pytest.mark.parametrize("name", ["export", "embed"])
def test_a_full_disk_is_one_line_and_loses_nothing(trained, tmp_path, name):
    with Commands(tmp_path / "output") as server:
        bench = Bench(server, tmp_path, only_training=False, finished=trained)
        trials = list(full_disks.changes_and_sizes(bench, name, every=7))
    assert len(trials) >= 2
    for trial in trials:
        assert trial.equal
        assert trial.code in (1, 2)
        assert trial.lines == 1
        assert trial.line.startswith("drnet_jax: ")
        assert "No space left on device: '" in trial.line or "too large: '" in trial.line
