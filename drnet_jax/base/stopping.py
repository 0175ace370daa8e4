"""Ctrl-C and SIGTERM: a line on what is kept, and exit code 130 or 143, whatever is being done.

Everything that a run writes is written whole or not at all, so that the program may end at any
moment, as after `kill -9`. Only training has more to lose: the steps since the last checkpoint. It
asks `requests` whether to stop.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

from absl import logging

from drnet_jax.base import timings

SIGNALS = (signal.SIGINT, signal.SIGTERM)

GOES_ON = "The same command resumes from there."

# Of the process, as its signals are. `unsaved`: there are steps to save; `asked`: a signal has
# come that lets them be saved.
_state = {"doing": "starting", "kept": "", "watched": False, "unsaved": False, "asked": False}

_threads: list[threading.Thread] = []
"""Those of `start_thread`, also the ones that have ended."""


class StoppedError(Exception):
    """A signal asked the run to stop; everything it had done is saved.

    Attributes:
      signal: its number.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal


def doing(what: str, kept: str = "") -> None:
    """Notes what the program does from now on, as in `scoring`, and what is kept if it stops.

    In a thread other than the main one, this only takes the time of what it does.
    """
    timings.begin(what)
    if threading.current_thread() is threading.main_thread():
        _state.update(doing=what, kept=kept)


@contextlib.contextmanager
def during(what: str) -> Iterator[None]:
    """Notes what the program does in a block, after which it goes on with what it did before."""
    before = _state["doing"], _state["kept"]
    doing(what, before[1])
    yield
    doing(*before)


def current() -> str:
    """Returns what the program is doing."""
    return _state["doing"]


def line() -> str:
    """Returns what to say when the program stops at once."""
    kept = f"; {_state['kept']}" if _state["kept"] else ""
    return f"Stopped while {_state['doing']}{kept}. {GOES_ON}"


def watch() -> None:
    """Has a thread end the process with a line after a signal, in training after a second Ctrl-C.

    The main thread could not do so while it is in compiled code, and a program may take minutes to
    compile.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    for number in SIGNALS:
        # The thread is told of signals only if they have a handler in Python.
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    _state["watched"] = True
    threading.Thread(target=_watch, args=(receiver, sender), daemon=True).start()


def unwatch() -> None:
    """Undoes `watch`, except for SIGTERM: with several processes JAX has a handler of its own."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _state["watched"] = False


def _watch(receiver: socket.socket, sender: socket.socket) -> None:
    del sender  # An argument, so that it stays open.
    while True:
        number = receiver.recv(1)[0]
        if number not in SIGNALS:
            continue
        # Whatever sends SIGTERM may send it repeatedly; people press Ctrl-C again to end at once.
        if not _state["unsaved"] or (_state["asked"] and number == signal.SIGINT):
            _leave(128 + number)
        _state["asked"] = True


def start_thread(work: Callable[[], None], name: str) -> None:
    """Starts a thread that does `work`; the process may end at any moment of it."""

    def run() -> None:
        work()
        timings.begin(None)  # Adds the time of the last phase.

    thread = threading.Thread(target=run, name=name, daemon=True)
    _threads.append(thread)
    thread.start()


def leave(code: int) -> NoReturn:
    """Ends the program; at once if it failed, or if a thread of `start_thread` is at work.

    Python would take down what such a thread's compiled code still uses. And after a failure it
    would wait for threads of Orbax, which wait ten minutes for the rest of a checkpoint.
    """
    if not code and not any(thread.is_alive() for thread in _threads):
        sys.exit(code)
    with contextlib.suppress(OSError):  # Nobody may be there to read it.
        sys.stderr.flush()
    _flush_stdout()
    os._exit(code)


def _flush_stdout() -> None:
    # The main thread may be stuck in writing to it.
    flush = threading.Thread(target=sys.stdout.flush, daemon=True)
    flush.start()
    flush.join(timeout=1)


def _leave(code: int) -> None:
    _flush_stdout()  # What was printed comes first.
    # A progress bar may stand on this line. Not print: the main thread may hold the lock of stderr.
    start = "\n" if sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):
        os.write(2, f"{start}{line()}\n".encode())
    os._exit(code)


@contextlib.contextmanager
def requests(preempted: Callable[[], bool] | None = None) -> Iterator[Callable[[], int]]:
    """Yields a function that tells which of `SIGNALS` has come, 0 for neither.

    A second Ctrl-C ends the program, and so does the first signal before the function is called for
    the first time, as there is nothing to save until then.

    Args:
      preempted: with several processes, a function that tells whether SIGTERM has come to any of
        them; all get the same answer.
    """
    received: list[int] = []
    calls = 0

    def handle(number: int, _frame) -> None:
        if not received and (calls or preempted):
            received.append(number)
            logging.warning("%s: saving, then stopping.", signal.Signals(number).name)
            if preempted:  # JAX passes this signal on to the other processes.
                signal.raise_signal(signal.SIGTERM)
        elif not _state["watched"] and (not received or number == signal.SIGINT):
            raise KeyboardInterrupt

    def requested() -> int:
        nonlocal calls
        calls += 1
        _state["unsaved"] = True
        if preempted:
            return signal.SIGTERM if preempted() else 0
        return received[0] if received else 0

    # JAX has a handler of its own for SIGTERM if there are several processes.
    numbers = (signal.SIGINT,) if preempted else SIGNALS
    old = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield requested
    finally:
        _state.update(unsaved=False, asked=False)
        for number, handler in old.items():
            signal.signal(number, handler)
