"""Unpickles what `torch.save` pickled, without running anything, in bounded time and memory.

A pickle is a program that may name and call any function. Here every name stands for an inert
`Record` class, except for the few functions below, which this module implements itself.

Source: PyTorch, torch/serialization.py and torch/_utils.py.
"""

import collections
import dataclasses
import pickle
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

_MAX_PROGRAM_BYTES = 2**21  # The numbers are elsewhere; a network takes some 100 kB at most.
_MAX_NAMES = 1000
_MAX_GROWTH = 8
_SLACK_BYTES = 2**20  # For the smallest files.
_DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _RecordClass(type):
    """The class of what replaces a file's classes and functions, and cannot be called."""

    def __call__(cls, *args, **kwargs):
        raise ValueError(f"it calls {cls.origin}, which is not run")


class Record(metaclass=_RecordClass):
    """An object whose class the file names, reduced to its attributes in `__dict__`.

    Attributes:
      origin: `module.name` of the class in the file.
    """

    origin = "object"


class Budget:
    """The memory that a file may claim, by the length of its content.

    What is in a file once can be used in it any number of times, so a few kilobytes could claim
    terabytes.
    """

    def __init__(self, num_bytes: int):
        self._left = _MAX_GROWTH * num_bytes + _SLACK_BYTES

    def spend(self, num_bytes: int) -> None:
        """Raises ValueError when more is claimed than the file may."""
        self._left -= num_bytes
        if self._left < 0:
            raise ValueError("it would grow beyond all measure when it is read")


@dataclasses.dataclass(eq=False)
class Storage:
    """Memory that tensors are views of; in a legacy file the numbers come last."""

    dtype: np.dtype
    num_elements: int
    values: np.ndarray | None = None


@dataclasses.dataclass(eq=False)
class Tensor:
    """A view of a storage, not yet looked up."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Allowed:
    """One of our functions under a name that files use.

    Files may set an object's state. This is therefore neither a plain function nor a frozen
    dataclass: both would take the state, and stay changed.
    """

    __slots__ = ("_budget", "_function")

    def __init__(self, function: Callable, budget: Budget):
        object.__setattr__(self, "_function", function)
        object.__setattr__(self, "_budget", budget)

    def __setattr__(self, name, value):
        raise ValueError("it changes a function")

    def __call__(self, *args):
        for arg in args:
            if isinstance(arg, str | bytes | bytearray | list | tuple | dict | set):
                self._budget.spend(8 * len(arg))
        return self._function(*args)


def _rebuild_tensor(storage, offset, shape, strides, *unused):
    if not isinstance(storage, Storage) or not isinstance(shape, tuple | list):
        raise ValueError("a tensor has no storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *unused):
    if not isinstance(tensor, Tensor):
        raise ValueError("a parameter is no tensor")
    return tensor


def _reconstruct(record_class, base, state):
    if not (isinstance(record_class, type) and issubclass(record_class, Record)):
        raise ValueError("it reconstructs an unknown object")
    return record_class.__new__(record_class)


def _encode(text, encoding="latin1"):
    if encoding != "latin1":
        raise ValueError("it calls _codecs.encode for another encoding, which is not run")
    return text.encode("latin1")


def _ordered_dict(items=()):
    items = list(items)
    _check_keys(key for key, _ in items)
    return collections.OrderedDict(items)


def _set(items=()):
    items = list(items)
    _check_keys(items)
    return set(items)


_FUNCTIONS = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("copy_reg", "_reconstructor"): _reconstruct,
    ("copyreg", "_reconstructor"): _reconstruct,
    ("__builtin__", "set"): _set,
    ("builtins", "set"): _set,
    ("_codecs", "encode"): _encode,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}


def _check_keys(keys: Iterable[Any]) -> None:
    """Raises ValueError for keys other than names and numbers.

    The hash of a tuple of tuples that share their parts takes time exponential in their depth.
    """
    for key in keys:
        if not isinstance(key, str | bytes | int | float | None):
            raise ValueError("it has a key that is neither a name nor a number")


class _Program:
    """A file that a pickle is read from, up to a length."""

    def __init__(self, file: BinaryIO):
        self._file, self._left = file, _MAX_PROGRAM_BYTES

    def read(self, num_bytes: int) -> bytes:
        return self._counted(self._file.read(num_bytes))

    def readline(self) -> bytes:
        return self._counted(self._file.readline())

    def _counted(self, read: bytes) -> bytes:
        self._left -= len(read)
        if self._left < 0:
            raise ValueError(f"its pickle has more than {_MAX_PROGRAM_BYTES:,} bytes")
        return read


# The form in Python: that in C, by itself, makes room for as many objects as the file claims to
# have, and lets nothing look at keys before they are hashed.
class Unpickler(pickle._Unpickler):
    """An unpickler that maps every name of the file to a `Record` class or a function above.

    Attributes:
      storages: those that tensors of the file refer to, by key.
    """

    dispatch = dict(pickle._Unpickler.dispatch)  # noqa: RUF012, its name in the base class.

    def __init__(
        self,
        file: BinaryIO,
        new_storage: Callable[[np.dtype, str, int], Storage],
        budget: Budget,
    ):
        """`new_storage` makes a storage of (dtype, key, number of elements)."""
        super().__init__(_Program(file), encoding="utf-8")
        self._new_storage = new_storage
        functions = _FUNCTIONS.items()
        self._classes: dict[tuple[str, str], Any] = {
            name: _Allowed(function, budget) for name, function in functions
        }
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._classes:
            if len(self._classes) >= _MAX_NAMES:
                raise ValueError(f"it names more than {_MAX_NAMES} classes and functions")
            body = {"origin": f"{module}.{name}"}
            self._classes[module, name] = _RecordClass("Record", (Record,), body)
        return self._classes[module, name]

    def persistent_load(self, reference: Any) -> Any:
        if not isinstance(reference, tuple) or len(reference) < 2:
            raise ValueError("it has an unknown kind of reference")
        kind = reference[0]
        if kind == "module":  # (class, file, source text) of a module, in legacy files.
            return reference[1]
        if kind != "storage" or len(reference) < 5:
            raise ValueError("it has an unknown kind of reference")
        storage_class, key, num_elements = reference[1], reference[2], reference[4]
        if not isinstance(key, str | int):
            raise ValueError("it has an unknown kind of reference")
        if len(reference) > 5 and reference[5] is not None:
            raise ValueError("it has a storage that looks into another")
        dtype = _DTYPES.get(getattr(storage_class, "origin", "").removeprefix("torch."))
        if dtype is None or type(num_elements) is not int or not 0 <= num_elements < 2**63:
            raise ValueError("it has an unknown kind of storage")
        key = str(key)
        if key not in self.storages:
            self.storages[key] = self._new_storage(np.dtype(dtype), key, num_elements)
        return self.storages[key]

    def load_bytearray(self) -> None:
        """Refuses what takes its memory before it is read, and no file of PyTorch has."""
        raise ValueError("it has a bytearray")

    def _checking(keys: Callable[[list], list], then: Callable):  # noqa: N805, used below only.
        def load(self):
            _check_keys(keys(self.stack))
            then(self)

        return load

    base = pickle._Unpickler
    every, every_second, last = (lambda s: s), (lambda s: s[::2]), (lambda s: s[-2:-1])
    dispatch[pickle.SETITEM[0]] = _checking(last, base.load_setitem)
    dispatch[pickle.SETITEMS[0]] = _checking(every_second, base.load_setitems)
    dispatch[pickle.DICT[0]] = _checking(every_second, base.load_dict)
    dispatch[pickle.ADDITEMS[0]] = _checking(every, base.load_additems)
    dispatch[pickle.FROZENSET[0]] = _checking(every, base.load_frozenset)
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray
    del base, every, every_second, last
