import signal
import subprocess
import sys
import textwrap

import pytest

from drnet_jax.base import stopping
from tests.conftest import ROOT


def start(body: str) -> subprocess.Popen:
    """Starts a program that watches for signals and prints "ready" when one may come."""
    program = f"""
    import signal, sys, time
    from drnet_jax.base import stopping

    stopping.watch()
    {textwrap.indent(textwrap.dedent(body), "    ").strip()}
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def wait_for(process: subprocess.Popen, line: str) -> None:
    assert process.stdout.readline() == f"{line}\n"


SCORING = """
stopping.doing("scoring", "the trained model is saved")
print("ready", flush=True)
"""
WAITING = "time.sleep(60)"
# Holds the main thread in compiled code, in which no handler of Python's can run.
COMPILED = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"


@pytest.mark.parametrize("number", stopping.SIGNALS)
@pytest.mark.parametrize("body", [WAITING, COMPILED])
def test_a_signal_ends_the_program_with_one_line(number, body):
    process = start(SCORING + body)
    wait_for(process, "ready")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert stderr == (
        "Stopped while scoring; the trained model is saved. The same command resumes from there.\n"
    )


TRAINING = """
stopping.doing("training drnet", "its checkpoints are kept")
with stopping.requests() as requested:
    {asked}
    print("ready", flush=True)
    while not requested():
        time.sleep(0.01)
    print("saving", flush=True)
    time.sleep({saving})
print("saved", flush=True)
sys.exit(130)
"""


def test_training_saves_after_the_first_signal():
    process = start(TRAINING.format(asked="requested()", saving=0))
    wait_for(process, "ready")
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (130, "saving\nsaved\n")
    assert "SIGTERM: saving, then stopping." in stderr


def test_training_ends_at_once_after_the_second_signal():
    process = start(TRAINING.format(asked="requested()", saving=60))
    wait_for(process, "ready")
    process.send_signal(signal.SIGINT)
    wait_for(process, "saving")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    assert stderr.endswith(
        "Stopped while training drnet; its checkpoints are kept. "
        "The same command resumes from there.\n"
    )


def test_training_ends_at_once_while_there_is_nothing_to_save():
    process = start(TRAINING.format(asked="print('ready', flush=True); time.sleep(60)", saving=0))
    wait_for(process, "ready")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.startswith("Stopped while training drnet; its checkpoints are kept.")


def test_requests_without_a_watch_leave_the_handlers_as_they_were():
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stopping.requests() as requested:
        with pytest.raises(KeyboardInterrupt):  # There is nothing to save yet.
            signal.raise_signal(signal.SIGINT)
        assert requested() == 0
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # Whatever sends it may do so repeatedly.
        assert requested() == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before


@pytest.mark.parametrize("code", [0, 7])
@pytest.mark.parametrize("daemon", [True, False])
def test_the_program_does_not_wait_for_threads_at_its_end(code, daemon):
    start_one = "stopping.start_thread(work, 'beside')"
    if not daemon:  # As those of a library; after a success they may have something to finish.
        start_one = "threading.Thread(target=work).start()"
    process = start(f"""
    import threading

    def work():
        time.sleep({600 if daemon or code else 1})
        print("done")

    {start_one}
    print("ready")
    print("saved", file=sys.stderr)
    stopping.leave({code})
    """)
    stdout, stderr = process.communicate(timeout=120)  # Of a busy machine, which has to import.
    assert (process.returncode, stderr) == (code, "saved\n")
    assert stdout == ("ready\n" if daemon or code else "ready\ndone\n")
