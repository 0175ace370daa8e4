"""Traced functions as ONNX graphs: the operations that our networks consist of, and no others.

Whatever depends on weights alone, such as a kernel that is turned around, is computed here and
becomes a constant of the graph. Sources: the ONNX operator specification, opset 18; the
documentation of `jax.lax`, whose operations the functions below are named after.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import export as jax_export
from jax.extend import core

from drnet_jax.interop import onnx_operations as operations
from drnet_jax.interop.onnx_graph import Graph, Value

OPSET = 18
"""The first with axes of reductions as inputs; onnxruntime has it since 1.14."""


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
    graph = Graph(batch, next(iter(inputs)))
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
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "drnet_jax", *described, graph.constants),
        opset_imports=opsets,
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="drnet_jax",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _run(graph: Graph, jaxpr: Any, consts: Sequence[Any], args: Sequence[Value]) -> list[Value]:
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


def _apply(graph: Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    """Adds one equation to `graph`, or computes it if all its inputs are known; returns results."""
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _scan(graph, equation, inputs)
    inner = params.get("jaxpr", params.get("call_jaxpr"))
    if inner is not None:  # A function within the function.
        return _run(graph, inner.jaxpr, inner.consts, inputs)
    has_size = all(isinstance(size, int) for v in equation.outvars for size in v.aval.shape)
    # A result whose size depends on the batch cannot be a constant.
    if has_size and all(isinstance(value, np.ndarray) for value in inputs):
        results = equation.primitive.bind(*inputs, **params)
        results = results if equation.primitive.multiple_results else [results]
        return [np.asarray(result) for result in results]
    if name in operations.ELEMENTWISE:
        return [graph.add(operations.ELEMENTWISE[name], *inputs)]
    if name not in operations.OTHERS:
        raise ValueError(
            f"ONNX export: the operation {name!r} is unknown; allowed: those of onnx_operations.py."
        )
    results = operations.OTHERS[name](graph, equation, *inputs)
    return results if isinstance(results, list) else [results]


def _scan(graph: Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    """Adds the body of a loop of a single step, such as an LSTM that advances by one frame."""
    params = equation.params
    if params["length"] != 1:
        raise ValueError(f"ONNX export: a loop of {params['length']} steps; allowed: 1.")
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
