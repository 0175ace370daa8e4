"""Several processes that train one model together: how they meet, agree, wait and end.

JAX connects the processes. Process 0 is the only one that writes and prints; all others only
compute. With one process, everything here returns at once and no service is started.
"""

import contextlib
import itertools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

import jax
from etils import epath

from drnet_jax.base.errors import InputError, first_line

Value = TypeVar("Value")

CONNECT_SECONDS = 300
"""How long a process waits for the others by default."""

_HEARTBEAT_SECONDS = 45
"""A process that has been silent for this long is taken for dead, and all others end."""

_FOREVER_MS = 30 * 24 * 3600 * 1000  # Scoring may take hours; a process that dies ends all waiting.
_ASK_EVERY_SECONDS = 1
_FAILURE = "drnet_jax/failure"
_ALONE = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")  # Set to 1 by launchers of a single process.

_numbers = itertools.count()  # Of the barriers; all processes come to the same ones.


def count() -> int:
    """Returns the number of processes."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def is_first() -> bool:
    """Returns whether this is process 0, which writes everything."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def say(line: str) -> None:
    """Prints `line` in process 0."""
    if is_first():
        print(line, flush=True)


@contextlib.contextmanager
def connected(
    address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    seconds: float = CONNECT_SECONDS,
) -> Iterator[None]:
    """Connects this process to those that were started with it, until the end of the block.

    Nothing may use a device before. Without arguments JAX finds the others on Cloud TPU, Slurm,
    Open MPI and in indexed Kubernetes jobs; elsewhere this is the only process. At the end of the
    block every process waits for all others.

    Args:
      address: host and port of process 0; by default the variable JAX_COORDINATOR_ADDRESS.
      num_processes: the number of processes.
      process_id: the number of this one, from 0 on.
      seconds: how long to wait for the others before the program ends with a line that says so.

    Raises:
      InputError: if only some of the arguments are given, or JAX cannot tell where the others are.
    """
    if not _connect(address, num_processes, process_id, seconds):
        yield
        return
    local, total = jax.local_device_count(), jax.device_count()
    name = _name()
    print(f"{name[0].upper()}{name[1:]}: {local} of {total} devices.", flush=True)
    ended = threading.Event()
    threading.Thread(target=_end_with_others, args=(ended,), daemon=True).start()
    yield
    barrier()
    ended.set()
    jax.distributed.shutdown()


def _connect(
    address: str | None, num_processes: int | None, process_id: int | None, seconds: float
) -> bool:
    """Connects to the other processes; returns whether there are any."""
    address = address or os.environ.get("JAX_COORDINATOR_ADDRESS")
    given = (address, num_processes, process_id)
    if all(value is None for value in given):
        if any(os.environ.get(name) == "1" for name in _ALONE):
            return False
        # JAX would fail in every other pod of Kubernetes.
        if "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" not in os.environ:
            return False
    elif None in given:
        names = ("--coordinator_address", "--num_processes", "--process_id")
        missing = [name for name, value in zip(names, given, strict=True) if value is None]
        raise InputError(f"{' and '.join(missing)} missing; give all of {', '.join(names)}.")
    elif not 0 <= process_id < num_processes:
        raise InputError(f"--process_id={process_id}; allowed: 0 to {num_processes - 1}.")
    elif num_processes == 1:
        return False
    else:
        print(f"Process {process_id} of {num_processes} waits at {address}.", flush=True)
    waiting = threading.Timer(seconds, _give_up, [address, seconds])
    waiting.daemon = True
    waiting.start()
    try:
        # JAX itself ends the program with a page of addresses, so it has to be more patient.
        jax.distributed.initialize(
            *given,
            initialization_timeout=int(seconds) + 60,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        alone = "coordinator_address should be defined"  # No launcher that JAX knows.
        used = "called before any JAX"  # A program that uses JAX has not connected itself.
        if given == (None, None, None) and (alone in str(error) or used in str(error)):
            return False
        raise InputError(f"The other processes cannot be found: {first_line(error)}") from error
    finally:
        waiting.cancel()
    return jax.process_count() > 1


def _give_up(address: str | None, seconds: float) -> NoReturn:
    where = f"at {address} " if address else ""
    print(
        f"drnet_jax: Not all processes have met {where}within {seconds:g} s; start the same "
        "command on every host, or raise --connect_seconds.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)  # The main thread waits in code that cannot be interrupted.


def fail(reason: str, code: int) -> None:
    """Ends all processes with the exit code `code`, if there are several.

    The others print `reason`, with the name of this one, and end within seconds, wherever they are.
    """
    if count() == 1:
        return
    # Another process may have failed first, or process 0 may be gone.
    with contextlib.suppress(Exception):
        _client().key_value_set(_FAILURE, f"{code} {_name()} ended: {reason}")
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Ends this process without waiting for the others, as a normal exit would."""
    sys.stdout.flush()
    sys.stderr.flush()
    if is_first():
        # The others ask this process for the reason, and JAX would abort them if it were gone.
        time.sleep(3 * _ASK_EVERY_SECONDS)
    os._exit(code)


def _end_with_others(ended: threading.Event) -> None:
    """Ends this process when another one has failed."""
    while not ended.wait(_ASK_EVERY_SECONDS):
        try:
            code, _, reason = _client().key_value_try_get(_FAILURE).partition(" ")
        except Exception:  # No process has failed; if process 0 is gone, JAX ends the program.
            continue
        if reason.startswith(f"{_name()} "):
            return  # This process, which is ending already.
        print(f"drnet_jax: {reason}", file=sys.stderr)
        _leave(int(code))


def barrier() -> None:
    """Waits until every process has come here."""
    if count() > 1:
        _client().wait_at_barrier(f"drnet_jax/{next(_numbers)}", _FOREVER_MS)


def agree(facts: Mapping[str, Any]) -> None:
    """Raises ValueError unless `facts`, values by name, are equal in all processes."""
    if count() == 1:
        return
    key = f"drnet_jax/{next(_numbers)}"
    mine = {name: repr(value) for name, value in facts.items()}
    if is_first():
        _client().key_value_set(key, json.dumps([_name(), mine]))
    first_name, first = json.loads(_client().blocking_key_value_get(key, _FOREVER_MS))
    for name in sorted(mine.keys() | first.keys()):
        here, there = mine.get(name, "absent"), first.get(name, "absent")
        if here != there:
            raise ValueError(
                f"{name} is {here} in {_name()}, but {there} in {first_name}; "
                "all processes need the same."
            )


def sees_folder_of_first(folder: epath.PathLike) -> bool:
    """Returns whether `folder`, which is created, is the same for this process and process 0."""
    if count() == 1:
        return True
    token = epath.Path(folder) / f".seen_by_all_{next(_numbers)}"
    if is_first():
        token.parent.mkdir(parents=True, exist_ok=True)
        token.write_text("")
    barrier()
    seen = token.exists()
    barrier()
    if is_first():
        token.unlink()
    return seen


def in_turn(folder: epath.PathLike, prepare: Callable[[], Value]) -> Value:
    """Returns `prepare()`, which fills `folder` unless it is complete, and needs no other process.

    Process 0 goes first. Others wait for it if they see its folder; if theirs is local, they
    prepare it at the same time.
    """
    waits = sees_folder_of_first(folder) and not is_first()
    value = None if waits else prepare()
    barrier()
    return prepare() if waits else value


def everywhere(condition: bool) -> bool:
    """Returns whether `condition` is true in every process."""
    if count() == 1:
        return condition
    key = f"drnet_jax/{next(_numbers)}/"
    _client().key_value_set(f"{key}{jax.process_index()}", str(condition))
    barrier()
    return all(value == "True" for _, value in _client().key_value_dir_get(key))


def _name() -> str:
    return f"process {jax.process_index()} of {jax.process_count()} on {socket.gethostname()}"


def _client() -> Any:
    """Returns JAX's connection to the service in process 0, which has no public name."""
    from jax._src import distributed

    return distributed.global_state.client
