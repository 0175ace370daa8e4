"""Conversion between PyTorch state dicts of the release's networks and our variables."""

from collections.abc import Iterable, Mapping

import numpy as np
from flax import traverse_util

from drnet_jax.base.arrays import Tree
from drnet_jax.interop.torch_names import Layer, LstmCell

State = Mapping[str, np.ndarray]
_BIASES = {"bias_input": "bias_ih", "bias_hidden": "bias_hh"}
_KERNELS = {"kernel_input": "weight_ih", "kernel_hidden": "weight_hh"}
_COUNTER = "num_batches_tracked"  # Unused by either side, and absent from older files.


def to_variables(layers: Iterable[Layer | LstmCell], state: State) -> dict[str, Tree]:
    """Returns our variables for a PyTorch state dict.

    A convolution in front of a BatchNorm has no bias here, because the norm removes it; the state
    dict's is taken off the running mean, so that frozen statistics give the same output.

    Args:
      layers: what the network consists of, from `torch_names`.
      state: its tensors by name, in PyTorch's layouts.

    Raises:
      ValueError: tensors are missing or left over.
    """
    layers = list(layers)
    check_names(layers, state)
    params, stats = {}, {}
    for layer in layers:
        if isinstance(layer, LstmCell):
            for ours, theirs in _BIASES.items():
                params[(*layer.path, ours)] = state[f"{layer.key}.{theirs}"]
            for ours, theirs in _KERNELS.items():
                params[(*layer.path, ours)] = state[f"{layer.key}.{theirs}"].T
            continue
        params[(*layer.path, "kernel")] = kernel_from_torch(state[f"{layer.key}.weight"])
        bias = state[f"{layer.key}.bias"]
        if layer.norm_key is None:
            params[(*layer.path, "bias")] = bias
            continue
        norm = (*layer.path[:-1], "norm")
        params[(*norm, "scale")] = state[f"{layer.norm_key}.weight"]
        params[(*norm, "bias")] = state[f"{layer.norm_key}.bias"]
        stats[(*norm, "mean")] = state[f"{layer.norm_key}.running_mean"] - bias
        stats[(*norm, "var")] = state[f"{layer.norm_key}.running_var"]
    variables = {"params": params} | ({"batch_stats": stats} if stats else {})
    return {name: traverse_util.unflatten_dict(tree) for name, tree in variables.items()}


def to_state(layers: Iterable[Layer | LstmCell], variables: Mapping[str, Tree]) -> State:
    """Returns the PyTorch state dict of our `variables`; convolutions before norms get bias 0.

    The inverse of `to_variables`, but for the bias that went into the running mean.
    """
    params = traverse_util.flatten_dict(variables["params"])
    stats = traverse_util.flatten_dict(variables.get("batch_stats", {}))
    state = {}
    for layer in layers:
        if isinstance(layer, LstmCell):
            for ours, theirs in _BIASES.items():
                state[f"{layer.key}.{theirs}"] = np.asarray(params[(*layer.path, ours)])
            for ours, theirs in _KERNELS.items():
                state[f"{layer.key}.{theirs}"] = np.asarray(params[(*layer.path, ours)]).T
            continue
        kernel = kernel_to_torch(np.asarray(params[(*layer.path, "kernel")]))
        state[f"{layer.key}.weight"] = kernel
        if layer.norm_key is None:
            state[f"{layer.key}.bias"] = np.asarray(params[(*layer.path, "bias")])
            continue
        norm = (*layer.path[:-1], "norm")
        state[f"{layer.key}.bias"] = np.zeros_like(stats[(*norm, "mean")])
        state[f"{layer.norm_key}.weight"] = np.asarray(params[(*norm, "scale")])
        state[f"{layer.norm_key}.bias"] = np.asarray(params[(*norm, "bias")])
        state[f"{layer.norm_key}.running_mean"] = np.asarray(stats[(*norm, "mean")])
        state[f"{layer.norm_key}.running_var"] = np.asarray(stats[(*norm, "var")])
        state[f"{layer.norm_key}.{_COUNTER}"] = np.zeros((), np.int64)
    return state


def kernel_from_torch(weight: np.ndarray) -> np.ndarray:
    """Returns our kernel for a linear or convolution weight.

    A transposed convolution's weight is `[in, out, height, width]`, which is the weight of the
    convolution it is the transpose of; ours has that convolution's layout too. So one rule does.
    """
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T


def kernel_to_torch(kernel: np.ndarray) -> np.ndarray:
    """Returns the PyTorch weight for our kernel."""
    return kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T


def _tensor_names(layer: Layer | LstmCell) -> list[str]:
    if isinstance(layer, LstmCell):
        return [f"{layer.key}.{name}" for name in (*_BIASES.values(), *_KERNELS.values())]
    names = [f"{layer.key}.weight", f"{layer.key}.bias"]
    if layer.norm_key is not None:
        leaves = ("weight", "bias", "running_mean", "running_var")
        names += [f"{layer.norm_key}.{leaf}" for leaf in leaves]
    return names


def check_names(layers: Iterable[Layer | LstmCell], state: State) -> None:
    """Raises ValueError, naming them, if tensors of `layers` are missing or there are others."""
    expected = {name for layer in layers for name in _tensor_names(layer)}
    found = {name for name in state if name.rsplit(".", 1)[-1] != _COUNTER}
    if expected - found:
        raise ValueError(f"Missing tensors: {', '.join(sorted(expected - found))}.")
    if found - expected:
        raise ValueError(f"Surplus tensors: {', '.join(sorted(found - expected))}.")
