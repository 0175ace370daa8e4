"""Reads files of `torch.save` without PyTorch, and without running anything that a file names.

Source: PyTorch, torch/serialization.py; formats before and since version 1.6.
"""

import io
import itertools
import math
import struct
import zipfile
from typing import Any

import numpy as np
from etils import epath

from drnet_jax.interop.torch_pickle import Budget, Record, Storage, Tensor, Unpickler

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_DEPTH = 100  # Far deeper than any network; it stops lists that contain themselves.
_MAX_MODULES = 10_000  # A module that is part of others at many places counts once for each.


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
        budget = Budget(len(content))
        load_any = _load_zip if content[:4] == b"PK\x03\x04" else _load_legacy
        return _resolve(load_any(content, budget), {}, 0, budget)
    except Exception as error:  # What is damaged raises errors of any kind.
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ValueError(f"Cannot read {path} as a PyTorch file: {reason}.") from error


def tensors(module: Any) -> dict[str, np.ndarray]:
    """Returns tensors by dotted name, of a state dict or of a whole saved module.

    Raises:
      ValueError: `module` is neither.
    """
    state = dict(_named_tensors(module, "", 0, itertools.count()))
    for name, value in state.items():
        if not isinstance(value, np.ndarray):
            raise ValueError(f"Expected a tensor at {name!r}, found {type(value).__name__}.")
    return state


def _named_tensors(module, prefix, depth, counter):
    if depth > _MAX_DEPTH:
        raise ValueError(f"Modules are nested more than {_MAX_DEPTH} deep.")
    if next(counter) > _MAX_MODULES:
        raise ValueError(f"Expected at most {_MAX_MODULES:,} modules, found more.")
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
            yield from _named_tensors(child, f"{prefix}{name}.", depth + 1, counter)


def _array(tensor: Tensor, budget: Budget) -> np.ndarray:
    values = tensor.storage.values
    if not isinstance(values, np.ndarray):
        raise ValueError("a tensor has no data")
    sizes = (tensor.offset, *tensor.shape, *tensor.strides)
    if any(type(size) is not int or not 0 <= size < 2**63 for size in sizes):
        raise ValueError("a tensor has an impossible shape")
    if len(tensor.shape) != len(tensor.strides) or len(tensor.shape) > 32:
        raise ValueError("a tensor has an impossible shape")
    steps = [(n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True)]
    num_elements = math.prod(tensor.shape)
    if num_elements == 0:
        return np.zeros(tensor.shape, values.dtype)
    # The second check keeps a small storage from being blown up by strides of zero.
    if tensor.offset + sum(steps) >= len(values) or num_elements > len(values):
        raise ValueError("a tensor reaches beyond its data")
    budget.spend(num_elements * values.itemsize)
    strides = [stride * values.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides).copy()


def _load_zip(content: bytes, budget: Budget) -> Any:
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

        def new_storage(dtype: np.dtype, key: str, num_elements: int) -> Storage:
            raw = archive.read(f"{folder}data/{key}")
            budget.spend(len(raw))  # Entries of an archive can share their bytes.
            return Storage(dtype, num_elements, _values(raw, dtype, num_elements, order))

        return Unpickler(io.BytesIO(archive.read(roots[0])), new_storage, budget).load()


def _load_legacy(content: bytes, budget: Budget) -> Any:
    file = io.BytesIO(content)

    def read():
        # Numbers come after the pickle.
        return Unpickler(file, lambda dtype, key, count: Storage(dtype, count), budget)

    if read().load() != _LEGACY_MAGIC:
        raise ValueError("it does not begin like one")
    if read().load() != _LEGACY_PROTOCOL:
        raise ValueError("it has an unknown protocol")
    system = read().load()
    order = "little" if not isinstance(system, dict) or system.get("little_endian", True) else "big"
    unpickler = read()
    root = unpickler.load()
    keys = read().load()
    for key in map(_key, keys):
        storage = unpickler.storages[key]
        (num_elements,) = struct.unpack("<q" if order == "little" else ">q", file.read(8))
        if num_elements != storage.num_elements:
            raise ValueError("a storage has another size than announced")
        raw = file.read(num_elements * storage.dtype.itemsize)
        storage.values = _values(raw, storage.dtype, num_elements, order)
    return root


def _key(key: Any) -> str:
    if not isinstance(key, str | int):
        raise ValueError("it has an unknown kind of key")
    return str(key)


def _values(raw: bytes, dtype: np.dtype, num_elements: int, order: str) -> np.ndarray:
    if len(raw) != num_elements * dtype.itemsize:
        raise ValueError(
            f"a storage has {len(raw)} bytes instead of those of {num_elements} numbers"
        )
    values = np.frombuffer(raw, dtype)
    return values.byteswap() if order == "big" else values


def _resolve(value: Any, done: dict[int, Any], depth: int, budget: Budget) -> Any:
    """Returns `value` with arrays in place of tensors at any depth.

    `done` holds the results by the identity of their sources, so that shared objects stay shared.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, Tensor):
        out = _array(value, budget)
    elif isinstance(value, dict):
        out = {key: _resolve(item, done, depth + 1, budget) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        out = type(value)(_resolve(item, done, depth + 1, budget) for item in value)
    elif isinstance(value, Record):
        out = value
        done[id(value)] = (value, out)  # Before its attributes, which may point back.
        for name, item in list(vars(value).items()):
            vars(value)[name] = _resolve(item, done, depth + 1, budget)
    else:
        return value
    done[id(value)] = (value, out)  # The key is an address, so the value has to stay alive.
    return out
