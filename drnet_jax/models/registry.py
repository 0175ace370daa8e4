"""Networks by name."""

import dataclasses
from collections.abc import Callable, Mapping

import flax.linen as nn

from drnet_jax.models import attention, blocks, dcgan, resnet, slots, vgg
from drnet_jax.models.content import NoContent
from drnet_jax.models.discriminator import SceneDiscriminator
from drnet_jax.models.encoders import ContentEncoder, PoseEncoder
from drnet_jax.ops.conv import Dtype


@dataclasses.dataclass(frozen=True)
class Networks:
    """The four networks that are trained together.

    Attributes:
      content_encoder: `apply(variables, frames, train=...)` to `Content`.
      pose_encoder: `apply(variables, frames, train=...)` to poses `[batch, pose_dim]`.
      decoder: `apply(variables, content, poses, train=...)` to frames.
      discriminator: `apply(variables, poses, poses)` to logits `[batch]`; None in a model that was
        imported without one.
    """

    content_encoder: nn.Module
    pose_encoder: nn.Module
    decoder: nn.Module
    discriminator: SceneDiscriminator | None


def _content_encoder(trunk: type[nn.Module], *, skips: bool) -> Callable[..., ContentEncoder]:
    return lambda content_dim, **sizes: ContentEncoder(trunk(content_dim, **sizes), skips)


def _pose_encoder(trunk: type[nn.Module]) -> Callable[..., PoseEncoder]:
    return lambda pose_dim, normalize, **sizes: PoseEncoder(trunk(pose_dim, **sizes), normalize)


CONTENT_ENCODERS: Mapping[str, Callable[..., nn.Module]] = {
    "attention": attention.ContentEncoder,
    "dcgan": _content_encoder(dcgan.Trunk, skips=False),
    "dcgan_unet": _content_encoder(dcgan.Trunk, skips=True),
    "none": lambda **sizes: NoContent(),
    "resnet": _content_encoder(resnet.Trunk, skips=False),
    "slots": slots.ContentEncoder,
    "vgg_unet": vgg.ContentEncoder,
}
POSE_ENCODERS: Mapping[str, Callable[..., nn.Module]] = {
    "attention": attention.PoseEncoder,
    "dcgan": _pose_encoder(dcgan.Trunk),
    "resnet": _pose_encoder(resnet.Trunk),
    "slots": lambda pose_dim, normalize, **sizes: slots.PoseEncoder(**sizes),
}
DECODERS: Mapping[str, Callable[..., nn.Module]] = {
    "attention": attention.Decoder,
    "dcgan": lambda **sizes: dcgan.Decoder(skips=False, **sizes),
    "dcgan_unet": lambda **sizes: dcgan.Decoder(skips=True, **sizes),
    "slots": slots.Decoder,
    "vgg_unet": vgg.Decoder,
}
_WITH_SLOTS = {"attention", "slots"}
_WITH_SKIPS = {"dcgan_unet", "vgg_unet"}


def create_networks(
    *,
    content_encoder: str,
    pose_encoder: str,
    decoder: str,
    image_size: int,
    channels: int,
    width: int,
    num_slots: int,
    content_dim: int,
    pose_dim: int,
    normalize: bool,
    discriminator_width: int,
    dtype: Dtype,
) -> Networks:
    """Returns the networks with the given names and sizes.

    Args:
      content_encoder: a key of `CONTENT_ENCODERS`.
      pose_encoder: a key of `POSE_ENCODERS`.
      decoder: a key of `DECODERS`; a U-Net's encoder and decoder have the same name.
      image_size: side of the frames, 4 times a power of two.
      channels: channels of the frames.
      width: channels of the first stage; 64 in the paper.
      num_slots: number of objects of the networks `attention` and `slots`; others ignore it.
      content_dim: length of the content vector; 0 with the content encoder `none`.
      pose_dim: length of the pose vector.
      normalize: whether poses are scaled to unit length.
      discriminator_width: units of its two hidden layers; 0 for no discriminator.
      dtype: what convolutions compute in; parameters, norms and outputs stay float32.

    Raises:
      ValueError: a name is unknown, a side impossible, or encoder and decoder do not fit.
    """
    create_content_encoder = _look_up("content encoder", content_encoder, CONTENT_ENCODERS)
    create_pose_encoder = _look_up("pose encoder", pose_encoder, POSE_ENCODERS)
    create_decoder = _look_up("decoder", decoder, DECODERS)
    _check_skips(content_encoder, decoder)
    _check_content(content_encoder, decoder, content_dim)
    if "slots" in (pose_encoder, decoder):
        _check_places(pose_encoder, decoder, num_slots, pose_dim, normalize)
    # These raise errors for sides without stages.
    blocks.stage_widths(image_size, width)
    if "resnet" in (content_encoder, pose_encoder):
        resnet.num_stages(image_size)
    if _WITH_SLOTS & {content_encoder, decoder} and content_dim % num_slots:
        raise ValueError(
            f"content_dim={content_dim}, num_slots={num_slots}; allowed: multiples of num_slots."
        )

    def sizes(name: str) -> dict:
        own = {"num_slots": num_slots} if name in _WITH_SLOTS else {}
        return {"image_size": image_size, "width": width, "dtype": dtype} | own

    return Networks(
        create_content_encoder(content_dim=content_dim, **sizes(content_encoder)),
        create_pose_encoder(pose_dim=pose_dim, normalize=normalize, **sizes(pose_encoder)),
        create_decoder(channels=channels, **sizes(decoder)),
        SceneDiscriminator(discriminator_width, dtype) if discriminator_width else None,
    )


def _look_up(kind: str, name: str, table: Mapping[str, Callable]) -> Callable:
    if name not in table:
        raise ValueError(f"Unknown {kind} {name!r}; known: {', '.join(sorted(table))}.")
    return table[name]


def _check_content(content_encoder: str, decoder: str, content_dim: int) -> None:
    """Raises ValueError unless there is a content vector exactly where there is content."""
    if (content_encoder == "none") != (content_dim == 0):
        allowed = "0" if content_encoder == "none" else "above 0"
        raise ValueError(
            f"content_dim={content_dim} with content encoder {content_encoder!r}; "
            f"allowed: {allowed}."
        )
    if content_encoder == "none" and decoder != "dcgan":
        raise ValueError(f"Decoder {decoder!r} without content; allowed: dcgan.")


def _check_places(
    pose_encoder: str, decoder: str, num_slots: int, pose_dim: int, normalize: bool
) -> None:
    """Raises ValueError unless poses are the places of slots on both sides."""
    if pose_encoder != decoder:
        raise ValueError(
            f"pose_encoder={pose_encoder!r} with decoder={decoder!r}; allowed: 'slots' for both or "
            "neither, as their poses are places."
        )
    if pose_dim != 2 * num_slots or normalize:
        raise ValueError(
            f"pose_dim={pose_dim}, normalize={normalize} with pose encoder 'slots'; allowed: "
            f"{2 * num_slots}, False: a row and a column for each of {num_slots} slots."
        )


def _check_skips(content_encoder: str, decoder: str) -> None:
    """Raises ValueError unless the decoder takes exactly the skips that the encoder gives."""
    if content_encoder == decoder or not _WITH_SKIPS & {content_encoder, decoder}:
        return
    without_skips = sorted(set(DECODERS) - _WITH_SKIPS)
    allowed = [content_encoder] if content_encoder in _WITH_SKIPS else without_skips
    raise ValueError(
        f"Decoder {decoder!r} does not take the skips of content encoder {content_encoder!r}; "
        f"allowed: {', '.join(allowed)}."
    )
