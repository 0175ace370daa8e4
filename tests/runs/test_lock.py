"""Two runs in one workdir: the second is refused, unless the first has been killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from drnet_jax.base import files
from drnet_jax.base.errors import InputError
from drnet_jax.runs import lock

QUICK = {"refresh_seconds": 0.2, "patience_seconds": 1.5}

_HOLDER = """
import sys, time
from drnet_jax.runs import lock

with lock.hold(sys.argv[1], refresh_seconds=0.2, patience_seconds=1.5):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(folder):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_by_name_until_the_first_has_ended(folder, holder):
    where = f"in use by process {holder.pid} on {socket.gethostname()} since 20"
    with pytest.raises(InputError, match=where), lock.hold(folder, **QUICK):
        pass
    holder.stdin.close()
    assert holder.wait(60) == 0
    assert not (folder / "running.json").exists()
    with lock.hold(folder, **QUICK):
        assert json.loads((folder / "running.json").read_text())["process"] == os.getpid()


def test_a_killed_run_of_this_machine_blocks_nothing(folder, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (folder / "running.json").exists()
    started = time.monotonic()
    with lock.hold(folder, refresh_seconds=0.2, patience_seconds=600):
        assert time.monotonic() - started < 60


def test_a_silent_run_of_another_machine_is_waited_for_and_replaced(bucket, capsys):
    facts = {"host": "other", "process": 1, "since": "then", "run": "x", "namespace": ""}
    files.write_atomically(bucket / "running.json", json.dumps(facts))
    started = time.monotonic()
    with lock.hold(bucket, **QUICK):
        assert time.monotonic() - started > QUICK["patience_seconds"]
        assert json.loads((bucket / "running.json").read_text())["host"] == socket.gethostname()
    line = f"{bucket} is in use by process 1 on other since then; waiting 1.5 s for a sign of it."
    assert capsys.readouterr().out.strip() == line


def test_a_run_that_was_replaced_while_its_machine_slept_ends(bucket):
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(bucket)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "held\n"
        facts = {"host": "other", "process": 1, "since": "then", "run": "x", "namespace": ""}
        files.write_atomically(bucket / "running.json", json.dumps(facts))
        assert process.wait(60) == 1
        assert "in use by process 1 on other since then" in process.stderr.read()
    assert json.loads((bucket / "running.json").read_text()) == facts


def test_a_bucket_that_is_not_there_is_refused(bucket_server):
    message = "--workdir=gs://absent/run cannot be used: there is no such bucket."
    with pytest.raises(InputError, match=message), lock.hold("gs://absent/run", **QUICK):
        pass
