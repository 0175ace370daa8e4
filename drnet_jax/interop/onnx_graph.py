"""Traced functions as ONNX graphs: the operations that our networks consist of, and no others.

Whatever depends on weights alone, such as a kernel that is turned around, is computed here and
becomes a constant of the graph. Sources: the ONNX operator specification, opset 18; the
documentation of `jax.lax`, whose operations the functions below are named after.
"""

import functools
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import export as jax_export
from jax.extend import core

OPSET = 18
"""The first with axes of reductions as inputs; onnxruntime has it since 1.14."""

Value = str | np.ndarray
"""The name of what a node computes, or a constant."""


def convert(
    function: Callable[..., tuple[jax.Array, ...]],
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str],
) -> bytes:
    """Returns `function` as a serialized ONNX model, for batches of any size.

    Args:
      function: from float32 arrays `[batch, *]` to a tuple of such arrays.
      inputs: the shape of each argument, without the batch, by name.
      outputs: the names of what `function` returns.

    Raises:
      ImportError: the package onnx is not installed.
      ValueError: `function` has an operation that is unknown here.
    """
    (batch,) = jax_export.symbolic_shape("batch")
    shapes = [jax.ShapeDtypeStruct((batch, *shape), np.float32) for shape in inputs.values()]
    traced = jax.make_jaxpr(function)(*shapes)
    graph = _Graph(batch, next(iter(inputs)))
    onnx = graph.onnx
    results = _run(graph, traced.jaxpr, traced.consts, list(inputs))
    for name, value in zip(outputs, results, strict=True):
        graph.nodes.append(onnx.helper.make_node("Identity", [graph.name(value)], [name]))
    described = [
        [
            onnx.helper.make_tensor_value_info(
                name, onnx.TensorProto.FLOAT, ["batch", *aval.shape[1:]]
            )
            for name, aval in zip(names, avals, strict=True)
        ]
        for names, avals in ((inputs, traced.in_avals), (outputs, traced.out_avals))
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "drnet_jax", *described, graph.constants),
        opset_imports=(opsets := [onnx.helper.make_opsetid("", OPSET)]),
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="drnet_jax",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


class _Graph:
    """The nodes and constants so far, and the symbol that stands for the size of the batch."""

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
            raise ValueError(f"ONNX export: an array is repeated to length {size}.")
        return self._num_clips


def _run(graph: _Graph, jaxpr: Any, consts: Sequence[Any], args: Sequence[Value]) -> list[Value]:
    """Adds the equations of `jaxpr` to `graph`; returns what they compute from `args`."""
    known: dict[Any, Value] = dict(zip(jaxpr.invars, args, strict=True))
    known |= dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))

    def read(atom: Any) -> Value:
        if isinstance(atom, core.Literal):
            return np.asarray(atom.val, atom.aval.dtype)
        return known[atom]

    for equation in jaxpr.eqns:
        results = _apply(graph, equation, [read(atom) for atom in equation.invars])
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(graph: _Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _scan(graph, equation, inputs)
    inner = params.get("jaxpr", params.get("call_jaxpr"))
    if inner is not None:  # A function within the function.
        return _run(graph, inner.jaxpr, inner.consts, inputs)
    has_size = all(isinstance(size, int) for v in equation.outvars for size in v.aval.shape)
    if has_size and all(isinstance(value, np.ndarray) for value in inputs):
        results = equation.primitive.bind(*inputs, **params)
        results = results if equation.primitive.multiple_results else [results]
        return [np.asarray(result) for result in results]
    if name in _ELEMENTWISE:
        return [graph.add(_ELEMENTWISE[name], *inputs)]
    if name not in _OTHERS:
        raise ValueError(f"ONNX export: the operation {name!r} is unknown.")
    results = _OTHERS[name](graph, equation, *inputs)
    return results if isinstance(results, list) else [results]


def _scan(graph: _Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    """A loop of a single step, as that of an LSTM that advances by one frame."""
    params = equation.params
    if params["length"] != 1:
        raise ValueError(f"ONNX export: a loop of {params['length']} steps.")
    first = params["num_consts"] + params["num_carry"]
    inner = params["jaxpr"].jaxpr
    sliced = [
        graph.reshape(value, variable.aval.shape)
        for value, variable in zip(inputs[first:], inner.invars[first:], strict=True)
    ]
    results = _run(graph, inner, params["jaxpr"].consts, [*inputs[:first], *sliced])
    num_carry = params["num_carry"]
    stacked = zip(results[num_carry:], equation.outvars[num_carry:], strict=True)
    return [
        *results[:num_carry],
        *(graph.reshape(value, variable.aval.shape) for value, variable in stacked),
    ]


def _broadcast_in_dim(graph: _Graph, equation: Any, value: Value) -> Value:
    shape = equation.outvars[0].aval.shape
    old = equation.invars[0].aval.shape
    spread: list[Any] = [1] * len(shape)
    for axis, size in zip(equation.params["broadcast_dimensions"], old, strict=True):
        spread[axis] = size
    value = graph.reshape(value, spread)
    return value if tuple(spread) == tuple(shape) else graph.expand(value, shape)


def _to_shape(graph: _Graph, equation: Any, value: Value) -> Value:
    return graph.reshape(value, equation.outvars[0].aval.shape)


def _transpose(graph: _Graph, equation: Any, value: Value) -> Value:
    return graph.add("Transpose", value, perm=equation.params["permutation"])


def _convert_element_type(graph: _Graph, equation: Any, value: Value) -> Value:
    old, new = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
    return (
        value
        if old == new
        else graph.add("Cast", value, to=graph.onnx.helper.np_dtype_to_tensor_dtype(new))
    )


def _select_n(graph: _Graph, equation: Any, which: Value, first: Value, second: Value) -> Value:
    del equation
    return graph.add("Where", which, second, first)


def _rsqrt(graph: _Graph, equation: Any, value: Value) -> Value:
    del equation
    return graph.add("Reciprocal", graph.add("Sqrt", value))


def _integer_pow(graph: _Graph, equation: Any, value: Value) -> Value:
    return graph.add("Pow", value, np.float32(equation.params["y"]))


def _square(graph: _Graph, equation: Any, value: Value) -> Value:
    del equation
    return graph.add("Mul", value, value)


def _concatenate(graph: _Graph, equation: Any, *values: Value) -> Value:
    return graph.add("Concat", *values, axis=equation.params["dimension"])


def _stack(graph: _Graph, equation: Any, *values: Value) -> Value:
    axis = equation.params["axis"]
    values = [graph.add("Unsqueeze", value, np.int64([axis])) for value in values]
    return graph.add("Concat", *values, axis=axis)


def _split(graph: _Graph, equation: Any, value: Value) -> list[str]:
    sizes, axis = equation.params["sizes"], equation.params["axis"]
    parts = graph.add("Split", value, np.int64(sizes), num_outputs=len(sizes), axis=axis)
    return parts if len(sizes) > 1 else [parts]


def _slice(graph: _Graph, equation: Any, value: Value) -> Value:
    starts, stops = equation.params["start_indices"], equation.params["limit_indices"]
    return _cut(graph, equation, value, starts, stops, equation.params["strides"])


def _gather(graph: _Graph, equation: Any, value: Value, indices: Value) -> Value:
    """Constant places along some axes, as in `x[:, 0, 0]`."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    axes = numbers.start_index_map
    if isinstance(indices, str) or indices.shape != (len(axes),):
        raise ValueError("ONNX export: places that are not constant.")
    starts = [0] * len(sizes)
    for axis, index in zip(axes, indices.tolist(), strict=True):
        starts[axis] = index
    stops = [start + size for start, size in zip(starts, sizes, strict=True)]
    value = _cut(graph, equation, value, starts, stops)
    return graph.reshape(value, equation.outvars[0].aval.shape)


def _cut(
    graph: _Graph,
    equation: Any,
    value: Value,
    starts: Sequence[int],
    stops: Sequence[Any],
    strides: Sequence[int] | None = None,
) -> Value:
    old = equation.invars[0].aval.shape
    strides = strides or [1] * len(old)
    whole = [(0, size, 1) for size in old]
    parts = list(zip(starts, stops, strides, strict=True))
    axes = [axis for axis in range(len(old)) if parts[axis] != whole[axis]]
    if not axes:
        return value
    columns = (np.int64(column) for column in zip(*(parts[axis] for axis in axes), strict=True))
    begin, end, step = columns
    return graph.add("Slice", value, begin, end, np.int64(axes), step)


def _reduce(kind: str) -> Callable[..., Value]:
    def reduce(graph: _Graph, equation: Any, value: Value) -> Value:
        return graph.add(kind, value, np.int64(equation.params["axes"]), keepdims=0)

    return reduce


def _dot_general(graph: _Graph, equation: Any, left: Value, right: Value) -> Value:
    (contract_left, contract_right), (batch_left, batch_right) = equation.params[
        "dimension_numbers"
    ]
    ranks = [len(variable.aval.shape) for variable in equation.invars]
    letters = iter(string.ascii_letters)
    names = [[""] * rank for rank in ranks]
    for pairs in ((batch_left, batch_right), (contract_left, contract_right)):
        for i, j in zip(*pairs, strict=True):
            names[0][i] = names[1][j] = next(letters)
    names = [[letter or next(letters) for letter in side] for side in names]
    shared = [names[0][i] for i in batch_left]
    summed = {names[0][i] for i in contract_left}
    free = [x for side in names for x in side if x not in summed and x not in shared]
    equation_text = f"{''.join(names[0])},{''.join(names[1])}->{''.join(shared + free)}"
    if equation_text == "ba,ac->bc":
        return graph.add("MatMul", left, right)
    return graph.add("Einsum", left, right, equation=equation_text)


def _conv_general_dilated(graph: _Graph, equation: Any, maps: Value, kernel: Value) -> Value:
    params = equation.params
    spec = params["dimension_numbers"]
    if isinstance(kernel, str) or params["feature_group_count"] != 1:
        raise ValueError("ONNX export: a convolution without constant weights.")
    kernel = kernel.transpose(spec.rhs_spec)  # [out, in, height, width]
    maps = graph.add("Transpose", maps, perm=spec.lhs_spec)  # [batch, in, height, width]
    spread, strides = params["lhs_dilation"], params["window_strides"]
    pads, dilations = params["padding"], params["rhs_dilation"]
    kind = "Conv"
    if max(spread) > 1:
        if max(strides) > 1 or max(dilations) > 1:
            raise ValueError("ONNX export: a transposed convolution with strides or dilations.")
        # Maps with zeros between their pixels, as they are for a transposed convolution.
        kind, strides = "ConvTranspose", spread
        kernel = kernel[:, :, ::-1, ::-1].swapaxes(0, 1)
        sizes = kernel.shape[2:]
        pads = [
            (size - 1 - before, size - 1 - after)
            for size, (before, after) in zip(sizes, pads, strict=True)
        ]
    before_after = [side for pair in zip(*pads, strict=True) for side in pair]
    if min(before_after) < 0:
        raise ValueError(f"ONNX export: a convolution with padding {pads}.")
    out = graph.add(kind, maps, kernel, strides=strides, pads=before_after, dilations=dilations)
    return graph.add("Transpose", out, perm=np.argsort(spec.out_spec).tolist())


def _reduce_window(kind: str) -> Callable[..., Value]:
    def reduce_window(graph: _Graph, equation: Any, maps: Value) -> Value:
        params = equation.params
        (_, *window, _), (_, *strides, _) = params["window_dimensions"], params["window_strides"]
        pads = [side for pair in zip(*params["padding"][1:-1], strict=True) for side in pair]
        sizes = dict(kernel_shape=window, strides=strides, pads=pads)
        maps = graph.add("Transpose", maps, perm=[0, 3, 1, 2])
        if kind == "AveragePool":
            maps = graph.add(kind, maps, **sizes, count_include_pad=1)
            maps = graph.add("Mul", maps, np.float32(np.prod(window)))
        else:
            maps = graph.add(kind, maps, **sizes)
        return graph.add("Transpose", maps, perm=[0, 2, 3, 1])

    return reduce_window


def _same(graph: _Graph, equation: Any, *values: Value) -> list[Value]:
    del graph, equation
    return list(values)


_ELEMENTWISE = {
    **{name: name.capitalize() for name in ("add", "sub", "mul", "div", "max", "min", "pow")},
    **{name: name.capitalize() for name in ("abs", "atanh", "exp", "log", "neg", "sqrt", "tanh")},
    **dict(logistic="Sigmoid", eq="Equal", ge="GreaterOrEqual", gt="Greater"),
    **dict(le="LessOrEqual", lt="Less"),
}
_OTHERS: Mapping[str, Callable[..., Any]] = {
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": _concatenate,
    "conv_general_dilated": _conv_general_dilated,
    "convert_element_type": _convert_element_type,
    "copy": _same,
    "dot_general": _dot_general,
    "gather": _gather,
    "integer_pow": _integer_pow,
    "optimization_barrier": _same,
    "reduce_max": _reduce("ReduceMax"),
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_window_max": _reduce_window("MaxPool"),
    "reduce_window_sum": _reduce_window("AveragePool"),
    "reshape": _to_shape,
    "rsqrt": _rsqrt,
    "select_n": _select_n,
    "slice": _slice,
    "split": _split,
    "square": _square,
    "squeeze": _to_shape,
    "stack": _stack,
    "stop_gradient": _same,
    "transpose": _transpose,
}
