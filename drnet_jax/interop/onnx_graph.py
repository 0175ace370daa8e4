"""An ONNX graph under construction: its nodes, its constants, and the size of the batch."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

Value = str | np.ndarray
"""The name of what a node computes, or a constant."""


class Graph:
    """A graph under construction.

    Attributes:
      onnx: the package.
      batch: the symbol that stands for the size of the batch in shapes.
      nodes: the `NodeProto` of each operation so far; each uses results of earlier ones.
      constants: the `TensorProto` of each constant so far.
    """

    def __init__(self, batch: Any, first_input: str):
        import onnx  # Of the extra onnx.

        self.onnx = onnx
        self.batch = batch
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._first_input = first_input

    def name(self, value: Value) -> str:
        """Returns the name of `value`, which becomes a constant of the graph if it is known."""
        if isinstance(value, str):
            return value
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: Value, num_outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node and returns the name of what it computes, or a list of several."""
        names = [self.name(value) for value in inputs]
        outputs = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(num_outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, names, outputs, **attributes))
        return outputs[0] if num_outputs == 1 else outputs

    def reshape(self, value: Value, shape: Sequence[Any]) -> Value:
        """Returns `value` in `shape`, in which one number may depend on the batch."""
        sizes = [size if isinstance(size, int) else -1 for size in shape]
        if isinstance(value, np.ndarray):
            return value.reshape(sizes)
        return self.add("Reshape", value, np.int64(sizes))

    def expand(self, value: Value, shape: Sequence[Any]) -> Value:
        """Returns `value`, which has the rank of `shape`, with axes of length 1 repeated."""
        sizes = [
            np.int64([size]) if isinstance(size, int) else self._batch_size(size) for size in shape
        ]
        return self.add("Expand", value, self.add("Concat", *sizes, axis=0))

    @functools.cached_property
    def _num_clips(self) -> str:
        return self.add("Shape", self._first_input, start=0, end=1)

    def _batch_size(self, size: Any) -> str:
        if size != self.batch:
            raise ValueError(
                f"ONNX export: an array is repeated to length {size}; allowed: numbers and the "
                "size of the batch."
            )
        return self._num_clips
