"""Conversion between PyTorch state dicts of the release's networks and our variables."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from flax import traverse_util

from drnet_jax.base.arrays import Tree
from drnet_jax.interop.torch_names import Layer, LstmCell

State = Mapping[str, np.ndarray]
_CELL_NAMES = {
    "bias_input": "bias_ih",
    "bias_hidden": "bias_hh",
    "kernel_input": "weight_ih",
    "kernel_hidden": "weight_hh",
}
_COUNTER = "num_batches_tracked"  # Unused by either side, and absent from older files.


def to_variables(layers: Iterable[Layer | LstmCell], state: State) -> dict[str, Tree]:
    """Returns our variables for a PyTorch state dict.

    A convolution in front of a BatchNorm has no bias here, because the norm removes it; the state
    dict's bias is taken off the running mean, so that frozen statistics give the same output.

    Args:
      layers: the layers of the network, from `torch_names`.
      state: its tensors by name, in PyTorch's layouts.

    Raises:
      ValueError: tensors are missing or left over.
    """
    layers = list(layers)
    check_names(layers, state)
    flat = {}
    for layer in layers:
        flat |= {path: from_torch(state[name]) for path, name in _tensors(layer)}
        if _has_norm(layer):
            mean = _norm_path(layer, "batch_stats", "mean")
            flat[mean] = flat[mean] - state[f"{layer.key}.bias"]
    return traverse_util.unflatten_dict(flat)


def to_state(layers: Iterable[Layer | LstmCell], variables: Mapping[str, Tree]) -> State:
    """Returns the PyTorch state dict of our `variables`; convolutions before norms get bias 0.

    The inverse of `to_variables`, except for the biases that went into running means.
    """
    flat = traverse_util.flatten_dict(dict(variables))
    state = {}
    for layer in layers:
        state |= {name: to_torch(np.asarray(flat[path])) for path, name in _tensors(layer)}
        if _has_norm(layer):
            state[f"{layer.key}.bias"] = np.zeros_like(state[f"{layer.norm_key}.running_mean"])
            state[f"{layer.norm_key}.{_COUNTER}"] = np.zeros((), np.int64)
    return state


def from_torch(tensor: np.ndarray) -> np.ndarray:
    """Returns a linear or convolution weight as our kernel, and a vector as it is.

    A transposed convolution's weight is `[in, out, height, width]`, which is the weight of the
    convolution that it transposes. Ours also has that convolution's layout, so one rule does.
    """
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def to_torch(array: np.ndarray) -> np.ndarray:
    """Returns our kernel as a PyTorch weight, and a vector as it is."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def check_names(layers: Iterable[Layer | LstmCell], state: State) -> None:
    """Raises ValueError, naming them, if tensors of `layers` are missing or there are others."""
    expected = {name for layer in layers for _, name in _tensors(layer)}
    expected |= {f"{layer.key}.bias" for layer in layers if _has_norm(layer)}
    names = {name for name in state if name.rsplit(".", 1)[-1] != _COUNTER}
    if missing := expected - names:
        raise ValueError(f"Missing tensors: {', '.join(sorted(missing))}.")
    if surplus := names - expected:
        raise ValueError(f"Surplus tensors: {', '.join(sorted(surplus))}.")


def _tensors(layer: Layer | LstmCell) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields the path in our variables and the name in the state dict of what both sides have."""
    if isinstance(layer, LstmCell):
        for ours, theirs in _CELL_NAMES.items():
            yield ("params", *layer.path, ours), f"{layer.key}.{theirs}"
        return
    yield ("params", *layer.path, "kernel"), f"{layer.key}.weight"
    if not _has_norm(layer):
        yield ("params", *layer.path, "bias"), f"{layer.key}.bias"
        return
    yield _norm_path(layer, "params", "scale"), f"{layer.norm_key}.weight"
    yield _norm_path(layer, "params", "bias"), f"{layer.norm_key}.bias"
    yield _norm_path(layer, "batch_stats", "mean"), f"{layer.norm_key}.running_mean"
    yield _norm_path(layer, "batch_stats", "var"), f"{layer.norm_key}.running_var"


def _has_norm(layer: Layer | LstmCell) -> bool:
    return isinstance(layer, Layer) and layer.norm_key is not None


def _norm_path(layer: Layer, collection: str, leaf: str) -> tuple[str, ...]:
    return collection, *layer.path[:-1], "norm", leaf
