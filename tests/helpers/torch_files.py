"""Files as `torch.save` writes them, without PyTorch."""

import io
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np

STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16.dtype.type,
    "LongStorage": np.int64,
    "BoolStorage": np.bool_,
}


class Tensor:
    """A tensor to write: a view of an array."""

    def __init__(self, array, offset=0, shape=None, strides=(1,)):
        self.call = rebuild, (array, offset, shape or array.shape, strides, False, {})


def rebuild():
    """Stands for the function of PyTorch that makes a tensor."""


class Writer(pickle.Pickler):
    """A pickler that puts the numbers of arrays aside."""

    def persistent_id(self, value):
        if not isinstance(value, np.ndarray):
            return None
        self.arrays.append(value)
        return "storage", value.dtype.type, str(len(self.arrays) - 1), "cpu", value.size

    def reducer_override(self, value):
        return value.call if isinstance(value, Tensor) else NotImplemented


def write(path, content, byteorder="little"):
    """Writes `content` as `torch.save` would."""
    buffer = io.BytesIO()
    writer = Writer(buffer, protocol=2)
    writer.arrays = []
    writer.dump(content)
    program = buffer.getvalue()
    # In this protocol a name is a line of text, so PyTorch's can replace those of ours.
    names = {f"torch\n{name}": kind for name, kind in STORAGES.items()}
    for theirs, ours in (names | {"torch._utils\n_rebuild_tensor_v2": rebuild}).items():
        name = f"c{ours.__module__}\n{ours.__name__}\n"
        program = program.replace(name.encode(), f"c{theirs}\n".encode())
    write_zip(path, program, [array.tobytes() for array in writer.arrays], byteorder)


def write_zip(path, program, storages=(), byteorder="little", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("model/data.pkl", program)
        archive.writestr("model/byteorder", byteorder)
        for key, raw in enumerate(storages):
            archive.writestr(f"model/data/{key}", raw)


def write_legacy(path, program):
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    parts = [pickle.dumps(item, 2) for item in header] + [program, pickle.dumps([], 2)]
    path.write_bytes(b"".join(parts))
