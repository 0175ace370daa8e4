"""The networks of `drnet_jax.models` in PyTorch, with the same names of layers.

Maps are `[batch, channels, height, width]` in the channels-last memory format. Convolutions in
front of a norm have no bias, like ours.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from drnet_jax.models.blocks import stage_widths
from drnet_jax.models.resnet import BLOCKS_PER_STAGE, num_stages
from drnet_jax.models.vgg import num_convs


def leaky_relu(maps: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(maps, 0.2, inplace=True)


def relu(maps: torch.Tensor) -> torch.Tensor:
    return F.relu(maps, inplace=True)


class FromPixel(nn.ConvTranspose2d):
    """The transposed convolution of one-pixel maps, as a matrix product; cuDNN is no faster.

    `torch.compile` also needs it: on a GPU it expects another layout of the kernel's gradient than
    cuDNN chooses.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = torch.einsum("bi,iohw->bohw", maps[:, :, 0, 0], self.weight)
        return maps.contiguous(memory_format=torch.channels_last)


class ConvBlock(nn.Module):
    """Convolution without bias, BatchNorm, activation; with `widen` the output is float32."""

    def __init__(
        self,
        inputs: int,
        features: int,
        kernel_size: int,
        strides: int = 1,
        padding: int = 0,
        activation: Callable[[torch.Tensor], torch.Tensor] = leaky_relu,
        layer: type[nn.Module] = nn.Conv2d,
        widen: bool = False,
    ):
        super().__init__()
        self.conv = layer(inputs, features, kernel_size, strides, padding, bias=False)
        self.norm = nn.BatchNorm2d(features)
        self.activation, self.widen = activation, widen

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.conv(maps)
        return self.activation(self.norm(maps.float() if self.widen else maps))


class DcganTrunk(nn.Module):
    def __init__(self, dim: int, image_size: int, channels: int, width: int):
        super().__init__()
        self.widths = stage_widths(image_size, width)
        inputs = (channels, *self.widths)
        for stage, features in enumerate(self.widths):
            self.add_module(f"stage{stage}", ConvBlock(inputs[stage], features, 4, 2, 1))
        self.vector = ConvBlock(self.widths[-1], dim, 4, activation=torch.tanh, widen=True)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        x, maps = frames, []
        for stage in range(len(self.widths)):
            x = self.get_submodule(f"stage{stage}")(x)
            maps.append(x)
        return self.vector(x).flatten(1), maps


class Encoder(nn.Module):
    """A trunk, with its feature maps if the decoder takes them."""

    def __init__(self, trunk: nn.Module, skips: bool = False):
        super().__init__()
        self.trunk, self.skips = trunk, skips

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        vector, maps = self.trunk(frames)
        return vector, maps if self.skips else []


class DcganDecoder(nn.Module):
    def __init__(self, dim: int, image_size: int, channels: int, width: int, skips: bool):
        super().__init__()
        self.widths = stage_widths(image_size, width)
        self.vector = ConvBlock(dim, self.widths[-1], 4, layer=FromPixel)
        times = 2 if skips else 1
        for stage in reversed(range(1, len(self.widths))):
            block = ConvBlock(
                times * self.widths[stage],
                self.widths[stage - 1],
                4,
                2,
                1,
                layer=nn.ConvTranspose2d,
            )
            self.add_module(f"stage{stage}", block)
        self.stage0 = Frames(nn.ConvTranspose2d(times * self.widths[0], channels, 4, 2, 1))

    def forward(self, vector: torch.Tensor, skips: list[torch.Tensor], pose: torch.Tensor):
        x = self.vector(torch.cat([vector, pose], 1)[:, :, None, None])
        for stage in reversed(range(len(self.widths))):
            x = torch.cat([x, skips[stage]], 1) if skips else x
            x = self.get_submodule(f"stage{stage}")(x)
        return x


class Frames(nn.Module):
    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.conv(maps).float())


class VggEncoder(nn.Module):
    def __init__(self, dim: int, image_size: int, channels: int, width: int):
        super().__init__()
        self.widths, inputs = stage_widths(image_size, width), channels
        for stage, features in enumerate(self.widths):
            for layer in range(num_convs(stage)):
                self.add_module(f"stage{stage}_{layer}", ConvBlock(inputs, features, 3, 1, 1))
                inputs = features
        self.vector = ConvBlock(inputs, dim, 4, activation=torch.tanh, widen=True)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        x, skips = frames, []
        for stage in range(len(self.widths)):
            for layer in range(num_convs(stage)):
                x = self.get_submodule(f"stage{stage}_{layer}")(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        return self.vector(x).flatten(1), skips


class VggDecoder(nn.Module):
    def __init__(self, dim: int, image_size: int, channels: int, width: int):
        super().__init__()
        self.widths = stage_widths(image_size, width)
        self.vector = ConvBlock(dim, self.widths[-1], 4, layer=FromPixel)
        for stage in reversed(range(len(self.widths))):
            inputs = 2 * self.widths[stage]
            for layer, features in enumerate(self._features(stage)):
                self.add_module(f"stage{stage}_{layer}", ConvBlock(inputs, features, 3, 1, 1))
                inputs = features
        self.frames = Frames(nn.ConvTranspose2d(self.widths[0], channels, 3, 1, 1))

    def _features(self, stage: int) -> list[int]:
        return [self.widths[stage]] * (num_convs(stage) - 1) + list(self.widths[:stage][-1:])

    def forward(self, vector: torch.Tensor, skips: list[torch.Tensor], pose: torch.Tensor):
        x = self.vector(torch.cat([vector, pose], 1)[:, :, None, None])
        for stage in reversed(range(len(self.widths))):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = torch.cat([x, skips[stage]], 1)
            for layer in range(len(self._features(stage))):
                x = self.get_submodule(f"stage{stage}_{layer}")(x)
        return self.frames(x)


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, features: int, strides: int):
        super().__init__()
        self.first = ConvBlock(inputs, features, 3, strides, 1, activation=relu)
        self.second = ConvBlock(features, features, 3, 1, 1, activation=nn.Identity())
        if strides != 1 or inputs != features:
            self.shortcut = ConvBlock(inputs, features, 1, strides, activation=nn.Identity())
        else:
            self.shortcut = nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return relu(self.second(self.first(maps)) + self.shortcut(maps))


class ResnetTrunk(nn.Module):
    def __init__(self, dim: int, image_size: int, channels: int, width: int):
        super().__init__()
        self.stem = ConvBlock(channels, width, 5, 2, 3, activation=relu)
        self.names, inputs = [], width
        for stage in range(num_stages(image_size)):
            for layer in range(BLOCKS_PER_STAGE):
                self.names.append(f"stage{stage}_{layer}")
                features, strides = width * 2**stage, 2 if stage > 0 and layer == 0 else 1
                self.add_module(self.names[-1], BasicBlock(inputs, features, strides))
                inputs = features
        self.vector = ConvBlock(inputs, dim, 3, activation=torch.tanh, widen=True)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        x = F.max_pool2d(self.stem(frames), 3, 2, 1)
        for name in self.names:
            x = self.get_submodule(name)(x)
        return self.vector(x).flatten(1), []


class Discriminator(nn.Module):
    def __init__(self, pose_dim: int, width: int):
        super().__init__()
        self.layer0 = nn.Linear(2 * pose_dim, width)
        self.layer1 = nn.Linear(width, width)
        self.layer2 = nn.Linear(width, 1)

    def forward(self, pose_a: torch.Tensor, pose_b: torch.Tensor) -> torch.Tensor:
        x = torch.cat([pose_a, pose_b], 1)
        x = torch.relu(self.layer1(torch.relu(self.layer0(x))))
        return self.layer2(x)[:, 0].float()


ENCODERS = {
    "dcgan": lambda *sizes: Encoder(DcganTrunk(*sizes)),
    "dcgan_unet": lambda *sizes: Encoder(DcganTrunk(*sizes), skips=True),
    "resnet": lambda *sizes: Encoder(ResnetTrunk(*sizes)),
    "vgg_unet": VggEncoder,
}
DECODERS = {
    "dcgan": lambda *sizes: DcganDecoder(*sizes, skips=False),
    "dcgan_unet": lambda *sizes: DcganDecoder(*sizes, skips=True),
    "vgg_unet": VggDecoder,
}


def create(settings: dict) -> nn.ModuleDict:
    """Returns the four networks of `settings`, the arguments of `registry.create_networks`.

    Raises:
      ValueError: a network has no counterpart here.
    """
    for kind, table in (
        ("content_encoder", ENCODERS),
        ("pose_encoder", ENCODERS),
        ("decoder", DECODERS),
    ):
        if settings[kind] not in table:
            raise ValueError(
                f"No {kind} {settings[kind]!r} in PyTorch here; known: {', '.join(sorted(table))}."
            )
    content_dim, pose_dim = settings["content_dim"], settings["pose_dim"]
    sizes = (settings["image_size"], settings["channels"], settings["width"])
    networks = {
        "content_encoder": ENCODERS[settings["content_encoder"]](content_dim, *sizes),
        "pose_encoder": ENCODERS[settings["pose_encoder"]](pose_dim, *sizes),
        "decoder": DECODERS[settings["decoder"]](content_dim + pose_dim, *sizes),
        "discriminator": Discriminator(pose_dim, settings["discriminator_width"]),
    }
    return nn.ModuleDict(networks).to(memory_format=torch.channels_last)
