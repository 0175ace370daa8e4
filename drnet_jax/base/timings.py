"""Where the time of this process goes: seconds by phase, and by program that JAX compiles."""

import collections
import threading
import time
from typing import Any

_STARTED = time.monotonic()  # When the program's first module imports this.

_TRACE, _LOWER, _COMPILE = (
    f"/jax/core/compile/{name}_duration"
    for name in ("jaxpr_trace", "jaxpr_to_mlir_module", "backend_compile")
)

# Of the process, as its clock is. Phases are in the order in which they first began; their keys are
# the name, and whether they ran beside those of the main thread.
_phases: dict[tuple[str, bool], collections.Counter] = {}
_programs: collections.Counter = collections.Counter()
_lock = threading.Lock()


class _Present(threading.local):
    """What a thread does, and since when."""

    def __init__(self):
        self.beside = threading.current_thread() is not threading.main_thread()
        self.phase = None if self.beside else "importing"
        self.since = _STARTED


_present = _Present()


def begin(phase: str | None) -> None:
    """Notes that this thread does `phase` from now on; it may return to an earlier one.

    A thread that ends does None.
    """
    now = time.monotonic()
    with _lock:
        if _present.phase is not None:
            _totals(_present.phase)["seconds"] += now - _present.since
        if phase is not None:
            _totals(phase)
    _present.phase, _present.since = phase, now


def watch_compiler() -> None:
    """Has JAX report how long programs take to trace and to compile."""
    import jax  # Takes half a second, which programs that compile nothing need not wait for.

    jax.monitoring.register_event_duration_secs_listener(_add)


def _add(event: str, seconds: float, **details: Any) -> None:
    if event not in (_TRACE, _LOWER, _COMPILE):
        return
    phase = _present.phase or "other threads"
    with _lock:
        totals = _totals(phase)
        if event == _COMPILE:
            totals["compiling"] += seconds
            totals["programs"] += 1
            _programs[phase, details.get("fun_name", "")] += seconds
        else:
            totals["tracing"] += seconds


def _totals(phase: str) -> collections.Counter:
    return _phases.setdefault((phase, _present.beside), collections.Counter())


def record(num_programs: int = 10) -> dict[str, Any]:
    """Returns what is known so far, ready for JSON.

    Each of `phases` has a `name`, the `seconds` in all, how many of them went into `tracing` and
    `compiling` (reading compiled programs from the cache included), and the number of `programs`.
    Those with `beside` ran in another thread, at the same time as phases of the main thread.
    `slowest_programs` are the `num_programs` that took longest to compile.
    """
    begin(_present.phase)  # Adds what has passed of it.
    with _lock:  # Other threads may add phases and programs.
        phases = [
            {"name": name, "beside": beside}
            | {key: totals[key] for key in ("seconds", "tracing", "compiling", "programs")}
            for (name, beside), totals in _phases.items()
            if totals
        ]
        slowest = [
            {"phase": phase, "name": name, "compiling": seconds}
            for (phase, name), seconds in _programs.most_common(num_programs)
        ]
    return {"phases": phases, "slowest_programs": slowest}


def table() -> str:
    """Returns the phases as lines of text."""
    known = record()
    lines = [f"{'seconds':34}{'all':>9}{'tracing':>9}{'compiling':>11}{'programs':>10}"]
    total = collections.Counter()
    for phase in known["phases"]:
        lines.append(_row(phase["name"] + (" (in parallel)" if phase["beside"] else ""), phase))
        total.update({key: phase[key] for key in ("tracing", "compiling", "programs")})
        total["seconds"] += 0 if phase["beside"] else phase["seconds"]
    lines.append(_row("together", total))
    slowest = ", ".join(
        f"{program['name']} {program['compiling']:.1f}" for program in known["slowest_programs"][:3]
    )
    return "\n".join([*lines, *([f"Longest to compile: {slowest}."] if slowest else [])])


def _row(name: str, values: Any) -> str:
    seconds = f"{values['seconds']:9.1f}{values['tracing']:9.1f}{values['compiling']:11.1f}"
    return f"{name:34}{seconds}{values['programs']:10d}"
