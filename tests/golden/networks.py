"""Checks of single networks and of whole checkpoints against their golden files."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from drnet_jax.interop import import_torch, torch_file, torch_networks
from drnet_jax.models import registry
from drnet_jax.models.content import Content
from drnet_jax.models.discriminator import SceneDiscriminator
from drnet_jax.models.pose_lstm import PoseLSTM
from tests.golden.compare import channels_first, channels_last, running_statistics, summary
from tests.golden.reader import evenly_spaced
from tests.helpers.networks import create_networks

# A batch norm over four values, as the encoders end in, magnifies rounding in training mode.
TRAIN_ATOL = {"dcgan": 1e-4, "dcgan_unet": 1e-4, "resnet": 5e-4, "vgg_unet": 2e-3}


def checker(golden, compare):
    """Returns `check(field, found)`, which compares with what the file has under `field`."""

    def check(field, found, *, atol=1e-5, rtol=0.0, label=""):
        # Ten times the reference's own rounding is allowed where that is more than `atol`.
        noise = [value for name, value in golden["noise"].items() if field.startswith(name)]
        atol = max([atol, *(10 * value for value in noise)])
        expected = golden[field]
        # Vectors have two axes of length 1 in PyTorch.
        expected = expected[..., 0, 0] if np.shape(expected)[2:] == (1, 1) else expected
        compare(golden, field + label, found, expected, atol=atol, rtol=rtol)

    return check


def _check_passes(golden, check, network, apply, inputs, check_output, *, atol):
    """Runs a network in both modes and compares its output and the running statistics."""
    run = jax.jit(apply, static_argnames=("train", "mutable"))
    check_output("eval", run(network.variables, *inputs, train=False), 1e-5)
    output, updates = run(network.variables, *inputs, train=True, mutable=("batch_stats",))
    check_output("train", output, atol)
    statistics = running_statistics(network.layers, golden.state(), network.variables | updates)
    assert {f"stats/{name}" for name in statistics} == set(golden.names("stats/"))
    for name, value in statistics.items():
        check(f"stats/{name}", value, rtol=1e-5, atol=2e-5)


def _encoder(golden, kind):
    """Returns the encoder in the file, and its sizes as `create_networks` names them."""
    network, dim = getattr(torch_networks, f"{kind}_encoder")(golden.state()), f"{kind}_dim"
    sizes = {name: network.sizes[name] for name in ("image_size", "width", "channels")}
    assert golden.config == {
        dim: network.sizes["dim"],
        "channels": sizes["channels"],
        "image_width": sizes["image_size"],
    }
    return network, sizes | {dim: network.sizes["dim"], f"{kind}_encoder": network.name}


def content_encoder(golden, compare):
    check = checker(golden, compare)
    network, settings = _encoder(golden, "content")
    decoder = network.name if "unet" in network.name else "dcgan"
    module = create_networks(**settings, decoder=decoder).content_encoder

    def check_output(mode, content, atol):
        check(f"{mode}/out", content.vector, atol=atol)
        if "skip_shapes" not in golden:
            assert content.skips == ()
            return
        skips = [channels_first(skip) for skip in content.skips]
        assert [list(skip.shape) for skip in skips] == golden["skip_shapes"]
        statistics = {"mean": np.mean, "std": np.std, "sample": evenly_spaced}
        for statistic, function in statistics.items():
            found = [function(skip.astype(np.float64)) for skip in skips]
            check(f"{mode}/skip_{statistic}", found, atol=atol)

    frames, atol = channels_last(golden.inputs()["x"]), TRAIN_ATOL[network.name]
    _check_passes(golden, check, network, module.apply, [frames], check_output, atol=atol)


def pose_encoder(golden, compare):
    check = checker(golden, compare)
    network, settings = _encoder(golden, "pose")
    frames, atol = channels_last(golden.inputs()["x"]), TRAIN_ATOL[network.name]
    modules = {
        suffix: create_networks(**settings, normalize=bool(suffix)).pose_encoder
        for suffix in ("", "_normalized")
        if f"eval/out{suffix}" in golden
    }

    def apply(variables, frames, *, train, mutable=False):
        # Together, so that XLA compiles once what they share.
        results = {
            suffix: module.apply(variables, frames, train=train, mutable=mutable)
            for suffix, module in modules.items()
        }
        if not train:
            return results
        return {suffix: pose for suffix, (pose, _) in results.items()}, results[""][1]

    def check_output(mode, poses, atol):
        for suffix, pose in poses.items():
            check(f"{mode}/out{suffix}", pose, atol=atol)

    _check_passes(golden, check, network, apply, [frames], check_output, atol=atol)


def decoder(golden, compare):
    check = checker(golden, compare)
    network = torch_networks.decoder(golden.state())
    sizes, config = dict(network.sizes), golden.config
    assert config["content_dim"] + config["pose_dim"] == sizes.pop("dim")
    assert config["channels"] == sizes["channels"]
    assert config["image_width"] == sizes["image_size"]
    kinds = {"content_encoder": network.name, "decoder": network.name}
    module = create_networks(**kinds, **sizes).decoder

    def check_output(mode, frames, atol):
        frames = channels_first(frames)
        assert list(frames.shape) == golden["out_shape"]
        stride, batch = int(golden["out_stride"]), int(golden["out_batch"])
        check(f"{mode}/out", frames[:batch, :, ::stride, ::stride], atol=atol)
        check(f"{mode}/out_stats", summary(frames), atol=atol)

    arrays = {name: channels_last(array) for name, array in golden.inputs().items()}
    skips = tuple(arrays[f"skip{i}"] for i in range(len(arrays) - 2))
    inputs = [Content(arrays["content"], skips), arrays["pose"]]
    _check_passes(golden, check, network, module.apply, inputs, check_output, atol=1e-4)


def discriminator(golden, compare):
    check = checker(golden, compare)
    network = torch_networks.discriminator(golden.state())
    assert golden.config == {"pose_dim": network.sizes["dim"], "nf": network.sizes["width"]}
    poses = [channels_last(golden.inputs()[name]) for name in ("pose0", "pose1")]
    module = SceneDiscriminator(network.sizes["width"], jnp.float32)
    probabilities = jax.nn.sigmoid(module.apply(network.variables, *poses))
    for mode in ("eval", "train"):
        check(f"{mode}/out", np.reshape(probabilities, golden[f"{mode}/out"].shape))


def lstm(golden, compare):
    check = checker(golden, compare)
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
        module = PoseLSTM(
            pose_dim=sizes["dim"],
            hidden_dim=sizes["hidden_dim"],
            num_layers=sizes["num_layers"],
            normalize=bool(suffix),
            dtype=jnp.float32,
        )
        carry, poses = jax.lax.scan(
            functools.partial(module.apply, network.variables),
            module.initial_carry(config["batch_size"]),
            sequence,
        )
        check(f"out{suffix}", poses)
        hidden, cell = zip(*carry, strict=True)
        check("hidden_h", np.stack(hidden))
        check("hidden_c", np.stack(cell))


def checkpoint(golden, compare):
    """Reads, converts and runs the `.pth` files of the same name."""
    check = checker(golden, compare)
    inputs = {name: channels_last(array) for name, array in golden.inputs().items()}
    paths = sorted(golden.path.parent.glob(f"{golden.path.stem}*.pth"))
    assert paths, f"{golden.path.name} has no .pth file beside it."
    states = {network: golden.state(network) for network in golden["state_seeds"]}

    @functools.partial(jax.jit, static_argnums=0)
    def run(networks, variables):
        def apply(name, *inputs):
            return getattr(networks, name).apply(variables[name], *inputs, train=False)

        content = apply("content_encoder", inputs["x_content"])
        pose = apply("pose_encoder", inputs["x_pose"])
        return content.vector, pose, apply("decoder", content, pose)

    for path in paths:
        file = torch_file.load(path)
        options = file["opt"]
        assert (options if isinstance(options, dict) else vars(options)) == golden.config
        for network, state in states.items():
            tensors = torch_file.tensors(file[network])
            assert list(tensors) == list(state)
            for name, tensor in state.items():
                np.testing.assert_array_equal(tensors[name], tensor)
        imported = import_torch.convert(file)
        networks = registry.create_networks(**imported.model, dtype=jnp.float32)
        content, pose, frames = run(networks, imported.variables)
        frames, label = channels_first(frames), f" of {path.name}"
        check("eval/content", content, label=label)
        check("eval/pose", pose, label=label)
        check("eval/rec", frames[: len(golden["eval/rec"])], label=label)
        check("eval/rec_stats", summary(frames), label=label)
