"""Single networks of the PyTorch release, recognized by their tensors.

The names and shapes in a network's state dict tell its kind, sizes and depth.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from drnet_jax.base.arrays import Tree
from drnet_jax.interop import torch_names
from drnet_jax.interop.torch_weights import State, check_names, to_variables

# A tensor that each stage has: its name, the number of the first, and how many stages are without.
# The first of these tensors also tells the kind of a network.
_ENCODER_STAGES = {
    "dcgan": ("main.{}.main.0.weight", 0, 0),
    "dcgan_unet": ("c{}.main.0.weight", 1, 0),
    "vgg_unet": ("c{}.0.main.0.weight", 1, 0),
    "resnet": ("main.layer{}.0.conv1.weight", 1, 0),
}
_DECODER_STAGES = {
    "dcgan": ("main.{}.main.0.weight", 3, 1),
    "dcgan_unet": ("upc{}.main.0.weight", 2, 1),
    "vgg_unet": ("upc{}.0.main.0.weight", 2, 0),
}


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of a file.

    Attributes:
      name: a key of the tables in `models.registry`; empty where there is only one kind.
      sizes: those of `image_size`, `width`, `channels` and `dim` that the network has; `dim` is
        that of an encoder's vector, or of a decoder's content and pose together.
      layers: the places of its tensors.
      variables: our variables for it.
    """

    name: str
    sizes: dict[str, int]
    layers: list[torch_names.Layer | torch_names.LstmCell]
    variables: dict[str, Tree]


def content_encoder(state: State) -> Network:
    """Reads a content encoder from its state dict."""
    return _encoder(state, "content encoder", torch_names.CONTENT_ENCODERS)


def pose_encoder(state: State) -> Network:
    """Reads a pose encoder from its state dict."""
    return _encoder(state, "pose encoder", torch_names.POSE_ENCODERS)


def decoder(state: State) -> Network:
    """Reads a decoder from its state dict."""
    table = torch_names.DECODERS
    name, num_stages, layers = _recognize(state, "decoder", _DECODER_STAGES, table)
    first, last = (state[f"{layer.key}.weight"] for layer in (layers[0], layers[-1]))
    sizes = {
        "image_size": 4 << num_stages,
        # Half the inputs of a DCGAN U-Net's last layer are the encoder's.
        "width": last.shape[0] // (2 if name == "dcgan_unet" else 1),
        "channels": last.shape[1],
        "dim": first.shape[0],
    }
    return Network(name, sizes, layers, to_variables(layers, state))


def discriminator(state: State) -> Network:
    """Reads a scene discriminator from its state dict."""
    layers = list(torch_names.discriminator())
    check_names(layers, state)
    width, twice_dim = _matrix(state, "main.0.weight").shape
    sizes = {"width": width, "dim": twice_dim // 2}
    return Network("", sizes, layers, to_variables(layers, state))


def predictor(state: State) -> Network:
    """Reads a pose LSTM from its state dict; `dim` is that of the pose."""
    num_layers = _count(state, "lstm.{}.weight_ih", 0)
    layers = list(torch_names.predictor(num_layers))
    check_names(layers, state)
    hidden_dim, num_inputs = _matrix(state, "embed.weight").shape
    dim = len(state["output.0.bias"])
    sizes = {
        "dim": dim,
        "content_dim": num_inputs - dim,
        "hidden_dim": hidden_dim,
        "num_layers": num_layers,
    }
    return Network("", sizes, layers, to_variables(layers, state))


def _encoder(state: State, kind: str, table: Mapping[str, Callable]) -> Network:
    name, num_stages, layers = _recognize(state, kind, _ENCODER_STAGES, table)
    first, last = (state[f"{layer.key}.weight"] for layer in (layers[0], layers[-1]))
    sizes = {
        "image_size": 4 << num_stages,
        "width": first.shape[0],
        "channels": first.shape[1],
        "dim": last.shape[0],
    }
    return Network(name, sizes, layers, to_variables(layers, state))


def _recognize(
    state: State, kind: str, stages: Mapping[str, tuple], table: Mapping[str, Callable]
) -> tuple[str, int, list]:
    """Returns name, number of stages and layers of a network in `table`, all of them in `state`."""
    for name, (pattern, first, num_others) in stages.items():
        if name in table and getattr(state.get(pattern.format(first)), "ndim", 0) == 4:
            num_stages = _count(state, pattern, first) + num_others
            layers = list(table[name](num_stages))
            check_names(layers, state)
            return name, num_stages, layers
    raise ValueError(
        f"Unknown {kind} with tensors {', '.join(list(state)[:3])}...; "
        f"known: {', '.join(sorted(table))}."
    )


def _count(state: State, pattern: str, first: int) -> int:
    """Returns how many tensors `pattern` names without a gap, from number `first` on."""
    count = 0
    while pattern.format(first + count) in state:
        count += 1
    return count


def _matrix(state: State, name: str) -> np.ndarray:
    if state[name].ndim != 2:
        raise ValueError(f"Expected a matrix at {name!r}, found shape {state[name].shape}.")
    return state[name]
