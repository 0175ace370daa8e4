"""Strided convolution and its transpose: the same numbers, and no slow form, on every platform.

Both are written with three linear maps that share one kernel `[height, width, large, small]`,
where `large` and `small` are the channels on the side with the larger and the smaller maps:
the convolution itself, its input gradient and its kernel gradient. The transposed convolution *is*
the input gradient, so its own kernel gradient is the convolution's with the two arguments swapped.
Left to automatic differentiation it takes a form that XLA runs as a naive loop nest on CPU.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

Dtype = jnp.dtype | type | None
KERNEL_INIT = nn.initializers.normal(0.02)  # Source: PyTorch release, utils.py, init_weights.
_AXES = ("NHWC", "HWIO", "NHWC")


def convolve(maps: jax.Array, kernel: jax.Array, strides: int, padding: int) -> jax.Array:
    """Returns the strided correlation of `maps` with `kernel`.

    Args:
      maps: `[batch, height, width, large]`.
      kernel: `[kernel_height, kernel_width, large, small]`.
      strides: of both axes.
      padding: zeros on each of the four sides.

    Returns:
      `[batch, height', width', small]`.
    """
    if padding == 0 and maps.shape[1:3] == kernel.shape[:2]:
        # One output pixel: a matrix product, which is never slower and needs no layout change.
        flat = maps.reshape(maps.shape[0], -1) @ kernel.reshape(-1, kernel.shape[3])
        return flat[:, None, None]
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(maps, kernel, (strides, strides), pads, dimension_numbers=_AXES)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_transposed(
    maps: jax.Array, kernel: jax.Array, strides: int, padding: int
) -> jax.Array:
    """Returns the transpose of `convolve` in its first argument, applied to `maps`.

    Args:
      maps: `[batch, height, width, small]`.
      kernel: `[kernel_height, kernel_width, large, small]`, as of the matching `convolve`.
      strides: of the matching `convolve`.
      padding: of the matching `convolve`; cut off here.

    Returns:
      `[batch, height', width', large]`; `height' = (height - 1) strides + kernel - 2 padding`.
    """
    return _input_gradient(maps, kernel, strides, padding)


def _transposed_forward(maps, kernel, strides, padding):
    return _input_gradient(maps, kernel, strides, padding), (maps, kernel)


def _transposed_backward(strides, padding, residuals, cotangent):
    maps, kernel = residuals
    grad_maps = convolve(cotangent, kernel, strides, padding)
    return grad_maps, _kernel_gradient(cotangent, maps, kernel.shape, strides, padding)


convolve_transposed.defvjp(_transposed_forward, _transposed_backward)


def _kernel_gradient(large, small, shape, strides, padding):
    """Transpose of `convolve(large, kernel)` in `kernel` of `shape`, applied to `small`."""
    kernel = jax.ShapeDtypeStruct(shape, small.dtype)
    (grad,) = jax.linear_transpose(
        lambda kernel: convolve(large, kernel, strides, padding), kernel
    )(small)
    return grad


def _input_gradient(small, kernel, strides, padding):
    """Transpose of `convolve(large, kernel)` in `large`, applied to `small`."""
    form: Callable = functools.partial(_lax_input_gradient, strides=strides, padding=padding)
    if small.shape[1:3] == (1, 1) and padding == 0:
        return _one_pixel_input_gradient(small, kernel)
    if kernel.shape[:2] == (4, 4) and strides == 2 and padding == 1:
        return lax.platform_dependent(small, kernel, cpu=_overlap_add, default=form)
    return form(small, kernel)


def _lax_input_gradient(small, kernel, strides, padding):
    batch, height, width, _ = small.shape
    sides = [
        (side - 1) * strides + size - 2 * padding
        for side, size in zip((height, width), kernel.shape[:2], strict=True)
    ]
    large = jax.ShapeDtypeStruct((batch, *sides, kernel.shape[2]), small.dtype)
    (out,) = jax.linear_transpose(lambda large: convolve(large, kernel, strides, padding), large)(
        small
    )
    return out


def _one_pixel_input_gradient(small, kernel):
    height, width, large, channels = kernel.shape
    flat = small[:, 0, 0] @ kernel.reshape(-1, channels).T
    return flat.reshape(-1, height, width, large)


def _overlap_add(small, kernel):
    """Input gradient of the 4x4 convolution of stride 2, padding 1, as one matrix product.

    On CPU it costs the same as the convolution, and keeps its speed inside `lax.scan` and
    `lax.map`, where a convolution loses more than ten times.
    """
    batch, height, width, channels = small.shape
    large = kernel.shape[2]
    patches = small.reshape(-1, channels) @ kernel.reshape(-1, channels).T
    # Kernel row 2i + p adds to row 2(h + i) + p of the padded output: `i` moves by whole blocks.
    patches = patches.reshape(batch, height, width, 2, 2, 2, 2, large)  # [.., i, p, j, q, large]
    total = 0.0
    for i in (0, 1):
        for j in (0, 1):
            shift = ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0), (0, 0), (0, 0))
            total += jnp.pad(patches[:, :, :, i, :, j], shift)
    # [batch, height + 1, width + 1, p, q, large]: interleave the blocks, then cut the padding.
    total = total.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height + 2, 2 * width + 2, large)
    return total[:, 1:-1, 1:-1]


class Conv(nn.Module):
    """Convolution of maps `[batch, height, width, in]`; kernel `[k, k, in, features]`.

    Kernels start from N(0, 0.02), biases from 0; parameters are float32, `dtype` is what is
    computed in (None: that of parameters and input together).
    """

    features: int
    kernel_size: int
    strides: int = 1
    padding: int = 0
    use_bias: bool = True
    dtype: Dtype = None

    @nn.compact
    def __call__(self, maps: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, maps.shape[-1], self.features)
        kernel = self.param("kernel", KERNEL_INIT, shape, jnp.float32)
        bias = _bias(self)
        maps, kernel, bias = promote_dtype(maps, kernel, bias, dtype=self.dtype)
        out = convolve(maps, kernel, self.strides, self.padding)
        return out if bias is None else out + bias


class ConvTranspose(nn.Module):
    """Transposed convolution; kernel `[k, k, features, in]`, the layout of the matching `Conv`."""

    features: int
    kernel_size: int
    strides: int = 1
    padding: int = 0
    use_bias: bool = True
    dtype: Dtype = None

    @nn.compact
    def __call__(self, maps: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, self.features, maps.shape[-1])
        kernel = self.param("kernel", KERNEL_INIT, shape, jnp.float32)
        bias = _bias(self)
        maps, kernel, bias = promote_dtype(maps, kernel, bias, dtype=self.dtype)
        out = convolve_transposed(maps, kernel, self.strides, self.padding)
        return out if bias is None else out + bias


def _bias(module: Conv | ConvTranspose) -> jax.Array | None:
    if not module.use_bias:
        return None
    return module.param("bias", nn.initializers.zeros, (module.features,), jnp.float32)
