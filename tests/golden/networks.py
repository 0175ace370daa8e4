"""Checks of single networks and of whole checkpoints against their golden files."""

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.interop import import_torch, torch_file, torch_networks
from drnet_jax.models import registry
from drnet_jax.models.content import Content
from drnet_jax.models.discriminator import SceneDiscriminator
from tests.golden.compare import (
    channels_first,
    channels_last,
    running_statistics,
    summary,
)
from tests.golden.reader import evenly_spaced
from tests.helpers.compiled import fast_jit
from tests.helpers.networks import create_networks

# A batch norm over four values, as the encoders end in, magnifies rounding in training mode.
TRAIN_ATOL = {"dcgan": 1e-4, "dcgan_unet": 1e-4, "resnet": 5e-4, "vgg_unet": 2e-3}


def _check(golden, compare, field, found, expected, *, atol, rtol=0.0):
    """Allows ten times the reference's own rounding where that is more than `atol`."""
    noise = [value for name, value in golden["noise"].items() if field.startswith(name)]
    atol = max([atol, *(10 * value for value in noise)])
    compare(golden, field, found, expected, atol=atol, rtol=rtol)


def _check_passes(golden, compare, network, module, inputs, check_output, *, atol):
    """Runs `module` in both modes and compares its output and the running statistics."""
    state = golden.state()
    output = fast_jit(lambda v, *x: module.apply(v, *x, train=False))(network.variables, *inputs)
    check_output("eval", output, 1e-5)
    run = fast_jit(lambda v, *x: module.apply(v, *x, train=True, mutable=["batch_stats"]))
    output, updates = run(network.variables, *inputs)
    check_output("train", output, atol)
    statistics = running_statistics(network.layers, state, network.variables | updates)
    assert {f"stats/{name}" for name in statistics} == set(golden.names("stats/"))
    for name, value in statistics.items():
        field = f"stats/{name}"
        _check(golden, compare, field, value, golden[field], rtol=1e-5, atol=2e-5)


def content_encoder(golden, compare):
    network = torch_networks.content_encoder(golden.state())
    sizes = network.sizes
    assert golden.config == {
        "content_dim": sizes["dim"],
        "channels": sizes["channels"],
        "image_width": sizes["image_size"],
    }
    module = create_networks(
        content_encoder=network.name,
        decoder=network.name if "unet" in network.name else "dcgan",
        image_size=sizes["image_size"],
        width=sizes["width"],
        content_dim=sizes["dim"],
    ).content_encoder

    def check(mode, content, atol):
        expected = golden[f"{mode}/out"]
        _check(golden, compare, f"{mode}/out", content.vector, channels_last(expected), atol=atol)
        if "skip_shapes" not in golden:
            assert content.skips == ()
            return
        skips = [channels_first(skip) for skip in content.skips]
        assert [list(skip.shape) for skip in skips] == golden["skip_shapes"]
        for statistic, function in {
            "mean": np.mean,
            "std": np.std,
            "sample": evenly_spaced,
        }.items():
            field = f"{mode}/skip_{statistic}"
            found = [function(skip.astype(np.float64)) for skip in skips]
            _check(golden, compare, field, found, golden[field], atol=atol)

    frames = channels_last(golden.inputs()["x"])
    atol = TRAIN_ATOL[network.name]
    _check_passes(golden, compare, network, module, [frames], check, atol=atol)


def pose_encoder(golden, compare):
    network = torch_networks.pose_encoder(golden.state())
    sizes = network.sizes
    assert golden.config == {
        "pose_dim": sizes["dim"],
        "channels": sizes["channels"],
        "image_width": sizes["image_size"],
    }
    frames = channels_last(golden.inputs()["x"])
    for suffix in ("", "_normalized"):
        if f"eval/out{suffix}" not in golden:
            continue
        module = create_networks(
            pose_encoder=network.name,
            image_size=sizes["image_size"],
            width=sizes["width"],
            pose_dim=sizes["dim"],
            normalize=bool(suffix),
        ).pose_encoder

        def check(mode, pose, atol, suffix=suffix):
            field = f"{mode}/out{suffix}"
            _check(golden, compare, field, pose, channels_last(golden[field]), atol=atol)

        atol = TRAIN_ATOL[network.name]
        _check_passes(golden, compare, network, module, [frames], check, atol=atol)


def decoder(golden, compare):
    network = torch_networks.decoder(golden.state())
    sizes, config = network.sizes, golden.config
    assert config["content_dim"] + config["pose_dim"] == sizes["dim"]
    assert config["channels"] == sizes["channels"]
    assert config["image_width"] == sizes["image_size"]
    module = create_networks(
        content_encoder=network.name,
        decoder=network.name,
        image_size=sizes["image_size"],
        channels=sizes["channels"],
        width=sizes["width"],
    ).decoder

    def check(mode, frames, atol):
        frames = channels_first(frames)
        assert list(frames.shape) == golden["out_shape"]
        stride, batch = int(golden["out_stride"]), int(golden["out_batch"])
        found = frames[:batch, :, ::stride, ::stride]
        _check(golden, compare, f"{mode}/out", found, golden[f"{mode}/out"], atol=atol)
        _check(
            golden,
            compare,
            f"{mode}/out_stats",
            summary(frames),
            golden[f"{mode}/out_stats"],
            atol=atol,
        )

    arrays = {name: channels_last(array) for name, array in golden.inputs().items()}
    skips = tuple(arrays[f"skip{i}"] for i in range(len(arrays) - 2))
    inputs = [Content(arrays["content"], skips), arrays["pose"]]
    _check_passes(golden, compare, network, module, inputs, check, atol=1e-4)


def discriminator(golden, compare):
    network = torch_networks.discriminator(golden.state())
    assert golden.config == {"pose_dim": network.sizes["dim"], "nf": network.sizes["width"]}
    inputs = golden.inputs()
    poses = [channels_last(inputs[name]) for name in ("pose0", "pose1")]
    logits = SceneDiscriminator(network.sizes["width"], jnp.float32).apply(
        network.variables, *poses
    )
    found = jax.nn.sigmoid(logits)
    for mode in ("eval", "train"):
        expected = golden[f"{mode}/out"].reshape(-1)
        _check(golden, compare, f"{mode}/out", found, expected, atol=1e-5)


def lstm(golden, compare):
    network = torch_networks.predictor(golden.state())
    sizes, config = network.sizes, golden.config
    assert config["input_size"] == sizes["dim"] + sizes["content_dim"]
    assert config["output_size"] == sizes["dim"]
    assert config["hidden_size"] == sizes["hidden_dim"]
    assert config["n_layers"] == sizes["num_layers"]
    sequence = golden.inputs()["sequence"]
    for suffix in ("", "_normalized"):
        if f"out{suffix}" not in golden:
            continue
        module = registry.create_predictor(
            pose_dim=sizes["dim"],
            hidden_dim=sizes["hidden_dim"],
            num_layers=sizes["num_layers"],
            normalize=bool(suffix),
            dtype=jnp.float32,
        )
        carry, poses = jax.lax.scan(
            lambda carry, inputs, module=module: module.apply(network.variables, carry, inputs),
            module.initial_carry(config["batch_size"]),
            sequence,
        )
        _check(golden, compare, f"out{suffix}", poses, golden[f"out{suffix}"], atol=1e-5)
        hidden, cell = zip(*carry, strict=True)
        _check(golden, compare, "hidden_h", np.stack(hidden), golden["hidden_h"], atol=1e-5)
        _check(golden, compare, "hidden_c", np.stack(cell), golden["hidden_c"], atol=1e-5)


def checkpoint(golden, compare):
    """The `.pth` files of the same name: read, converted, run."""
    inputs = {name: channels_last(array) for name, array in golden.inputs().items()}
    paths = sorted(golden.path.parent.glob(f"{golden.path.stem}*.pth"))
    assert paths, f"{golden.path.name} has no .pth file beside it."
    states = {network: golden.state(network) for network in golden["state_seeds"]}
    for path in paths:
        content = torch_file.load(path)
        options = content["opt"]
        assert (options if isinstance(options, dict) else vars(options)) == golden.config
        for network, state in states.items():
            found = torch_file.tensors(content[network])
            assert list(found) == list(state)
            for name, tensor in state.items():
                np.testing.assert_array_equal(found[name], tensor)
        imported = import_torch.convert(content)
        ours = registry.create_networks(**imported.model, dtype=jnp.float32)
        variables = imported.variables
        h = ours.content_encoder.apply(
            variables["content_encoder"], inputs["x_content"], train=False
        )
        pose = ours.pose_encoder.apply(variables["pose_encoder"], inputs["x_pose"], train=False)
        frames = channels_first(ours.decoder.apply(variables["decoder"], h, pose, train=False))
        expected = channels_last(golden["eval/content"])
        _check(golden, compare, f"eval/content of {path.name}", h.vector, expected, atol=1e-5)
        expected = channels_last(golden["eval/pose"])
        _check(golden, compare, f"eval/pose of {path.name}", pose, expected, atol=1e-5)
        found, expected = frames[: len(golden["eval/rec"])], golden["eval/rec"]
        _check(golden, compare, f"eval/rec of {path.name}", found, expected, atol=1e-5)
        found = summary(frames)
        _check(
            golden,
            compare,
            f"eval/rec_stats of {path.name}",
            found,
            golden["eval/rec_stats"],
            atol=1e-5,
        )
