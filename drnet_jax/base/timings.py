"""Where the time of this process goes: seconds by phase, and by program that JAX compiles."""

import collections
import time
from typing import Any

_STARTED = time.monotonic()  # When the program's first module imports this.

_TRACE, _LOWER, _COMPILE = (
    f"/jax/core/compile/{name}_duration"
    for name in ("jaxpr_trace", "jaxpr_to_mlir_module", "backend_compile")
)

# Of the process, as its clock is. Phases are in the order in which they first began.
_phases: dict[str, collections.Counter] = {}
_programs: collections.Counter = collections.Counter()
_current = {"phase": "importing", "since": _STARTED}


def begin(phase: str) -> None:
    """Notes that the process does `phase` from now on; it may return to an earlier one."""
    now = time.monotonic()
    _totals(_current["phase"])["seconds"] += now - _current["since"]
    _current.update(phase=phase, since=now)
    _totals(phase)


def watch_compiler() -> None:
    """Has JAX report how long programs take to trace and to compile."""
    import jax  # Takes half a second, which programs that compile nothing need not wait for.

    jax.monitoring.register_event_duration_secs_listener(_add)


def _add(event: str, seconds: float, **details: Any) -> None:
    if event not in (_TRACE, _LOWER, _COMPILE):
        return
    totals = _totals(_current["phase"])
    if event == _COMPILE:
        totals["compiling"] += seconds
        totals["programs"] += 1
        _programs[_current["phase"], details.get("fun_name", "")] += seconds
    else:
        totals["tracing"] += seconds


def _totals(phase: str) -> collections.Counter:
    return _phases.setdefault(phase, collections.Counter())


def record(num_programs: int = 10) -> dict[str, Any]:
    """Returns what is known so far, ready for JSON.

    `phases` have a name, `seconds` in all, of which `tracing` and `compiling` (reading compiled
    programs from the cache included), and the number of `programs`; those that took longest to
    compile are listed under `slowest_programs`, at most `num_programs`.
    """
    begin(_current["phase"])  # Adds what has passed of it.
    phases = [
        {"name": name, "seconds": totals["seconds"]}
        | {key: totals[key] for key in ("tracing", "compiling", "programs")}
        for name, totals in _phases.items()
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
        lines.append(_row(phase["name"], phase))
        total.update({key: value for key, value in phase.items() if key != "name"})
    lines.append(_row("together", total))
    slowest = ", ".join(
        f"{program['name']} {program['compiling']:.1f}" for program in known["slowest_programs"][:3]
    )
    return "\n".join([*lines, *([f"Longest to compile: {slowest}."] if slowest else [])])


def _row(name: str, values: Any) -> str:
    seconds = f"{values['seconds']:9.1f}{values['tracing']:9.1f}{values['compiling']:11.1f}"
    return f"{name:34}{seconds}{values['programs']:10d}"
