"""From the content of a PyTorch release's checkpoint to settings and variables of our networks.

Names, sizes and depth of the networks are read off the tensors; the file's options are checked
against them, and asked only for what no tensor shows.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from drnet_jax.arrays import Tree
from drnet_jax.interop import torch_file, torch_names
from drnet_jax.interop.torch_weights import State, check_names, to_variables
from drnet_jax.nets import build
from drnet_jax.nets.blocks import stage_widths

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
# The release's options, where they differ in name from ours.
_OPTIONS = {
    "image_width": "image_size",
    "channels": "channels",
    "content_dim": "content_dim",
    "pose_dim": "pose_dim",
}
DISCRIMINATOR_WIDTH = 100  # The release's, for files without a discriminator.


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


@dataclasses.dataclass(frozen=True)
class Imported:
    """A checkpoint of the release.

    Attributes:
      model: arguments of `nets.build.create_networks`, without `dtype`.
      predictor: arguments of `nets.build.create_predictor`, without `dtype`; None without an LSTM.
      variables: by network: `content_encoder`, `pose_encoder`, `decoder`, and where the file has
        them `discriminator` and `predictor`.
    """

    model: dict[str, Any]
    predictor: dict[str, Any] | None
    variables: dict[str, dict[str, Tree]]


def convert(content: Mapping[str, Any]) -> Imported:
    """Returns the settings and variables in `content`, a checkpoint as `torch_file.load` gives it.

    The release keeps its LSTM in a file of its own; merge its `lstm` into `content` to have both.

    Raises:
      ValueError: a network is missing or unknown, or tensors are missing, left over or do not fit.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"Expected a dict of networks, found {type(content).__name__}.")
    absent = [name for name in ("netEC", "netEP", "netD") if name not in content]
    if absent:
        raise ValueError(f"Missing networks: {', '.join(absent)}; found: {_names(content)}.")
    options = _read_options(content.get("opt", {}))
    networks = {
        "content_encoder": _read(content, "netEC", content_encoder),
        "pose_encoder": _read(content, "netEP", pose_encoder),
        "decoder": _read(content, "netD", decoder),
    }
    if "netC" in content:
        networks["discriminator"] = _read(content, "netC", discriminator)
    model = _model_settings(networks, bool(options.get("normalize", False)))
    _check_options(options, model)
    _check_fit(networks, model)
    predictor_settings = None
    if "lstm" in content:
        networks["predictor"] = _read(content, "lstm", predictor)
        predictor_settings = _predictor_settings(networks["predictor"], model)
    return Imported(
        model=model,
        predictor=predictor_settings,
        variables={name: network.variables for name, network in networks.items()},
    )


def content_encoder(state: State) -> Network:
    """Reads a content encoder from its state dict."""
    return _encoder(state, "content encoder", torch_names.CONTENT_ENCODERS)


def pose_encoder(state: State) -> Network:
    """Reads a pose encoder from its state dict."""
    return _encoder(state, "pose encoder", torch_names.POSE_ENCODERS)


def decoder(state: State) -> Network:
    """Reads a decoder from its state dict."""
    name = _recognise(state, "decoder", _DECODER_MARKS, torch_names.DECODERS)
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
    name = _recognise(state, kind, _ENCODER_MARKS, table)
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


def _recognise(state: State, kind: str, marks: Mapping[str, str], table: Mapping) -> str:
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


def _read(content: Mapping[str, Any], name: str, reader: Callable[[State], Network]) -> Network:
    try:
        state = torch_file.tensors(content[name])
        return reader({key: _widen(value) for key, value in state.items()})
    except ValueError as error:
        raise ValueError(f"In {name}: {error}") from None


def _widen(array: np.ndarray) -> np.ndarray:
    """Parameters are float32 here, whatever the file keeps."""
    return array if np.issubdtype(array.dtype, np.integer) else array.astype(np.float32)


def _read_options(options: Any) -> Mapping[str, Any]:
    """Options are a dict, or an `argparse.Namespace` with them as attributes."""
    return vars(options) if isinstance(options, torch_file.Record) else dict(options)


def _model_settings(networks: Mapping[str, Network], normalize: bool) -> dict[str, Any]:
    content, pose = networks["content_encoder"], networks["pose_encoder"]
    critic = networks.get("discriminator")
    return {
        "content_encoder": content.name,
        "pose_encoder": pose.name,
        "decoder": networks["decoder"].name,
        "image_size": content.sizes["image_size"],
        "channels": content.sizes["channels"],
        "width": content.sizes["width"],
        "content_dim": content.sizes["dim"],
        "pose_dim": pose.sizes["dim"],
        "normalize": normalize,
        "discriminator_width": critic.sizes["width"] if critic else DISCRIMINATOR_WIDTH,
    }


def _predictor_settings(network: Network, model: Mapping[str, Any]) -> dict[str, Any]:
    sizes = network.sizes
    settings = {"pose_dim": sizes["dim"], "normalize": model["normalize"]}
    settings |= {name: sizes[name] for name in ("hidden_dim", "num_layers")}
    found, expected = (
        (source["pose_dim"], source["content_dim"])
        for source in (settings | {"content_dim": sizes["content_dim"]}, model)
    )
    if found != expected:
        raise ValueError(
            f"In lstm: made for pose and content of {found}, but the encoders give {expected}."
        )
    module = build.create_predictor(**settings, dtype=jnp.float32)
    inputs = jnp.zeros((1, sum(found)))
    _check_shapes("lstm", module, network, module.initial_carry(1), inputs)
    return settings


def _check_options(options: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    for theirs, ours in _OPTIONS.items():
        if theirs in options and options[theirs] != model[ours]:
            raise ValueError(
                f"Option {theirs} is {options[theirs]!r}, but the tensors show {model[ours]!r}."
            )


def _check_fit(networks: Mapping[str, Network], model: Mapping[str, Any]) -> None:
    """Raises ValueError unless all tensors have the shapes of our networks of these settings."""
    stage_widths(model["image_size"], model["width"])
    for name, network in networks.items():
        for size in {"image_size", "channels"} & network.sizes.keys():
            if network.sizes[size] != model[size]:
                raise ValueError(
                    f"The {name} is for {size} {network.sizes[size]}, the content_encoder for "
                    f"{model[size]}."
                )
    ours = build.create_networks(**model, dtype=jnp.float32)
    side, channels = model["image_size"], model["channels"]
    frames = jnp.zeros((1, side, side, channels))
    poses = jnp.zeros((1, model["pose_dim"]))
    variables = {name: network.variables for name, network in networks.items()}
    _check_shapes("netEC", ours.content_encoder, networks["content_encoder"], frames)
    _check_shapes("netEP", ours.pose_encoder, networks["pose_encoder"], frames)
    content = jax.eval_shape(
        lambda: ours.content_encoder.apply(variables["content_encoder"], frames, train=False)
    )
    _check_shapes("netD", ours.decoder, networks["decoder"], content, poses)
    if "discriminator" in networks:
        _check_shapes("netC", ours.discriminator, networks["discriminator"], poses, poses)


def _check_shapes(label: str, module: Any, network: Network, *inputs: Any) -> None:
    train = {} if label in ("netC", "lstm") else {"train": False}
    key = jax.eval_shape(lambda: jax.random.key(0))
    expected = jax.eval_shape(lambda key, inputs: module.init(key, *inputs, **train), key, inputs)
    expected = traverse_util.flatten_dict(expected, sep="/")
    for name, array in traverse_util.flatten_dict(network.variables, sep="/").items():
        if array.shape != expected[name].shape:
            raise ValueError(
                f"In {label}: shape {array.shape} at {name}, expected {expected[name].shape}."
            )


def _names(content: Mapping[str, Any]) -> str:
    return ", ".join(str(name) for name in content) or "none"
