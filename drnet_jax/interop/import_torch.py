"""Turns a checkpoint of the PyTorch release into settings and variables of our networks.

Settings come from the tensors. The file's options are checked against them, and used only where no
tensor tells.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from drnet_jax.base.arrays import Tree
from drnet_jax.interop import torch_file, torch_networks
from drnet_jax.interop.torch_networks import Network
from drnet_jax.interop.torch_weights import State
from drnet_jax.models.blocks import stage_widths
from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.registry import create_networks

# Options of the release that tensors show, by our names.
_OPTIONS = {"image_width": "image_size"} | {
    name: name for name in ("channels", "content_dim", "pose_dim")
}


@dataclasses.dataclass(frozen=True)
class Imported:
    """A checkpoint of the release.

    Attributes:
      model: arguments of `create_networks`, without `dtype`.
      predictor: arguments of `PoseLSTM`, without `dtype`; None without an LSTM.
      variables: by network: `content_encoder`, `pose_encoder`, `decoder`, and, if the file has
        them, `discriminator` and `predictor`.
    """

    model: dict[str, Any]
    predictor: dict[str, Any] | None
    variables: dict[str, dict[str, Tree]]


def convert(content: Mapping[str, Any]) -> Imported:
    """Returns the settings and variables in `content`, a checkpoint from `torch_file.load`.

    The release keeps its LSTM in a separate file; add its `lstm` to `content` to import both.

    Raises:
      ValueError: a network is missing or unknown, or tensors are missing, left over or do not fit.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"Expected a dict of networks, found {type(content).__name__}.")
    if missing := [name for name in ("netEC", "netEP", "netD") if name not in content]:
        names = ", ".join(map(str, content)) or "none"
        raise ValueError(f"Missing networks: {', '.join(missing)}; found: {names}.")
    options = content.get("opt", {})
    # A dict, or an `argparse.Namespace` with the options as attributes.
    options = vars(options) if isinstance(options, torch_file.Record) else dict(options)
    networks = {
        "content_encoder": _read(content, "netEC", torch_networks.content_encoder),
        "pose_encoder": _read(content, "netEP", torch_networks.pose_encoder),
        "decoder": _read(content, "netD", torch_networks.decoder),
    }
    if "netC" in content:
        networks["discriminator"] = _read(content, "netC", torch_networks.discriminator)
    model = _model_settings(networks, bool(options.get("normalize", False)))
    _check_options(options, model)
    _check_fit(networks, model)
    predictor_settings = None
    if "lstm" in content:
        networks["predictor"] = _read(content, "lstm", torch_networks.predictor)
        predictor_settings = _predictor_settings(networks["predictor"], model)
    return Imported(
        model=model,
        predictor=predictor_settings,
        variables={name: network.variables for name, network in networks.items()},
    )


def _read(content: Mapping[str, Any], name: str, reader: Callable[[State], Network]) -> Network:
    try:
        state = torch_file.tensors(content[name])
        # Parameters are float32 here, whatever the file's dtype; counters stay integers.
        floats = {k: x for k, x in state.items() if not np.issubdtype(x.dtype, np.integer)}
        return reader(state | {name: array.astype(np.float32) for name, array in floats.items()})
    except ValueError as error:
        raise ValueError(f"In {name}: {error}") from None


def _model_settings(networks: Mapping[str, Network], normalize: bool) -> dict[str, Any]:
    content, pose = networks["content_encoder"], networks["pose_encoder"]
    discriminator = networks.get("discriminator")
    return {
        "content_encoder": content.name,
        "pose_encoder": pose.name,
        "decoder": networks["decoder"].name,
        "image_size": content.sizes["image_size"],
        "channels": content.sizes["channels"],
        "width": content.sizes["width"],
        "num_slots": 1,  # None of the release's networks has slots.
        "content_dim": content.sizes["dim"],
        "pose_dim": pose.sizes["dim"],
        "normalize": normalize,
        "discriminator_width": discriminator.sizes["width"] if discriminator else 0,
    }


def _predictor_settings(network: Network, model: Mapping[str, Any]) -> dict[str, Any]:
    sizes = network.sizes
    settings = {"pose_dim": sizes["dim"], "normalize": model["normalize"]}
    settings |= {name: sizes[name] for name in ("hidden_dim", "num_layers")}
    settings |= {"use_content": True, "residual": False}  # The authors' LSTM has no such options.
    dims, expected = (sizes["dim"], sizes["content_dim"]), (model["pose_dim"], model["content_dim"])
    if dims != expected:
        raise ValueError(
            f"In lstm: made for pose and content of {dims}, but the encoders give {expected}."
        )
    module = PoseLSTM(**settings, dtype=jnp.float32)
    inputs = jnp.zeros((1, sum(dims)))
    _check_shapes("lstm", module, network, module.initial_carry(1), inputs)
    return settings


def _check_options(options: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    for theirs, ours in _OPTIONS.items():
        if theirs in options and options[theirs] != model[ours]:
            raise ValueError(
                f"Option {theirs} is {options[theirs]!r}, but the tensors show {model[ours]!r}."
            )


def _check_fit(networks: Mapping[str, Network], model: Mapping[str, Any]) -> None:
    """Raises ValueError unless all tensors have the shapes of our networks with these settings."""
    # Raises an error for a side without stages, before the networks are compared.
    stage_widths(model["image_size"], model["width"])
    for name, network in networks.items():
        for size in {"image_size", "channels"} & network.sizes.keys():
            if network.sizes[size] != model[size]:
                raise ValueError(
                    f"The {name} is for {size} {network.sizes[size]}, the content_encoder for "
                    f"{model[size]}."
                )
    ours = create_networks(**model, dtype=jnp.float32)
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
