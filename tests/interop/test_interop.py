"""Files of the PyTorch release: read without running them, and turned into our networks."""

import os
import pathlib
import pickle
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.interop import import_torch, torch_file, torch_names, torch_weights
from drnet_jax.models import registry
from drnet_jax.models.pose_lstm import PoseLSTM
from tests.helpers.networks import SETTINGS, draw_variables
from tests.helpers.torch_files import STORAGES, Tensor, write, write_legacy, write_zip

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
SAMPLES = sorted(GOLDEN.glob("checkpoint_small*.pth"))
FAMILIES = [
    ("dcgan", "dcgan", "dcgan", 16),
    ("dcgan_unet", "resnet", "dcgan_unet", 32),
    ("vgg_unet", "resnet", "vgg_unet", 16),
    ("resnet", "dcgan", "dcgan", 32),
]


def load_error(path):
    """Returns the one line with which `path` is refused."""
    with pytest.raises(ValueError) as error:
        torch_file.load(path)
    message = str(error.value)
    assert message.startswith(f"Cannot read {path} as a PyTorch file: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_settings_of_samples(path):
    # Their tensors are compared with the golden file's.
    assert import_torch.convert(torch_file.load(path)).model == {
        "content_encoder": "dcgan_unet",
        "pose_encoder": "dcgan",
        "decoder": "dcgan_unet",
        "image_size": 64,
        "channels": 3,
        "width": 2,
        "num_slots": 1,
        "content_dim": 16,
        "pose_dim": 5,
        "normalize": False,
        "discriminator_width": 0,
    }


@pytest.mark.parametrize("dtype", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_kinds_of_numbers(tmp_path, dtype, byteorder):
    array = np.arange(6).astype(dtype)
    stored = array.byteswap() if byteorder == "big" else array
    write(tmp_path / "a.pth", {"x": Tensor(stored, shape=(2, 3), strides=(3, 1))}, byteorder)
    found = torch_file.load(tmp_path / "a.pth")["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array.reshape(2, 3))


def test_views_of_a_storage(tmp_path):
    array = np.arange(12, dtype=np.float32)
    turned = Tensor(array, offset=2, shape=(3, 2), strides=(1, 4))
    empty = Tensor(array, shape=(0, 3), strides=(3, 1))
    write(tmp_path / "a.pth", [turned, empty])
    found, nothing = torch_file.load(tmp_path / "a.pth")
    np.testing.assert_array_equal(found, [[2, 6], [3, 7], [4, 8]])
    assert nothing.shape == (0, 3)


@pytest.mark.parametrize(
    "view",
    [
        {"offset": 9},
        {"offset": -1},
        {"strides": (5,)},
        {"strides": (-1,)},
        {"shape": (10**9,), "strides": (0,)},
        {"shape": (2, 2)},
        {"shape": ("a",)},
    ],
    ids=str,
)
def test_views_beyond_a_storage_are_refused(tmp_path, view):
    write(tmp_path / "a.pth", Tensor(np.zeros(4, np.float32), **view))
    assert ": a tensor " in load_error(tmp_path / "a.pth")


class Call:
    """An object whose pickle is a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile_programs(trace):
    """Returns pickles that would create the file `trace`, by name."""
    command = f"touch {trace}"
    return {
        "reduce": pickle.dumps(Call(os.system, command), 2),
        "reduce_new": pickle.dumps(Call(os.system, command), 4),
        "eval": pickle.dumps(Call(eval, f"open({str(trace)!r}, 'w')"), 2),
        "open": pickle.dumps(Call(open, str(trace), "w"), 2),
        "instance": f"(S'{command}'\nios\nsystem\n.".encode(),
        "object": f"(cos\nsystem\nS'{command}'\no.".encode(),
        # An object whose `__setstate__` is a function of the file's choice.
        "state": b"cmodule\nThing\n)\x81}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsb"
        + f"S'{command}'\nb.".encode(),
        "getattr": b"cbuiltins\ngetattr\n(cos\n__dict__\nX\x06\x00\x00\x00systemtR.",
    }


@pytest.mark.parametrize("kind", hostile_programs("x"))
@pytest.mark.parametrize("writer", [write_zip, write_legacy])
def test_hostile_file_leaves_no_trace(tmp_path, kind, writer):
    trace = tmp_path / "trace"
    program = hostile_programs(trace)[kind]
    path = tmp_path / "a.pth"
    writer(path, program)
    load_error(path)
    assert not trace.exists()


def test_hostile_call_is_named(tmp_path):
    program = hostile_programs(tmp_path / "trace")["reduce"]
    write_zip(tmp_path / "a.pth", program)
    assert load_error(tmp_path / "a.pth").endswith("it calls posix.system, which is not run.")
    # Otherwise these tests would show nothing.
    pickle.loads(program)
    assert (tmp_path / "trace").exists()


def test_nothing_is_imported(monkeypatch, tmp_path):
    (tmp_path / "drnet_trap.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    write_zip(tmp_path / "a.pth", b"cdrnet_trap\nNetwork\n)\x81.")
    found = torch_file.load(tmp_path / "a.pth")
    assert type(found).origin == "drnet_trap.Network"
    assert "drnet_trap" not in sys.modules
    assert not (tmp_path / "trace").exists()


def test_files_cannot_change_the_reader(tmp_path):
    # State for a function of ours, in both forms that a pickle has for it.
    name = b"X\x09\x00\x00\x00_function"
    for state in (b"}" + name + b"K\x01s", b"N}" + name + b"K\x01s\x86", b"]K\x01a"):
        write_zip(tmp_path / "a.pth", b"ctorch._utils\n_rebuild_parameter\n" + state + b"b.")
        load_error(tmp_path / "a.pth")
    assert len(torch_file.load(SAMPLES[0])) == 4


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_truncated_files_are_refused_and_damaged_ones_refused_or_read(path, tmp_path):
    content, damaged = path.read_bytes(), tmp_path / "damaged.pth"
    for length in np.linspace(0, len(content) - 1, 40).astype(int):
        damaged.write_bytes(content[:length])
        load_error(damaged)
    rng = np.random.default_rng(0)
    for _ in range(60):
        changed = np.frombuffer(content, np.uint8).copy()
        places = rng.integers(0, 4000, 3)
        changed[places] = rng.integers(0, 256, 3)
        damaged.write_bytes(changed.tobytes())
        try:
            torch_file.load(damaged)
        except ValueError as error:
            assert "\n" not in str(error)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    path.write_text("hello")
    load_error(path)
    write_zip(path, pickle.dumps({}, 2), compression=zipfile.ZIP_DEFLATED)
    assert "it is compressed" in load_error(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/readme", "")
    assert "it holds no data.pkl" in load_error(path)
    path.write_bytes(pickle.dumps({"a": 1}, 2))
    assert "it does not begin like one" in load_error(path)


def test_lists_within_themselves_are_refused(tmp_path):
    endless = []
    endless.append(endless)
    write_zip(tmp_path / "a.pth", pickle.dumps(endless, 2))
    assert "nested more than" in load_error(tmp_path / "a.pth")


def create_checkpoint(*family, channels=2):
    """Returns settings and variables of small networks, and a file's content for them."""
    names = ("content_encoder", "pose_encoder", "decoder", "image_size")
    model = SETTINGS | dict(zip(names, family, strict=True))
    model |= {"channels": channels, "content_dim": 5, "pose_dim": 4, "normalize": True}
    del model["dtype"]  # Of the computation; a file does not tell it.
    predictor = {"pose_dim": 4, "hidden_dim": 6, "num_layers": 2, "normalize": True}
    predictor |= {"use_content": True, "residual": False}
    networks = registry.create_networks(**model, dtype=jnp.float32)
    lstm = PoseLSTM(**predictor, dtype=jnp.float32)
    image_size = model["image_size"]
    frames, poses = jnp.zeros((1, image_size, image_size, channels)), jnp.zeros((1, 4))
    variables = {
        "content_encoder": draw_variables(networks.content_encoder, frames, train=False),
        "pose_encoder": draw_variables(networks.pose_encoder, frames, train=False),
        "discriminator": draw_variables(networks.discriminator, poses, poses),
        "predictor": draw_variables(lstm, lstm.initial_carry(1), jnp.zeros((1, 9))),
    }
    content = jax.eval_shape(
        lambda: networks.content_encoder.apply(variables["content_encoder"], frames, train=False)
    )
    variables["decoder"] = draw_variables(networks.decoder, content, poses, train=False)
    num_stages = image_size.bit_length() - 3
    tables = (torch_names.CONTENT_ENCODERS, torch_names.POSE_ENCODERS, torch_names.DECODERS)
    layers = [table[name](num_stages) for table, name in zip(tables, family, strict=False)]
    layers += [torch_names.discriminator(), torch_names.predictor(2)]
    ours = (*names[:3], "discriminator", "predictor")
    nets = zip(("netEC", "netEP", "netD", "netC", "lstm"), ours, layers, strict=True)
    file = {net: torch_weights.to_state(places, variables[name]) for net, name, places in nets}
    return model, predictor, variables, file | {"opt": {"normalize": True, "lr": 0.002}}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family[0])
def test_there_and_back(family):
    model, predictor, variables, file = create_checkpoint(*family)
    imported = import_torch.convert(file)
    assert imported.model == model
    assert imported.predictor == predictor
    assert jax.tree.structure(imported.variables) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, imported.variables, variables)


def test_bias_in_front_of_a_norm_goes_into_its_mean():
    layer = torch_names.Layer(("a", "conv"), "c", "n")
    state = {f"n.{leaf}": np.full(2, 3.0) for leaf in ("weight", "bias", "running_var")}
    state |= {"n.running_mean": np.array([5.0, 6.0]), "c.bias": np.array([1.0, 2.0])}
    state |= {"c.weight": np.zeros((2, 1, 4, 4))}
    variables = torch_weights.to_variables([layer], state)
    np.testing.assert_array_equal(variables["batch_stats"]["a"]["norm"]["mean"], [4.0, 4.0])
    assert "bias" not in variables["params"]["a"]["conv"]


@pytest.fixture(scope="module")
def checkpoint():
    return create_checkpoint("dcgan", "dcgan", "dcgan", 16)[3]


def change(file, network, **tensors):
    """Returns `file` with `tensors` of `network` replaced, or left out where None."""
    state = file[network] | {name.replace("__", "."): x for name, x in tensors.items()}
    return file | {network: {name: x for name, x in state.items() if x is not None}}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: [], "Expected a dict of networks, found list."),
        (lambda f: {"netD": 1, "opt": 2}, "Missing networks: netEC, netEP; found: netD, opt."),
        (
            lambda f: change(f, "netEC", main__2__weight=None),
            "In netEC: Missing tensors: main.2.weight.",
        ),
        (
            lambda f: change(f, "netD", extra=np.zeros(1)),
            "In netD: Surplus tensors: extra.",
        ),
        (
            lambda f: f | {"netEP": {"layers.0.weight": np.zeros((2, 2))}},
            "In netEP: Unknown pose encoder with tensors layers.0.weight...; known: dcgan, resnet.",
        ),
        (lambda f: f | {"netC": 5}, "In netC: Expected a network or its state dict, found int."),
        (
            lambda f: change(f, "netEP", main__2__bias="text"),
            "In netEP: Expected a tensor at 'main.2.bias', found str.",
        ),
        (
            lambda f: change(f, "netEP", main__3__bias=np.zeros(9)),
            "In netEP: shape (9,) at params/trunk/vector/norm/bias, expected (4,).",
        ),
        (
            lambda f: f | {"opt": {"image_width": 64}},
            "Option image_width is 64, but the tensors show 16.",
        ),
        (
            lambda f: f | {"netD": create_checkpoint("dcgan", "dcgan", "dcgan", 32)[3]["netD"]},
            "The decoder is for image_size 32, the content_encoder for 16.",
        ),
        (
            lambda f: change(f, "lstm", embed__weight=np.zeros((6, 10))),
            "In lstm: made for pose and content of (4, 6), but the encoders give (4, 5).",
        ),
    ],
)
def test_unfit_checkpoints_are_refused_by_name(checkpoint, edit, message):
    with pytest.raises(ValueError) as error:
        import_torch.convert(edit(checkpoint))
    assert str(error.value) == message
