"""Operations of JAX as nodes of ONNX, named after those of `jax.lax`."""

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from drnet_jax.interop.onnx_graph import Graph, Value


def _broadcast_in_dim(graph: Graph, equation: Any, value: Value) -> Value:
    shape = equation.outvars[0].aval.shape
    old = equation.invars[0].aval.shape
    spread: list[Any] = [1] * len(shape)
    for axis, size in zip(equation.params["broadcast_dimensions"], old, strict=True):
        spread[axis] = size
    value = graph.reshape(value, spread)
    return value if tuple(spread) == tuple(shape) else graph.expand(value, shape)


def _to_shape(graph: Graph, equation: Any, value: Value) -> Value:
    return graph.reshape(value, equation.outvars[0].aval.shape)


def _transpose(graph: Graph, equation: Any, value: Value) -> Value:
    return graph.add("Transpose", value, perm=equation.params["permutation"])


def _convert_element_type(graph: Graph, equation: Any, value: Value) -> Value:
    old, new = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
    if old == new:
        return value
    return graph.add("Cast", value, to=graph.onnx.helper.np_dtype_to_tensor_dtype(new))


def _select_n(graph: Graph, equation: Any, which: Value, first: Value, second: Value) -> Value:
    del equation
    return graph.add("Where", which, second, first)


def _rsqrt(graph: Graph, equation: Any, value: Value) -> Value:
    del equation
    return graph.add("Reciprocal", graph.add("Sqrt", value))


def _integer_pow(graph: Graph, equation: Any, value: Value) -> Value:
    return graph.add("Pow", value, np.float32(equation.params["y"]))


def _square(graph: Graph, equation: Any, value: Value) -> Value:
    del equation
    return graph.add("Mul", value, value)


def _concatenate(graph: Graph, equation: Any, *values: Value) -> Value:
    return graph.add("Concat", *values, axis=equation.params["dimension"])


def _stack(graph: Graph, equation: Any, *values: Value) -> Value:
    axis = equation.params["axis"]
    values = [graph.add("Unsqueeze", value, np.int64([axis])) for value in values]
    return graph.add("Concat", *values, axis=axis)


def _split(graph: Graph, equation: Any, value: Value) -> list[str]:
    sizes, axis = equation.params["sizes"], equation.params["axis"]
    parts = graph.add("Split", value, np.int64(sizes), num_outputs=len(sizes), axis=axis)
    return parts if len(sizes) > 1 else [parts]


def _slice(graph: Graph, equation: Any, value: Value) -> Value:
    starts, stops = equation.params["start_indices"], equation.params["limit_indices"]
    return _cut(graph, equation, value, starts, stops, equation.params["strides"])


def _gather(graph: Graph, equation: Any, value: Value, indices: Value) -> Value:
    """Takes a slice at constant places along some axes, as in `x[:, 0, 0]`."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    axes = numbers.start_index_map
    if isinstance(indices, str) or indices.shape != (len(axes),):
        raise ValueError("ONNX export: a look-up at computed places; allowed: a constant place.")
    starts = [0] * len(sizes)
    for axis, index in zip(axes, indices.tolist(), strict=True):
        starts[axis] = index
    stops = [start + size for start, size in zip(starts, sizes, strict=True)]
    value = _cut(graph, equation, value, starts, stops)
    return graph.reshape(value, equation.outvars[0].aval.shape)


def _cut(
    graph: Graph,
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
    def reduce(graph: Graph, equation: Any, value: Value) -> Value:
        return graph.add(kind, value, np.int64(equation.params["axes"]), keepdims=0)

    return reduce


def _dot_general(graph: Graph, equation: Any, left: Value, right: Value) -> Value:
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
    if equation_text == "ba,ac->bc":  # Which runtimes compute faster than an Einsum.
        return graph.add("MatMul", left, right)
    return graph.add("Einsum", left, right, equation=equation_text)


def _conv_general_dilated(graph: Graph, equation: Any, maps: Value, kernel: Value) -> Value:
    params = equation.params
    spec = params["dimension_numbers"]
    if isinstance(kernel, str) or params["feature_group_count"] != 1:
        raise ValueError(
            "ONNX export: a convolution with computed weights or groups; allowed: constant "
            "weights, one group."
        )
    kernel = kernel.transpose(spec.rhs_spec)  # [out, in, height, width]
    maps = graph.add("Transpose", maps, perm=spec.lhs_spec)  # [batch, in, height, width]
    spread, strides = params["lhs_dilation"], params["window_strides"]
    pads, dilations = params["padding"], params["rhs_dilation"]
    kind = "Conv"
    if max(spread) > 1:
        if max(strides) > 1 or max(dilations) > 1:
            raise ValueError(
                f"ONNX export: a transposed convolution with window strides {strides} and "
                f"dilations {dilations}; allowed: 1."
            )
        # Zeros between the pixels of the maps are what makes a convolution a transposed one.
        # Its kernel has both axes reversed, and inputs and outputs exchanged.
        kind, strides = "ConvTranspose", spread
        kernel = kernel[:, :, ::-1, ::-1].swapaxes(0, 1)
        sizes = kernel.shape[2:]
        pads = [
            (size - 1 - before, size - 1 - after)
            for size, (before, after) in zip(sizes, pads, strict=True)
        ]
    before_after = [side for pair in zip(*pads, strict=True) for side in pair]
    if min(before_after) < 0:
        raise ValueError(f"ONNX export: a convolution with padding {pads}; allowed: 0 or more.")
    out = graph.add(kind, maps, kernel, strides=strides, pads=before_after, dilations=dilations)
    return graph.add("Transpose", out, perm=np.argsort(spec.out_spec).tolist())


def _reduce_window(kind: str) -> Callable[..., Value]:
    def reduce_window(graph: Graph, equation: Any, maps: Value) -> Value:
        params = equation.params
        (_, *window, _), (_, *strides, _) = params["window_dimensions"], params["window_strides"]
        pads = [side for pair in zip(*params["padding"][1:-1], strict=True) for side in pair]
        sizes = dict(kernel_shape=window, strides=strides, pads=pads)
        maps = graph.add("Transpose", maps, perm=[0, 3, 1, 2])
        if kind == "AveragePool":
            # A sum is the mean times the size of the window, if the mean counts the padding.
            maps = graph.add(kind, maps, **sizes, count_include_pad=1)
            maps = graph.add("Mul", maps, np.float32(np.prod(window)))
        else:
            maps = graph.add(kind, maps, **sizes)
        return graph.add("Transpose", maps, perm=[0, 2, 3, 1])

    return reduce_window


def _same(graph: Graph, equation: Any, *values: Value) -> list[Value]:
    del graph, equation
    return list(values)


ELEMENTWISE = {
    **{name: name.capitalize() for name in ("add", "sub", "mul", "div", "max", "min", "pow")},
    **{name: name.capitalize() for name in ("abs", "atanh", "exp", "log", "neg", "sqrt", "tanh")},
    **dict(logistic="Sigmoid", eq="Equal", ge="GreaterOrEqual", gt="Greater"),
    **dict(le="LessOrEqual", lt="Less"),
}
OTHERS: Mapping[str, Callable[..., Any]] = {
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
