"""The layers of the PyTorch release's networks, and their places in ours.

Source: PyTorch release, models/*.py, whose attribute names make up the state-dict keys.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from drnet_jax.models import resnet, vgg

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution or linear layer, and the BatchNorm after it, if any.

    Attributes:
      path: place of the layer in our parameters; a norm is beside it, `norm` in place of `conv`.
      key: prefix of the layer's tensors in a PyTorch state dict.
      norm_key: prefix of the norm's tensors, or None.
    """

    path: Path
    key: str
    norm_key: str | None = None


@dataclasses.dataclass(frozen=True)
class LstmCell:
    """An LSTM cell: its place in our parameters, and the prefix of its four PyTorch tensors."""

    path: Path
    key: str


Layers = Iterator[Layer | LstmCell]


def _block(path: Path, key: str) -> Layer:
    """Returns a block that is a `Sequential` of convolution and norm in the release."""
    return Layer((*path, "conv"), f"{key}.0", f"{key}.1")


def _dcgan_encoder(num_stages: int) -> Layers:
    for stage in range(num_stages):
        yield _block(("trunk", f"stage{stage}"), f"main.{stage}.main")
    yield Layer(("trunk", "vector", "conv"), f"main.{num_stages}", f"main.{num_stages + 1}")


def _dcgan_unet_encoder(num_stages: int) -> Layers:
    for stage in range(num_stages):
        yield _block(("trunk", f"stage{stage}"), f"c{stage + 1}.main")
    yield _block(("trunk", "vector"), f"c{num_stages + 1}")


def _vgg_encoder(num_stages: int) -> Layers:
    for stage in range(num_stages):
        for layer in range(vgg.num_convs(stage)):
            yield _block((f"stage{stage}_{layer}",), f"c{stage + 1}.{layer}.main")
    yield _block(("vector",), f"c{num_stages + 1}")


def _resnet_encoder(num_stages: int) -> Layers:
    yield Layer(("trunk", "stem", "conv"), "main.conv1", "main.bn1")
    for stage in range(num_stages):
        for block in range(resnet.BLOCKS_PER_STAGE):
            path, key = ("trunk", f"stage{stage}_{block}"), f"main.layer{stage + 1}.{block}"
            yield Layer((*path, "first", "conv"), f"{key}.conv1", f"{key}.bn1")
            yield Layer((*path, "second", "conv"), f"{key}.conv2", f"{key}.bn2")
            if stage > 0 and block == 0:
                yield _block((*path, "shortcut"), f"{key}.downsample")
    yield Layer(("trunk", "vector", "conv"), "main.conv_out", "main.bn_out")


def _dcgan_decoder(num_stages: int) -> Layers:
    yield _block(("vector",), "main")
    # Stages follow the first block (0 and 1) and its activation (2).
    for position, stage in enumerate(reversed(range(1, num_stages)), start=3):
        yield _block((f"stage{stage}",), f"main.{position}.main")
    yield Layer(("stage0", "conv"), f"main.{num_stages + 2}")


def _dcgan_unet_decoder(num_stages: int) -> Layers:
    yield _block(("vector",), "upc1")
    for position, stage in enumerate(reversed(range(1, num_stages)), start=2):
        yield _block((f"stage{stage}",), f"upc{position}.main")
    yield Layer(("stage0", "conv"), f"upc{num_stages + 1}.0")


def _vgg_decoder(num_stages: int) -> Layers:
    yield _block(("vector",), "upc1")
    for position, stage in enumerate(reversed(range(num_stages)), start=2):
        # The last layer of the last stage makes the frames.
        for layer in range(vgg.num_convs(stage) - (stage == 0)):
            yield _block((f"stage{stage}_{layer}",), f"upc{position}.{layer}.main")
    yield Layer(("frames", "conv"), f"upc{num_stages + 1}.1")


CONTENT_ENCODERS: Mapping[str, Callable[[int], Layers]] = {
    "dcgan": _dcgan_encoder,
    "dcgan_unet": _dcgan_unet_encoder,
    "resnet": _resnet_encoder,
    "vgg_unet": _vgg_encoder,
}
POSE_ENCODERS: Mapping[str, Callable[[int], Layers]] = {
    "dcgan": _dcgan_encoder,
    "resnet": _resnet_encoder,
}
DECODERS: Mapping[str, Callable[[int], Layers]] = {
    "dcgan": _dcgan_decoder,
    "dcgan_unet": _dcgan_unet_decoder,
    "vgg_unet": _vgg_decoder,
}


def discriminator() -> Layers:
    """Yields the layers of the scene discriminator; activations take the odd positions."""
    for layer in range(3):
        yield Layer((f"layer{layer}",), f"main.{2 * layer}")


def predictor(num_layers: int) -> Layers:
    """Yields the layers of the pose LSTM."""
    yield Layer(("embed",), "embed")
    for layer in range(num_layers):
        yield LstmCell((f"cell{layer}",), f"lstm.{layer}")
    yield Layer(("output",), "output.0")
