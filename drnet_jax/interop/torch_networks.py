"""Single networks of the PyTorch release, known by their tensors.

Name, sizes and depth of a network are read off the names and shapes in its state dict.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from drnet_jax.base.arrays import Tree
from drnet_jax.interop import torch_names
from drnet_jax.interop.torch_weights import State, check_names, to_variables

# The first tensor of a network, by which it is known.
_ENCODER_MARKS = {
    "main.0.main.0.weight": "dcgan",
    "c1.main.0.weight": "dcgan_unet",
    "c1.0.main.0.weight": "vgg_unet",
    "main.conv1.weight": "resnet",
}
_DECODER_MARKS = {
    "main.3.main.0.weight": "dcgan",
    "upc2.main.0.weight": "dcgan_unet",
    "upc2.0.main.0.weight": "vgg_unet",
}
# Tensors whose number is that of the stages: name, first position, stages without such a tensor.
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
      name: a key of the tables in `nets.build`; empty where there is only one.
      sizes: `image_size`, `width`, `channels` and `dim` (of an encoder's vector, or of content and
        pose together), as far as the network has them.
      layers: where its tensors are found.
      variables: ours.
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
    name = _recognize(state, "decoder", _DECODER_MARKS, torch_names.DECODERS)
    num_stages = _count_stages(state, *_DECODER_STAGES[name])
    layers = list(torch_names.DECODERS[name](num_stages))
    check_names(layers, state)
    sizes = {
        "image_size": 4 << num_stages,
        # A U-Net decoder's last layer takes as many channels again from the encoder.
        "width": state[f"{layers[-1].key}.weight"].shape[0] // (2 if name == "dcgan_unet" else 1),
        "channels": state[f"{layers[-1].key}.weight"].shape[1],
        "dim": state[f"{layers[0].key}.weight"].shape[0],
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
    num_layers = _count_stages(state, "lstm.{}.weight_ih", 0, 0)
    layers = list(torch_names.predictor(num_layers))
    check_names(layers, state)
    hidden_dim, inputs = _matrix(state, "embed.weight").shape
    dim = len(state["output.0.bias"])
    sizes = {
        "dim": dim,
        "content_dim": inputs - dim,
        "hidden_dim": hidden_dim,
        "num_layers": num_layers,
    }
    return Network("", sizes, layers, to_variables(layers, state))


def _encoder(state: State, kind: str, table: Mapping[str, Callable]) -> Network:
    name = _recognize(state, kind, _ENCODER_MARKS, table)
    num_stages = _count_stages(state, *_ENCODER_STAGES[name])
    layers = list(table[name](num_stages))
    check_names(layers, state)
    first, last = (state[f"{layer.key}.weight"] for layer in (layers[0], layers[-1]))
    sizes = {
        "image_size": 4 << num_stages,
        "width": first.shape[0],
        "channels": first.shape[1],
        "dim": last.shape[0],
    }
    return Network(name, sizes, layers, to_variables(layers, state))


def _recognize(state: State, kind: str, marks: Mapping[str, str], table: Mapping) -> str:
    for mark, name in marks.items():
        if name in table and getattr(state.get(mark), "ndim", 0) == 4:
            return name
    raise ValueError(
        f"Unknown {kind} with tensors {', '.join(list(state)[:3])}...; "
        f"known: {', '.join(sorted(table))}."
    )


def _count_stages(state: State, pattern: str, first: int, others: int) -> int:
    count = 0
    while pattern.format(first + count) in state:
        count += 1
    return count + others


def _matrix(state: State, name: str) -> np.ndarray:
    if state[name].ndim != 2:
        raise ValueError(f"Expected a matrix at {name!r}, found shape {state[name].shape}.")
    return state[name]
