"""Checkpoints of one stage: saved in the background and atomically, checked when restored."""

import contextlib
import dataclasses
import json
import logging as std_logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp
from absl import logging
from etils import epath

from drnet_jax.base import files, processes
from drnet_jax.base.errors import first_line
from drnet_jax.runs import renamed

State = TypeVar("State")

_CHECKSUMS, _SINCE_LOG = "crc32", "since_log"


def _is_ours(record: std_logging.LogRecord) -> bool:
    # Orbax logs pages about errors that it raises as well.
    return record.levelno < std_logging.ERROR or "/orbax/" not in record.pathname


logging.get_absl_logger().addFilter(_is_ours)


class _Manager(ocp.CheckpointManager):
    def reached_preemption(self, step: int) -> bool:
        # The training loop asks JAX, and JAX wants the numbers of one sequence of calls.
        return False


class Checkpoints:
    """The checkpoints in one directory, the newest `keep` of them.

    With several processes, each calls the same methods, as it reads and writes its own part.
    """

    def __init__(self, directory: epath.PathLike, keep: int, *, read_only: bool = False):
        directory = epath.Path(directory)
        # Orbax does not take relative paths.
        self.directory = directory if directory.is_absolute() else directory.resolve()
        self._read_only = read_only
        # Orbax's own `read_only` logs a warning for everything that it skips.
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=not read_only)
        self._manager = _Manager(
            self.directory, options=options, item_handlers=ocp.StandardCheckpointHandler()
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def save(
        self, step: int, state: State, since_log: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        """Saves in the background; `state` may be donated as soon as this returns.

        `since_log` are the metrics of the steps since the last log, by name.

        Raises:
          OSError: this checkpoint, or the one before, cannot be written.
        """
        # Orbax reads a changed byte of an array as another number.
        since_log = {name: list(values) for name, values in (since_log or {}).items()}
        checksums = _checksums(state) | {_SINCE_LOG: _checksum_of_json(since_log)}
        beside = {_CHECKSUMS: checksums, _SINCE_LOG: since_log}
        arguments = ocp.args.StandardSave(state, custom_metadata=beside)
        with self._writing():
            self._manager.save(step, args=arguments)

    def close(self) -> None:
        """Waits until everything is saved; raises OSError if it cannot be written."""
        with self._writing():
            self._manager.wait_until_finished()
            self._manager.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns whatever Orbax and the layers below it raise into an OSError of one line."""
        try:
            yield
        except Exception as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            raise OSError(
                f"Checkpoints cannot be written to {self.directory}: {reason.rstrip('.')}."
            ) from error

    def since_log(self, step: int) -> Mapping[str, Sequence[float]]:
        """Returns what was saved with the state of `step`; nothing where there is no checkpoint."""
        if step not in self._manager.all_steps():
            return {}
        beside = self._manager.item_metadata(step).custom_metadata
        return (beside or {}).get(_SINCE_LOG, {})  # Older versions saved none.

    def restore(self, like: State) -> State | None:
        """Returns the newest complete checkpoint, with the shardings of `like`, or None.

        `like` is a state of arrays, or of `jax.ShapeDtypeStruct` with shardings.

        Damaged checkpoints are skipped with a warning. Unless this is `read_only`, they are also
        renamed once an older one has been read.

        Raises:
          ValueError: when the newest readable checkpoint is of another architecture, naming arrays
            that differ, or when there are checkpoints but none can be read.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            state = None
            try:
                state = self._restore_step(step, like)
            except _OtherArchitectureError as error:
                raise ValueError(f"Checkpoint {self.directory / str(step)}: {error}.") from None
            except Exception as error:  # Damaged bytes can raise anything.
                damaged[step] = first_line(error)
            if not processes.everywhere(state is not None):
                damaged.setdefault(step, "another process cannot read it")
                continue
            for bad_step, reason in damaged.items():
                self._set_aside(bad_step, reason)
            return state
        if damaged:
            raise ValueError(
                f"None of the checkpoints in {self.directory} can be read ({max(damaged)}: "
                f"{damaged[max(damaged)]}); move the folder away to start over."
            )
        return None

    def _restore_step(self, step: int, like: State) -> State:
        metadata = self._manager.item_metadata(step)
        if metadata is None or metadata.tree is None:
            raise OSError("its array metadata are missing")
        # Checkpoints of version 0.1 have other names for some fields of a state.
        old_names = {new: old for old, new in renamed.STATE_FIELDS.items() if old in metadata.tree}
        stored_like = {
            old_names.get(field.name, field.name): getattr(like, field.name)
            for field in dataclasses.fields(like)
        }
        difference = _difference(_shapes(metadata.tree), _shapes(stored_like))
        if difference:
            raise _OtherArchitectureError(difference)
        template = jax.tree.map(ocp.utils.to_shape_dtype_struct, stored_like)
        stored = self._manager.restore(step, args=ocp.args.StandardRestore(template))
        _verify(stored, metadata.custom_metadata)
        return like.replace(**{name: stored[old_names.get(name, name)] for name in vars(like)})

    def _set_aside(self, step: int, reason: str) -> None:
        source = self.directory / str(step)
        logging.warning("Checkpoint %s is damaged: %s", source, reason)
        if self._read_only:
            return
        if processes.is_first():
            target = self.directory / f"damaged_{step}"
            while target.exists():
                target = target.with_name(target.name + "_")
            files.move(source, target)
            logging.warning("It was moved to %s.", target.name)
        processes.barrier()
        self._manager.reload()


def _verify(stored: dict[str, Any], recorded: dict[str, Any] | None) -> None:
    """Raises OSError if arrays are not those that were saved; version 0.1 recorded nothing."""
    if not recorded:
        return
    checksums = _checksums(stored)
    if _SINCE_LOG in recorded[_CHECKSUMS]:
        checksums[_SINCE_LOG] = _checksum_of_json(recorded.get(_SINCE_LOG))
    for name, checksum in checksums.items():
        if recorded[_CHECKSUMS].get(name) != checksum:
            raise OSError(f"the checksum of {name} is wrong")


def _checksums(tree: Any) -> dict[str, int]:
    """Returns the CRC-32 of the bytes of every array by its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))
    return {"/".join(map(_key_name, path)): zlib.crc32(leaf.tobytes()) for path, leaf in leaves}


def _checksum_of_json(value: Any) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def _shapes(tree) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every array by its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join(map(_key_name, path)): tuple(leaf.shape) for path, leaf in leaves}


def _key_name(key) -> str:
    # Attributes, dictionary keys and positions all become dictionary keys in a checkpoint.
    for field in ("name", "key", "idx"):
        if hasattr(key, field):
            return str(getattr(key, field))
    return str(key)


def _difference(stored: dict, expected: dict) -> str | None:
    """Returns a line on how a checkpoint's arrays differ from the model's, or None."""
    lines = [
        f"{name} is {stored.get(name, 'missing')}, "
        f"the model has {expected.get(name, 'no such array')}"
        for name in sorted(stored.keys() | expected.keys())
        if stored.get(name) != expected.get(name)
    ]
    if not lines:
        return None
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    return "; ".join(lines[:3]) + more


class _OtherArchitectureError(Exception):
    """The checkpoint is intact, but of another model."""
