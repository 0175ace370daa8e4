"""Comparison of our results with those of a golden file."""

import numpy as np

from drnet_jax.interop import torch_weights


class Comparison:
    """Compares results with a file's, and collects errors as shares of their limits."""

    def __init__(self):
        # By (file, precision): error as a share of its limit, error, limit, field.
        self._worst = {}

    def __call__(self, golden, field, found, expected, *, atol, rtol=0.0, precision="float32"):
        """Fails unless `found` is within `atol + rtol |expected|` (arrays or scalars)."""
        found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
        assert found.shape == expected.shape, (
            f"{golden.path.name}, {field}: shape {found.shape}, expected {expected.shape}"
        )
        errors, limits = np.abs(found - expected), atol + rtol * np.abs(expected)
        shares = np.where(np.isnan(errors), np.inf, errors / limits)
        worst = np.unravel_index(np.argmax(shares), errors.shape)
        limits = np.broadcast_to(limits, errors.shape)
        entry = (shares[worst], errors[worst], limits[worst], field)
        key = (golden.path.name, precision)
        self._worst[key] = max(entry, self._worst.get(key, entry))
        assert entry[0] <= 1, (
            f"{golden.path.name}, {field}, {precision}: {entry[1]:.3g} > {entry[2]:.3g}"
        )

    def lines(self):
        """Yields one line for each file and precision: the error nearest to its limit."""
        for (name, precision), (_, error, limit, field) in sorted(self._worst.items()):
            yield f"{name:36} {precision}: error {error:.1e}, allowed {limit:.1e} ({field})"


def channels_last(array):
    """Returns NHWC for NCHW, and `[batch, dim]` for vectors `[batch, dim, 1, 1]`."""
    array = np.asarray(array)
    return array[:, :, 0, 0] if array.shape[2:] == (1, 1) else array.transpose(0, 2, 3, 1)


def channels_first(array):
    """Returns NCHW for NHWC."""
    return np.asarray(array).transpose(0, 3, 1, 2)


def summary(array):
    """Returns mean, standard deviation, least and largest, which files store of whole outputs."""
    wide = np.asarray(array, np.float64)
    return [wide.mean(), wide.std(), wide.min(), wide.max()]


def running_statistics(layers, state, variables):
    """Returns running statistics by PyTorch's names, with the biases that ours leave out."""
    biases = {layer.norm_key: state[f"{layer.key}.bias"] for layer in layers}
    statistics = {}
    for name, value in torch_weights.to_state(layers, variables).items():
        key, leaf = name.rsplit(".", 1)
        if leaf == "running_mean":
            statistics[name] = value + biases[key]
        elif leaf == "running_var":
            statistics[name] = value
    return statistics
