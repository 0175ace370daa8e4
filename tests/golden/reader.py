"""Reads the golden files: arrays recorded once from the reference code, and what they were made of.

A file holds no weights. Tensors and inputs are drawn again, each from its own generator, so that a
file is a seed, an ordered list of names and shapes, and results.
"""

import json
import pathlib
from collections.abc import Iterator

import numpy as np

_INPUT_STREAM = 10_000


class Golden:
    """One golden file; it remembers which of its fields have been used."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        with np.load(path, allow_pickle=False) as archive:
            self._fields = {name: _decode(archive[name]) for name in archive.files}
        self._unused = set(self._fields)
        self.module: str = self["module"]
        self.config: dict = self["config"]
        self.seed = int(self["seed"])

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __getitem__(self, name: str):
        if name not in self._fields:
            raise KeyError(f"{self.path.name} has no field {name!r}.")
        self._unused.discard(name)
        return self._fields[name]

    def names(self, prefix: str = "") -> list[str]:
        """Returns the names of the fields that begin with `prefix`."""
        return [name for name in self._fields if name.startswith(prefix)]

    def unused(self) -> list[str]:
        """Returns the names of the fields that nothing has asked for."""
        return sorted(self._unused)

    def state(self, network: str = "") -> dict[str, np.ndarray]:
        """Returns the PyTorch state dict of `network` (of the only one, if empty), drawn again."""
        suffix = f"/{network}" if network else ""
        seed = self["state_seeds"][network] if network else self.seed
        named_shapes = zip(self["keys" + suffix], self["shapes" + suffix], strict=True)
        state = {
            name: _draw(name, tuple(shape), seed, index)
            for index, (name, shape) in enumerate(named_shapes)
        }
        if "state_probe" + suffix in self:
            self._check("tensors", state.values(), self["state_probe" + suffix])
        return state

    def inputs(self) -> dict[str, np.ndarray]:
        """Returns the inputs by name, uniform in [0, 1), float32."""
        arrays = {}
        for item in self["inputs"]:
            rng = np.random.default_rng([self.seed, _INPUT_STREAM + item["index"]])
            arrays[item["name"]] = rng.random(tuple(item["shape"])).astype(np.float32)
        if "input_probe" in self:
            self._check("inputs", arrays.values(), self["input_probe"])
        return arrays

    def _check(self, what: str, arrays: Iterator[np.ndarray], probes: np.ndarray) -> None:
        """Fails if another NumPy draws other numbers than the ones the results belong to."""
        found = []
        for array in arrays:
            flat = array.astype(np.float64).ravel()
            found.append([flat.sum(), np.square(flat).sum(), flat[0], flat[-1]])
        message = f"{self.path.name}: {what} differ from those of the recording."
        np.testing.assert_allclose(found, probes, rtol=1e-5, atol=1e-4, err_msg=message)


def evenly_spaced(array: np.ndarray, num: int = 16) -> np.ndarray:
    """Returns `num` entries of the flattened array, evenly spaced, as the files store samples."""
    flat = np.ravel(array)
    return flat[:: max(1, flat.size // num)][:num]


def _decode(field: np.ndarray):
    if field.dtype.kind != "U":
        return field
    if field.ndim:
        return [str(item) for item in field]
    text = str(field)
    return json.loads(text) if text[:1] in ("[", "{") else text


def _draw(name: str, shape: tuple[int, ...], seed: int, index: int) -> np.ndarray:
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    normal = np.random.default_rng([seed, index]).standard_normal(shape)
    if len(shape) > 1:
        values = normal / np.sqrt(np.prod(shape[1:]))
    elif leaf == "running_mean":
        values = 0.1 * normal
    elif leaf == "running_var":
        values = np.exp(0.2 * normal)
    elif leaf == "weight":
        values = 1 + 0.1 * normal
    else:
        values = 0.05 * normal
    return values.astype(np.float32)
