"""Reads files of `torch.save` without PyTorch, and without running anything that a file names.

Such a file is a pickle, that is, a program that may name and call any function. Here every name
stands for an inert `Record` class, except for the few functions below, which this module implements
itself.

Source: PyTorch, torch/serialization.py and torch/_utils.py; formats before and since version 1.6.
"""

import collections
import dataclasses
import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np
from etils import epath

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_DEPTH = 100  # Far deeper than any network; it stops lists that contain themselves.
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


def load(path: epath.PathLike) -> Any:
    """Returns what `torch.save` wrote to `path`.

    Dicts, lists, tuples, numbers and strings come as they are, tensors as NumPy arrays, and objects
    of any other class as `Record`. Nothing that the file names is imported or called.

    Raises:
      ValueError: the file is damaged, is not from `torch.save`, or calls a function.
    """
    path = epath.Path(path)
    content = path.read_bytes()
    try:
        zipped = content[:4] == b"PK\x03\x04"
        root = _load_zip(content) if zipped else _load_legacy(io.BytesIO(content))
        return _resolve(root, {}, 0)
    except Exception as error:  # What is damaged raises errors of any kind.
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ValueError(f"Cannot read {path} as a PyTorch file: {reason}.") from error


def tensors(module: Any) -> dict[str, np.ndarray]:
    """Returns tensors by dotted name, of a state dict or of a whole saved module.

    Raises:
      ValueError: `module` is neither.
    """
    state = dict(_named_tensors(module, "", 0))
    for name, value in state.items():
        if not isinstance(value, np.ndarray):
            raise ValueError(f"Expected a tensor at {name!r}, found {type(value).__name__}.")
    return state


def _named_tensors(module, prefix, depth):
    if depth > _MAX_DEPTH:
        raise ValueError(f"Modules are nested more than {_MAX_DEPTH} deep.")
    if not isinstance(module, Record):
        if not isinstance(module, dict) or not all(isinstance(name, str) for name in module):
            raise ValueError(
                f"Expected a network or its state dict, found {type(module).__name__}."
            )
        yield from module.items()
        return
    attributes = vars(module)
    if "_modules" not in attributes or "_parameters" not in attributes:
        raise ValueError(f"Expected a network, found an object of {type(module).origin}.")
    passing = attributes.get("_non_persistent_buffers_set", ())
    for kind in ("_parameters", "_buffers"):
        for name, value in (attributes.get(kind) or {}).items():
            if value is not None and not (kind == "_buffers" and name in passing):
                yield f"{prefix}{name}", value
    for name, child in attributes["_modules"].items():
        if child is not None:
            yield from _named_tensors(child, f"{prefix}{name}.", depth + 1)


@dataclasses.dataclass(eq=False)
class _Storage:
    """Memory that tensors are views of; in a legacy file the numbers come last."""

    dtype: np.dtype
    num_elements: int
    values: np.ndarray | None = None


@dataclasses.dataclass(eq=False)
class _Tensor:
    """A view of a storage, not yet looked up."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        values = self.storage.values
        if not isinstance(values, np.ndarray):
            raise ValueError("a tensor has no data")
        sizes = (self.offset, *self.shape, *self.strides)
        if any(type(size) is not int or size < 0 for size in sizes):
            raise ValueError("a tensor has an impossible shape")
        if len(self.shape) != len(self.strides) or len(self.shape) > 32:
            raise ValueError("a tensor has an impossible shape")
        steps = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        num_elements = math.prod(self.shape)
        if num_elements == 0:
            return np.zeros(self.shape, values.dtype)
        # The second check keeps a small storage from being blown up by strides of zero.
        if self.offset + sum(steps) >= len(values) or num_elements > len(values):
            raise ValueError("a tensor reaches beyond its data")
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, [s * values.itemsize for s in self.strides]
        )
        return view.copy()


class _Allowed:
    """One of our functions under a name that files use.

    Files may set an object's state. This is therefore neither a plain function nor a frozen
    dataclass: both would take the state, and stay changed.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name, value):
        raise ValueError("it changes a function")

    def __call__(self, *args):
        return self._function(*args)


def _rebuild_tensor(storage, offset, shape, strides, *unused):
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple | list):
        raise ValueError("a tensor has no storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *unused):
    if not isinstance(tensor, _Tensor):
        raise ValueError("a parameter is no tensor")
    return tensor


def _reconstruct(record_class, base, state):
    if not (isinstance(record_class, type) and issubclass(record_class, Record)):
        raise ValueError("it reconstructs an unknown object")
    return record_class.__new__(record_class)


def _encode(text, encoding="latin1"):
    if encoding != "latin1":
        raise ValueError(f"it calls _codecs.encode for {encoding}, which is not run")
    return text.encode("latin1")


_ALLOWED = {
    ("collections", "OrderedDict"): _Allowed(collections.OrderedDict),
    ("copy_reg", "_reconstructor"): _Allowed(_reconstruct),
    ("copyreg", "_reconstructor"): _Allowed(_reconstruct),
    ("__builtin__", "set"): _Allowed(set),
    ("builtins", "set"): _Allowed(set),
    ("_codecs", "encode"): _Allowed(_encode),
    ("torch", "Size"): _Allowed(tuple),
    ("torch._utils", "_rebuild_tensor"): _Allowed(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Allowed(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Allowed(_rebuild_parameter),
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that maps every name of the file to a `Record` class or a function above."""

    def __init__(self, file: BinaryIO, new_storage: Callable[[np.dtype, str, int], _Storage]):
        super().__init__(file, encoding="utf-8")
        self._new_storage = new_storage
        self._classes: dict[tuple[str, str], Any] = dict(_ALLOWED)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._classes:
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
        storage_class, key, num_elements = reference[1], str(reference[2]), reference[4]
        if len(reference) > 5 and reference[5] is not None:
            raise ValueError("it has a storage that looks into another")
        dtype = _DTYPES.get(getattr(storage_class, "origin", "").removeprefix("torch."))
        if dtype is None or type(num_elements) is not int or num_elements < 0:
            raise ValueError("it has an unknown kind of storage")
        if key not in self.storages:
            self.storages[key] = self._new_storage(np.dtype(dtype), key, num_elements)
        return self.storages[key]


def _load_zip(content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        roots = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError("it holds no data.pkl")
        folder = roots[0].removesuffix("data.pkl")
        # Without compression, sizes are the file's own, whatever the archive's index says.
        if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
            raise ValueError("it is compressed, which torch.save never does")
        order = "little"
        if f"{folder}byteorder" in archive.namelist():
            order = archive.read(f"{folder}byteorder").decode("ascii")
        if order not in ("little", "big"):
            raise ValueError("it has an unknown byte order")

        def new_storage(dtype: np.dtype, key: str, num_elements: int) -> _Storage:
            raw = archive.read(f"{folder}data/{key}")
            return _Storage(dtype, num_elements, _values(raw, dtype, num_elements, order))

        return _Unpickler(io.BytesIO(archive.read(roots[0])), new_storage).load()


def _load_legacy(file: BinaryIO) -> Any:
    def read():
        # Numbers come after the pickle.
        return _Unpickler(file, lambda dtype, key, num_elements: _Storage(dtype, num_elements))

    if read().load() != _LEGACY_MAGIC:
        raise ValueError("it does not begin like one")
    if read().load() != _LEGACY_PROTOCOL:
        raise ValueError("it has an unknown protocol")
    system = read().load()
    order = "little" if not isinstance(system, dict) or system.get("little_endian", True) else "big"
    unpickler = read()
    root = unpickler.load()
    keys = read().load()
    for key in keys:
        storage = unpickler.storages[str(key)]
        (num_elements,) = struct.unpack("<q" if order == "little" else ">q", file.read(8))
        if num_elements != storage.num_elements:
            raise ValueError("a storage has another size than announced")
        raw = file.read(num_elements * storage.dtype.itemsize)
        storage.values = _values(raw, storage.dtype, num_elements, order)
    return root


def _values(raw: bytes, dtype: np.dtype, num_elements: int, order: str) -> np.ndarray:
    if len(raw) != num_elements * dtype.itemsize:
        raise ValueError(
            f"a storage has {len(raw)} bytes instead of those of {num_elements} numbers"
        )
    values = np.frombuffer(raw, dtype)
    return values.byteswap() if order == "big" else values


def _resolve(value: Any, done: dict[int, Any], depth: int) -> Any:
    """Returns `value` with arrays in place of tensors at any depth.

    `done` holds the results by the identity of their sources, so that shared objects stay shared.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, _Tensor):
        out = value.array()
    elif isinstance(value, dict):
        out = {key: _resolve(item, done, depth + 1) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        out = type(value)(_resolve(item, done, depth + 1) for item in value)
    elif isinstance(value, Record):
        out = value
        done[id(value)] = (value, out)  # Before its attributes, which may point back.
        for name, item in list(vars(value).items()):
            vars(value)[name] = _resolve(item, done, depth + 1)
    else:
        return value
    done[id(value)] = (value, out)  # The key is an address, so the value has to stay alive.
    return out
