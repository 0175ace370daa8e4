"""Programs for other runtimes, run by them without drnet_jax, beside the model itself."""

import subprocess
import sys

import chex
import jax
import numpy as np
import pytest

import drnet_jax
from drnet_jax.commands import export
from drnet_jax.interop import onnx_convert
from drnet_jax.ops import forms
from drnet_jax.runs import programs
from drnet_jax.runs.run import create_run

NETWORKS = ("content_encoder", "pose_encoder", "decoder", "predictor")

# Runs every program of a folder on the inputs beside it, in a process without drnet_jax.
_RUN_STABLEHLO = """
import pathlib, sys
import jax, numpy as np

folder = pathlib.Path(sys.argv[1])
for file in sorted(folder.glob("*.bin")):
    program = jax.export.deserialize(bytearray(file.read_bytes()))
    assert set(program.platforms) == {"cpu", "cuda", "rocm", "tpu"}, program.platforms
    inputs = np.load(file.with_suffix(".npz"))
    outputs = program.call(*(inputs[name] for name in inputs.files))
    np.savez(file.with_suffix(".out.npz"), *outputs)
assert not any(name.startswith("drnet_jax") for name in sys.modules)
"""


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("programs") / "exported"
    export.run(trained, folder, ["stablehlo", "onnx"])
    return folder


@pytest.fixture(scope="module")
def model(trained):
    return drnet_jax.load(trained)


def inputs_of(model: drnet_jax.Model) -> dict[str, dict[str, np.ndarray]]:
    """Returns inputs of all programs, for a batch of three."""
    rng = np.random.default_rng(0)
    frames = rng.random((3, *model._run.frame_shape), np.float32)
    content, pose = model.content(frames), model.pose(frames)
    predictor = model.config.predictor
    carry = rng.normal(size=(3, predictor.num_layers, 2, predictor.hidden_dim))
    skips = {f"skip{i}": array for i, array in enumerate(content.skips)}
    return {
        "content_encoder": {"frames": frames},
        "pose_encoder": {"frames": frames},
        "decoder": {"pose": pose, "content": content.vector, **skips},
        "predictor": {"pose": pose, "content": content.vector, "carry": np.float32(carry)},
    }


def expected_of(model: drnet_jax.Model) -> dict[str, list[np.ndarray]]:
    """Returns what the model itself computes from `inputs_of` it."""
    inputs = inputs_of(model)
    content = model.content(inputs["content_encoder"]["frames"])
    given = inputs["predictor"]
    states = [tuple(layer) for layer in np.moveaxis(given["carry"], 0, 2)]
    joined = np.concatenate([given["pose"], given["content"]], axis=-1)
    states, pose = model._run.predictor.apply(model.variables["predictor"], states, joined)
    results = {
        "content_encoder": [content.vector, *content.skips],
        "pose_encoder": [model.pose(inputs["pose_encoder"]["frames"])],
        "decoder": [model.decode(content, inputs["decoder"]["pose"])],
        "predictor": [pose, np.moveaxis(np.array(states), 2, 0)],
    }
    return jax.device_get(results)


def check_onnx(program: bytes, inputs: dict, expected: list) -> None:
    """Asserts that onnxruntime computes `expected` from all of a batch and from a part of it."""
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(program, providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == list(inputs)
    for num in (3, 2):
        results = session.run(None, {name: np.asarray(x[:num]) for name, x in inputs.items()})
        chex.assert_trees_all_close(results, [x[:num] for x in expected], atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_computes_what_the_model_does(folder, model, name):
    program = (folder / "onnx" / f"{name}.onnx").read_bytes()
    check_onnx(program, inputs_of(model)[name], expected_of(model)[name])


def test_jax_alone_computes_what_the_model_does(folder, model):
    programs_at = folder / "stablehlo"
    assert {path.stem for path in programs_at.glob("*.bin")} == set(NETWORKS)
    for name, inputs in inputs_of(model).items():
        np.savez(programs_at / f"{name}.npz", **inputs)
    command = [sys.executable, "-c", _RUN_STABLEHLO, str(programs_at)]
    subprocess.run(command, check=True, cwd=folder)  # Away from the checkout.
    for name, expected in expected_of(model).items():
        with np.load(programs_at / f"{name}.out.npz") as found:
            results = [found[key] for key in found.files]
        chex.assert_trees_all_close(results, expected, atol=1e-5)


def test_portable_programs_do_not_choose_a_form_by_platform(model):
    program = programs.programs(model._run, model.variables)["content_encoder"]
    frames = np.zeros((3, 16, 16, 3), np.float32)
    with forms.portable():
        assert "platform_index" not in str(jax.make_jaxpr(lambda x: program.function(x))(frames))
    assert "platform_index" in str(jax.make_jaxpr(lambda x: program.function(x))(frames[:2]))


def test_the_predictor_called_again_and_again_is_a_rollout(folder, model):
    ort = pytest.importorskip("onnxruntime")
    run = {name: ort.InferenceSession(folder / "onnx" / f"{name}.onnx").run for name in NETWORKS}
    frames = np.random.default_rng(1).random((2, 5, 16, 16, 3), np.float32)
    observed = model.config.predictor.num_observed
    content, *skips = run["content_encoder"](None, {"frames": frames[:, observed - 1]})
    skips = {f"skip{i}": array for i, array in enumerate(skips)}
    predictor = model.config.predictor
    carry = np.zeros((2, predictor.num_layers, 2, predictor.hidden_dim), np.float32)
    for i in range(observed):
        (pose,) = run["pose_encoder"](None, {"frames": frames[:, i]})
        state = {"pose": pose, "content": content, "carry": carry}
        pose, carry = run["predictor"](None, state)
    generated = []
    for _ in range(7):
        inputs = {"pose": pose, "content": content, **skips}
        generated += run["decoder"](None, inputs)
        pose, carry = run["predictor"](None, {"pose": pose, "content": content, "carry": carry})
    rollout = np.asarray(model.rollout(frames[:, :observed], 7)) / 255
    # Rounded to gray levels.
    np.testing.assert_allclose(np.stack(generated, axis=1), rollout, atol=0.51 / 255)


OTHERS = {
    "dcgan_unet": {"pose_encoder": "resnet"},
    "vgg_unet": {"pose_encoder": "dcgan"},
    "attention": {"pose_encoder": "attention", "normalize": True, "num_slots": 2},
    "slots": {"pose_encoder": "slots", "pose_dim": 4, "num_slots": 2},
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_networks_become_onnx(config, tmp_path, name):
    pytest.importorskip("onnx")
    config.data.image_size, config.data.digit_size = 32, 16
    config.model.update(content_encoder=name, decoder=name, **OTHERS[name])
    run = create_run(config, tmp_path / "none", with_data=False)
    variables = run.variables(run.init_drnet(), run.init_predictor())
    rng = np.random.default_rng(2)
    # As fresh networks have statistics and biases that change nothing.
    variables = jax.tree.map(lambda x: x + np.abs(rng.normal(0, 0.05, x.shape)), variables)
    variables = jax.tree.map(np.float32, variables)
    model = drnet_jax.Model(run, variables, [0, 0])
    inputs, expected = inputs_of(model), expected_of(model)
    for network, program in programs.programs(run, variables).items():
        check_onnx(program.serialized("onnx"), inputs[network], expected[network])


def test_what_has_no_form_in_onnx_is_said():
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match="ONNX export: the operation 'sort' is unknown"):
        onnx_convert.convert(lambda x: (jax.numpy.sort(x),), {"x": (3,)}, ["y"])


def test_unknown_formats_are_refused(trained, tmp_path):
    for formats in (["tflite"], "onnx"):
        with pytest.raises(ValueError, match=r"formats=.*; allowed: a list of some of stablehlo"):
            drnet_jax.export(trained, tmp_path / "new", formats=formats)
    assert not (tmp_path / "new").exists()


def test_the_model_that_ships_and_exported_models_are_exported_again(tmp_path):
    drnet_jax.export("mnist", tmp_path / "copy")
    shipped, copy = drnet_jax.load("mnist"), drnet_jax.load(tmp_path / "copy")
    chex.assert_trees_all_equal(copy.variables, shipped.variables)
    assert copy.scores == shipped.scores
