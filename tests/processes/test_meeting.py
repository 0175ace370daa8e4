"""Processes that cannot train together: all end soon, each with a line that says why."""

import sys

import pytest

from tests.conftest import TINY
from tests.helpers import process_group

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are connected by Gloo"),
]

SETTINGS = [
    "--config=configs/mnist.py:smoke",
    *[f"--config.{name}={value}" for name, value in TINY.items()],
]


def run(*arguments, **options):
    return process_group.run(2, *SETTINGS, *arguments, module="tests.helpers.only_train", **options)


def test_a_process_without_the_others_gives_up(tmp_path):
    arguments = ("--coordinator_address=127.0.0.1:1", "--num_processes=2", "--process_id=1")
    [(code, text)] = process_group.run(
        1, *SETTINGS, f"--workdir={tmp_path}", *arguments, "--connect_seconds=2"
    )
    assert code == 2
    assert "Process 1 of 2 waits at 127.0.0.1:1." in text
    assert "Not all processes have met at 127.0.0.1:1 within 2 s; start the same command" in text


def test_processes_in_different_folders_do_not_share_a_workdir(tmp_path, data_dir):
    """As on two hosts whose disks are not shared."""
    places = [{"PWD": str(tmp_path / name)} for name in "ab"]
    for place in places:
        (tmp_path / place["PWD"]).mkdir()
    outcomes = run("--workdir=run", f"--config.data.data_dir={data_dir}", each=places)
    assert [code for code, _ in outcomes] == [2, 2], outcomes
    assert "--workdir=run is another folder here than in process 0" in outcomes[1][1]
    assert "process 1 of 2 on" in outcomes[0][1]
    assert "ended: --workdir=run is another folder" in outcomes[0][1]


def test_what_one_process_cannot_prepare_ends_all(tmp_path):
    """Two local folders for data, of which one cannot be written."""
    homes = [{"HOME": str(tmp_path)}, {"HOME": "/dev/null"}]
    outcomes = run(f"--workdir={tmp_path / 'run'}", "--config.data.data_dir=~/data", each=homes)
    assert [code for code, _ in outcomes] == [2, 2], outcomes
    assert "/dev/null/data" in outcomes[1][1]
    assert "process 1 of 2 on" in outcomes[0][1]
    assert "/dev/null/data" in outcomes[0][1]


def test_processes_need_the_same_settings(tmp_path, data_dir):
    (tmp_path / "settings.py").write_text(
        "import os\n"
        "from tests.conftest import load_config\n"
        "def get_config(variant):\n"
        "    config = load_config(variant)\n"
        "    config.seed = int(os.environ['SEED'])\n"
        "    return config\n"
    )
    outcomes = run(
        f"--config={tmp_path / 'settings.py'}:smoke",
        f"--workdir={tmp_path / 'run'}",
        f"--config.data.data_dir={data_dir}",
        each=[{"SEED": "1"}, {"SEED": "2"}],
    )
    assert [code for code, _ in outcomes] == [2, 2], outcomes
    assert "config.seed is 2 in process 1 of 2 on" in outcomes[1][1]
    assert "config.seed is 2 in process 1 of 2 on" in outcomes[0][1]


def test_losses_that_are_not_finite_stop_all(tmp_path, data_dir):
    outcomes = run(
        f"--workdir={tmp_path / 'run'}",
        f"--config.data.data_dir={data_dir}",
        "--config.drnet.learning_rate=1e30",
    )
    assert [code for code, _ in outcomes] == [1, 1], outcomes
    assert "not finite at step" in outcomes[0][1]
    assert "not finite at step" in outcomes[1][1]
