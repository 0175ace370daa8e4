"""Copies our weights into the PyTorch networks, which have the same names of layers."""

import numpy as np
import torch
from flax import traverse_util
from torch import nn

from drnet_jax.base.arrays import Tree
from drnet_jax.interop.torch_weights import to_torch

_NAMES = {"kernel": "weight", "scale": "weight", "bias": "bias"}
_STATISTICS = {"mean": "running_mean", "var": "running_var"}


def copy(variables: dict[str, Tree], module: nn.Module) -> None:
    """Copies the variables of one of our networks into `module`.

    Raises:
      ValueError: the two have different layers.
    """
    state = {}
    for collection, names in (("params", _NAMES), ("batch_stats", _STATISTICS)):
        flat = traverse_util.flatten_dict(variables.get(collection, {}))
        for (*path, name), array in flat.items():
            array = np.ascontiguousarray(to_torch(np.asarray(array)))
            state[".".join((*path, names[name]))] = torch.tensor(array)
    expected = {name for name in module.state_dict() if not name.endswith("num_batches_tracked")}
    if differing := expected ^ state.keys():
        raise ValueError(f"Layers of only one of the networks: {', '.join(sorted(differing))}.")
    module.load_state_dict(state, strict=False)
