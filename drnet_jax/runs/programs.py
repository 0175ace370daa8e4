"""A model as programs for other runtimes: its networks in float32, with their weights inside."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import export as jax_export

from drnet_jax.base.arrays import Tree
from drnet_jax.interop import onnx_convert
from drnet_jax.models.content import Content
from drnet_jax.ops import forms
from drnet_jax.runs.run import Run, build_networks

SUFFIXES = {"stablehlo": ".bin", "onnx": ".onnx"}
"""The ends of file names, by format."""

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Where a StableHLO program runs."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A function of float32 arrays `[batch, *]` that returns a tuple of such arrays.

    Attributes:
      function: a function that JAX can trace.
      inputs: the shape of each argument, without the batch, by name.
      outputs: the names of what it returns.
    """

    function: Callable[..., tuple[jax.Array, ...]]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]

    def serialized(self, format: str) -> bytes:
        """Returns the program in `format`, a key of `SUFFIXES`; its batch may have any size.

        Raises:
          ImportError: ONNX without the package onnx.
          ValueError: the converter to ONNX does not know an operation.
        """
        # Traced anew, as a trace that JAX has kept may be for this platform only.
        function = lambda *arrays: self.function(*arrays)  # noqa: E731
        with forms.portable():
            if format == "onnx":
                return onnx_convert.convert(function, self.inputs, self.outputs)
            (batch,) = jax_export.symbolic_shape("batch")
            shapes = [
                jax.ShapeDtypeStruct((batch, *shape), jnp.float32) for shape in self.inputs.values()
            ]
            program = jax_export.export(jax.jit(function), platforms=PLATFORMS)(*shapes)
            return bytes(program.serialize())


def programs(run: Run, variables: Mapping[str, Tree]) -> dict[str, Program]:
    """Returns the programs of a trained model by name, computed in float32.

    They are `content_encoder`, `pose_encoder`, `decoder` and, if the model has one, `predictor`;
    docs/export.md gives their arguments and results.

    Args:
      run: its settings.
      variables: its weights, as `Run.variables` returns them.
    """
    networks, predictor = build_networks(run.config, "float32")
    variables = jax.device_get(variables)
    frame, model = run.frame_shape, run.config.model

    def encode_content(frames):
        content = networks.content_encoder.apply(variables["content_encoder"], frames, train=False)
        return content.vector, *content.skips

    def encode_pose(frames):
        return (networks.pose_encoder.apply(variables["pose_encoder"], frames, train=False),)

    def decode(pose, vector, *skips):
        content = Content(vector, skips)
        return (networks.decoder.apply(variables["decoder"], content, pose, train=False),)

    def predict(pose, vector, carry):
        # Layers are an axis here, so that a caller keeps a single array.
        states = tuple((carry[:, i, 0], carry[:, i, 1]) for i in range(predictor.num_layers))
        inputs = jnp.concatenate([pose, vector], axis=-1)
        states, pose = predictor.apply(variables["predictor"], states, inputs)
        return pose, jnp.stack([jnp.stack(state, axis=1) for state in states], axis=1)

    shapes = jax.eval_shape(encode_content, jax.ShapeDtypeStruct((1, *frame), jnp.float32))
    names = ("content", *(f"skip{i}" for i in range(len(shapes) - 1)))
    content = {name: array.shape[1:] for name, array in zip(names, shapes, strict=True)}
    pose = {"pose": (model.pose_dim,)}
    found = {
        "content_encoder": Program(encode_content, {"frames": frame}, names),
        "pose_encoder": Program(encode_pose, {"frames": frame}, ("pose",)),
        "decoder": Program(decode, pose | content, ("frames",)),
    }
    if predictor:
        carry = {"carry": (predictor.num_layers, 2, predictor.hidden_dim)}
        inputs = pose | {"content": content["content"]} | carry
        found["predictor"] = Program(predict, inputs, ("next_pose", "next_carry"))
    return found
