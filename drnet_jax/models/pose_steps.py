"""The predictor one frame at a time: for rollouts, and to learn from its own predictions.

It computes what `PoseLSTM` does, up to rounding, with fewer matrix products. There is nothing
between the linear embedding and the first layer, so their kernels are multiplied beforehand. What
content adds is the same at every step, and is computed beforehand, too.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from drnet_jax.base.arrays import Tree
from drnet_jax.models.blocks import at_least_float32
from drnet_jax.models.pose_lstm import Carry, PoseLSTM, gated, unroll
from drnet_jax.ops.product import product

Dense = tuple[jax.Array, jax.Array]
"""The kernel `[in, out]` and the bias `[out]`, or `[batch, out]`, of `inputs @ kernel + bias`."""


def stepwise(
    predictor: PoseLSTM, variables: Tree, content: jax.Array
) -> Callable[[Carry, jax.Array], tuple[Carry, jax.Array]]:
    """Returns a function that advances clips by one frame, to be called in a loop.

    Args:
      predictor: the LSTM.
      variables: its parameters.
      content: `[batch, content_dim]`, of each clip.

    Returns:
      `advance(carry, pose) -> (carry, next_pose)`, with poses float32 `[batch, pose_dim]`.
    """
    layers = _merge(predictor, variables, content)

    def advance(carry: Carry, pose: jax.Array) -> tuple[Carry, jax.Array]:
        carry, pose, _ = _advance(predictor, layers, carry, pose)
        return carry, pose

    return advance


def scheduled_sampling(
    predictor: PoseLSTM, variables: Tree, poses: jax.Array, content: jax.Array, given: jax.Array
) -> jax.Array:
    """Predicts every pose from the one before: the true one where `given`, else the prediction.

    Takes the arguments of `teacher_forced`, and bool `[batch, time]`, True at time 0; returns its
    predictions.
    """
    return _predict(predictor, _merge(predictor, variables, content), poses, given)


def _merge(predictor: PoseLSTM, variables: Tree, content: jax.Array) -> list[Dense]:
    """Returns what a step multiplies by: for each layer, and then for the output."""
    params = variables["params"]
    embed, output = params["embed"], params["output"]
    kernel_pose, kernel_content = jnp.split(embed["kernel"], [predictor.pose_dim])
    embedded = embed["bias"]
    if predictor.use_content:
        embedded += content.astype(kernel_content.dtype) @ kernel_content
    layers = []
    for index in range(predictor.num_layers):
        layer = params[f"cell{index}"]
        kernel, bias = layer["kernel_input"], layer["bias_input"] + layer["bias_hidden"]
        if index == 0:
            kernel, bias = kernel_pose @ kernel, embedded @ kernel + bias
        layers.append((jnp.concatenate([kernel, layer["kernel_hidden"]]), bias))
    layers.append((output["kernel"], output["bias"]))
    return jax.tree.map(lambda x: x.astype(predictor.dtype or jnp.float32), layers)


def _advance(
    predictor: PoseLSTM,
    layers: Sequence[Dense],
    carry: Carry,
    pose: jax.Array,
    offsets: Sequence[jax.Array] | None = None,
) -> tuple[Carry, jax.Array, list[jax.Array]]:
    """Advances by one frame; also returns the inputs of all products.

    `offsets`, `[batch, out]` each and all zero, are added to the products, so that the gradients of
    the products are theirs.
    """
    seen = []

    def multiply(*inputs: jax.Array) -> jax.Array:
        kernel, bias = layers[len(seen)]
        offset = offsets[len(seen)] if offsets else 0
        seen.append(jnp.concatenate([x.astype(kernel.dtype) for x in inputs], axis=-1))
        return seen[-1] @ kernel + bias + offset

    x, states = pose, []
    for hidden, cell in carry:
        states.append(gated(multiply(x, hidden), cell))
        x = states[-1][0]
    return tuple(states), predictor.bounded(multiply(x), at_least_float32(pose)), seen


def _loop(
    predictor: PoseLSTM,
    layers: Sequence[Dense],
    poses: jax.Array,
    given: jax.Array,
    offsets: Sequence[jax.Array],
) -> tuple[jax.Array, list[jax.Array]]:
    """Returns predictions `[batch, time, pose_dim]`, and the inputs of products by time.

    `offsets` are `[time, batch, out]`.
    """

    def step(state, inputs):
        carry, predicted = state
        pose, is_given, offsets = inputs
        pose = jnp.where(is_given[:, None], pose, predicted)
        carry, predicted, seen = _advance(predictor, layers, carry, pose, offsets)
        return (carry, predicted), (predicted, seen)

    start = predictor.initial_carry(len(poses)), poses[:, 0]
    # The loop runs over time, the first axis.
    inputs = poses.swapaxes(0, 1), given.T, offsets
    _, (predicted, seen) = jax.lax.scan(step, start, inputs, unroll=unroll())
    return predicted.swapaxes(0, 1), seen


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _predict(
    predictor: PoseLSTM, layers: Sequence[Dense], poses: jax.Array, given: jax.Array
) -> jax.Array:
    """Returns the predictions of `scheduled_sampling`.

    The gradient of a kernel is one product over all steps. Left to automatic differentiation, each
    step would multiply and add to an array as large as the kernel.
    """
    return _predict_forward(predictor, layers, poses, given)[0]


def _predict_forward(predictor, layers, poses, given):
    shape = poses.shape[1], len(poses)
    offsets = [jnp.zeros((*shape, kernel.shape[1]), kernel.dtype) for kernel, _ in layers]
    run = functools.partial(_loop, predictor, layers)
    predicted, backward, seen = jax.vjp(
        lambda poses, offsets: run(poses, given, offsets), poses, offsets, has_aux=True
    )
    return predicted, (backward, seen, layers)


def _predict_backward(predictor, residuals, cotangent):
    backward, seen, layers = residuals
    poses, products = backward(cotangent)  # The gradient of an offset is that of the whole product.
    gradients = []
    for inputs, outputs, (kernel, bias) in zip(seen, products, layers, strict=True):
        # Not reshaped to one axis, as the batch may be split over devices.
        over_kernel, over_bias = (0, 1), (0, 1) if bias.ndim == 1 else (0,)
        gradient = product(inputs, outputs, (over_kernel,) * 2), jnp.sum(outputs, over_bias)
        gradients.append(tuple(x.astype(kernel.dtype) for x in gradient))
    return gradients, poses, None


_predict.defvjp(_predict_forward, _predict_backward)
