"""What got slower, from lines of the history."""

import pytest

from benchmarks import startup


def line(revision, machine="cpu", **cold):
    return {
        "revision": revision,
        "machine": machine,
        "config": "c",
        "seconds": {"cold": cold, "process": {"import": 0.1}},
    }


def test_medians_are_by_name():
    assert startup.medians([{"a": 1.0}, {"a": 5.0, "b": 4.0}, {"a": 2.0, "b": 6.0}]) == {
        "a": 2.0,
        "b": 4.0,
    }


def test_only_what_is_slower_on_the_same_machine_is_listed():
    lines = [
        line("r1", a=1.0, b=10.0),
        line("other", machine="gpu", a=100.0),
        line("r2", a=2.0, b=10.9, new=9.0),
        line("r3", a=1.9, b=12.1, new=9.0, tiny=0.2),
    ]
    [words] = startup.slower(lines)
    assert words == "c, cold, b: 10.9 s at r2, 12.1 s at r3 (cpu)"
    assert startup.slower(lines[:2]) == []


def test_a_command_that_fails_is_not_timed():
    assert 0 < startup.seconds_of("-c", "pass") < 60
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        startup.seconds_of("-c", "1 / 0")
