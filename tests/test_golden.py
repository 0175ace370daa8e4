"""Our networks and steps against arrays recorded once from the reference code.

The files are those of `tests/golden`, or of the folder that the environment variable DRNET_GOLDEN
names. Every file is read to the last field; one that this test does not understand fails.
"""

import collections
import os
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.reader import Golden, evenly_spaced

from drnet_jax.interop import import_torch, torch_file, torch_weights
from drnet_jax.nets import build
from drnet_jax.nets.content import Content
from drnet_jax.nets.discriminator import SceneDiscriminator

FOLDER = pathlib.Path(os.environ.get("DRNET_GOLDEN", pathlib.Path(__file__).parent / "golden"))
FILES = sorted(FOLDER.glob("*.npz"))
# A batch norm over four values, as the encoders end in, magnifies rounding in training mode.
TRAIN_ATOL = {"dcgan": 1e-4, "dcgan_unet": 1e-4, "resnet": 5e-4, "vgg_unet": 2e-3}


class Comparison:
    """Collects how far results are from a file's, in units of what is allowed."""

    def __init__(self):
        self.worst = {}  # By file: (error as a share of its limit, error, limit, field).

    def __call__(self, golden, field, found, expected, *, atol, rtol=0.0):
        found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
        assert found.shape == expected.shape, f"{golden.path.name}, {field}: {found.shape}"
        errors, limits = np.abs(found - expected), atol + rtol * np.abs(expected)
        worst = np.unravel_index(np.argmax(errors / limits), errors.shape)
        entry = (errors[worst] / limits[worst], errors[worst], limits[worst], field)
        if not entry[0] <= self.worst.get(golden.path.name, (0.0,))[0]:
            self.worst[golden.path.name] = entry
        assert entry[0] <= 1, f"{golden.path.name}, {field}: {entry[1]:.3g} > {entry[2]:.3g}"

    def lines(self):
        for name, (_, error, limit, field) in sorted(self.worst.items()):
            yield f"{name:38} largest error {error:.1e}, allowed {limit:.1e} ({field})"


@pytest.fixture(scope="module")
def compare(request):
    comparison = Comparison()
    yield comparison
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    terminal.write_line("")
    for line in comparison.lines():
        terminal.write_line(line)


def channels_last(array):
    """NCHW to NHWC; vectors `[batch, dim, 1, 1]` to `[batch, dim]`."""
    array = np.asarray(array)
    return array[:, :, 0, 0] if array.shape[2:] == (1, 1) else array.transpose(0, 2, 3, 1)


def channels_first(array):
    return np.asarray(array).transpose(0, 3, 1, 2)


def networks(**settings):
    """Networks of a small default size, but for `settings`; a test takes the one it needs."""
    defaults = {
        "content_encoder": "dcgan",
        "pose_encoder": "dcgan",
        "decoder": "dcgan",
        "image_size": 64,
        "channels": 3,
        "width": 64,
        "content_dim": 128,
        "pose_dim": 5,
        "normalize": False,
        "discriminator_width": 100,
        "dtype": jnp.float32,
    }
    return build.create_networks(**(defaults | settings))


def running_statistics(network, state, variables):
    """Our running statistics under PyTorch's names, with the biases that ours do without."""
    found = torch_weights.to_state(network.layers, variables)
    biases = {layer.norm_key: state[f"{layer.key}.bias"] for layer in network.layers}
    statistics = {}
    for name, value in found.items():
        key, leaf = name.rsplit(".", 1)
        if leaf == "running_mean":
            statistics[name] = value + biases[key]
        elif leaf == "running_var":
            statistics[name] = value
    return statistics


def check_passes(golden, compare, network, module, inputs, check_output, *, atol):
    """Runs `module` in both modes and compares its output and the running statistics."""
    state = golden.state()
    output = jax.jit(lambda v, *x: module.apply(v, *x, train=False))(network.variables, *inputs)
    check_output("eval", output, 1e-5)
    run = jax.jit(lambda v, *x: module.apply(v, *x, train=True, mutable=["batch_stats"]))
    output, updates = run(network.variables, *inputs)
    check_output("train", output, atol)
    statistics = running_statistics(network, state, network.variables | updates)
    assert {f"stats/{name}" for name in statistics} == set(golden.names("stats/"))
    for name, value in statistics.items():
        field = f"stats/{name}"
        compare(golden, field, value, golden[field], rtol=1e-5, atol=2e-5)


def check_content_encoder(golden, compare):
    network = import_torch.content_encoder(golden.state())
    sizes = network.sizes
    assert golden.config == {
        "content_dim": sizes["dim"],
        "channels": sizes["channels"],
        "image_width": sizes["image_size"],
    }
    module = networks(
        content_encoder=network.name,
        decoder=network.name if "unet" in network.name else "dcgan",
        image_size=sizes["image_size"],
        width=sizes["width"],
        content_dim=sizes["dim"],
    ).content_encoder

    def check(mode, content, atol):
        expected = golden[f"{mode}/out"]
        compare(golden, f"{mode}/out", content.vector, channels_last(expected), atol=atol)
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
            compare(golden, field, found, golden[field], atol=atol)

    frames = channels_last(golden.inputs()["x"])
    atol = TRAIN_ATOL[network.name]
    check_passes(golden, compare, network, module, [frames], check, atol=atol)


def check_pose_encoder(golden, compare):
    network = import_torch.pose_encoder(golden.state())
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
        module = networks(
            pose_encoder=network.name,
            image_size=sizes["image_size"],
            width=sizes["width"],
            pose_dim=sizes["dim"],
            normalize=bool(suffix),
        ).pose_encoder

        def check(mode, pose, atol, suffix=suffix):
            field = f"{mode}/out{suffix}"
            compare(golden, field, pose, channels_last(golden[field]), atol=atol)

        atol = TRAIN_ATOL[network.name]
        check_passes(golden, compare, network, module, [frames], check, atol=atol)


def check_decoder(golden, compare):
    network = import_torch.decoder(golden.state())
    sizes, config = network.sizes, golden.config
    assert config["content_dim"] + config["pose_dim"] == sizes["dim"]
    assert config["channels"] == sizes["channels"]
    assert config["image_width"] == sizes["image_size"]
    module = networks(
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
        compare(golden, f"{mode}/out", found, golden[f"{mode}/out"], atol=atol)
        wide = frames.astype(np.float64)
        found = [wide.mean(), wide.std(), wide.min(), wide.max()]
        compare(golden, f"{mode}/out_stats", found, golden[f"{mode}/out_stats"], atol=atol)

    arrays = {name: channels_last(array) for name, array in golden.inputs().items()}
    skips = tuple(arrays[f"skip{i}"] for i in range(len(arrays) - 2))
    inputs = [Content(arrays["content"], skips), arrays["pose"]]
    check_passes(golden, compare, network, module, inputs, check, atol=1e-4)


def check_discriminator(golden, compare):
    network = import_torch.discriminator(golden.state())
    assert golden.config == {"pose_dim": network.sizes["dim"], "nf": network.sizes["width"]}
    inputs = golden.inputs()
    poses = [channels_last(inputs[name]) for name in ("pose0", "pose1")]
    logits = SceneDiscriminator(network.sizes["width"]).apply(network.variables, *poses)
    found = jax.nn.sigmoid(logits)
    for mode in ("eval", "train"):
        expected = golden[f"{mode}/out"].reshape(-1)
        compare(golden, f"{mode}/out", found, expected, atol=1e-5)


def check_lstm(golden, compare):
    network = import_torch.predictor(golden.state())
    sizes, config = network.sizes, golden.config
    assert config["input_size"] == sizes["dim"] + sizes["content_dim"]
    assert config["output_size"] == sizes["dim"]
    assert config["hidden_size"] == sizes["hidden_dim"]
    assert config["n_layers"] == sizes["num_layers"]
    sequence = golden.inputs()["sequence"]
    for suffix in ("", "_normalized"):
        if f"out{suffix}" not in golden:
            continue
        module = build.create_predictor(
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
        compare(golden, f"out{suffix}", poses, golden[f"out{suffix}"], atol=1e-5)
        hidden, cell = zip(*carry, strict=True)
        compare(golden, "hidden_h", np.stack(hidden), golden["hidden_h"], atol=1e-5)
        compare(golden, "hidden_c", np.stack(cell), golden["hidden_c"], atol=1e-5)


def check_checkpoint(golden, compare):
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
        ours = build.create_networks(**imported.model, dtype=jnp.float32)
        variables = imported.variables
        h = ours.content_encoder.apply(
            variables["content_encoder"], inputs["x_content"], train=False
        )
        pose = ours.pose_encoder.apply(variables["pose_encoder"], inputs["x_pose"], train=False)
        frames = channels_first(ours.decoder.apply(variables["decoder"], h, pose, train=False))
        expected = channels_last(golden["eval/content"])
        compare(golden, f"{path.name}: content", h.vector, expected, atol=1e-5)
        expected = channels_last(golden["eval/pose"])
        compare(golden, f"{path.name}: pose", pose, expected, atol=1e-5)
        found, expected = frames[: len(golden["eval/rec"])], golden["eval/rec"]
        compare(golden, f"{path.name}: rec", found, expected, atol=1e-5)
        wide = frames.astype(np.float64)
        found = [wide.mean(), wide.std(), wide.min(), wide.max()]
        compare(golden, f"{path.name}: rec_stats", found, golden["eval/rec_stats"], atol=1e-5)


KINDS = collections.OrderedDict(
    {
        r".*\.content_encoder": check_content_encoder,
        r".*\.pose_encoder": check_pose_encoder,
        r".*\.decoder": check_decoder,
        r"classifiers\.scene_discriminator": check_discriminator,
        r"lstm\.lstm": check_lstm,
        r"checkpoint": check_checkpoint,
    }
)


def test_there_are_files():
    assert FILES, f"No golden files in {FOLDER}."


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_matches_reference(path, compare):
    golden = Golden(path)
    checks = [check for kind, check in KINDS.items() if re.fullmatch(kind, golden.module)]
    assert len(checks) == 1, f"{path.name} is of unknown kind {golden.module!r}."
    checks[0](golden, compare)
    golden["noise"]  # The reference's own rounding errors, from which the limits were made.
    assert golden.unused() == [], f"{path.name} has fields that nothing was compared with."
