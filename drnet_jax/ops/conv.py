"""Strided convolution and its transpose: the same numbers, and no slow form, on every platform.

Both are written with three linear maps that share one kernel `[height, width, large, small]`,
where `large` and `small` are the channels on the side with the larger and the smaller maps:
the convolution itself, its input gradient and its kernel gradient. The transposed convolution *is*
the input gradient, so its own kernel gradient is the convolution's with the two arguments swapped.
Left to automatic differentiation it takes a form that XLA runs as a naive loop nest on CPU. On
TPU and GPU all three are plain convolutions, but for frames and the smallest maps on GPUs; on CPU
the large ones take fewer multiplications.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

from drnet_jax.ops import patches, winograd, winograd3
from drnet_jax.ops.product import product

Dtype = jnp.dtype | type | None
KERNEL_INIT = nn.initializers.normal(0.02)  # Source: PyTorch release, utils.py, init_weights.
_AXES = ("NHWC", "HWIO", "NHWC")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
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
    return _correlate(maps, kernel, strides, padding)


def _convolve_forward(maps, kernel, strides, padding):
    return _correlate(maps, kernel, strides, padding), (maps, kernel)


def _convolve_backward(strides, padding, residuals, cotangent):
    maps, kernel = residuals
    grad_maps = _input_gradient(cotangent, kernel, strides, padding, maps.shape)
    return grad_maps, _kernel_gradient(maps, cotangent, kernel.shape, strides, padding)


convolve.defvjp(_convolve_forward, _convolve_backward)


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
    shape = _transposed_shape(maps, kernel, strides, padding)
    return _input_gradient(maps, kernel, strides, padding, shape)


def _transposed_forward(maps, kernel, strides, padding):
    return convolve_transposed(maps, kernel, strides, padding), (maps, kernel)


def _transposed_backward(strides, padding, residuals, cotangent):
    maps, kernel = residuals
    grad_maps = _correlate(cotangent, kernel, strides, padding)
    return grad_maps, _kernel_gradient(cotangent, maps, kernel.shape, strides, padding)


convolve_transposed.defvjp(_transposed_forward, _transposed_backward)


def _transposed_shape(small, kernel, strides, padding) -> tuple[int, ...]:
    """Returns the shape of the smallest maps that `convolve` would make into `small`."""
    sides = [
        (side - 1) * strides + size - 2 * padding
        for side, size in zip(small.shape[1:3], kernel.shape[:2], strict=True)
    ]
    return (small.shape[0], *sides, kernel.shape[2])


def _is_halving(
    kernel_shape: tuple[int, ...], strides: int, padding: int, large_shape: tuple[int, ...]
) -> bool:
    """Returns whether this is the DCGAN's convolution, which there are other forms of."""
    even = large_shape[1] % 2 == 0 and large_shape[2] % 2 == 0
    return even and kernel_shape[:2] == (4, 4) and strides == 2 and padding == 1


def _keeps_side(kernel_shape: tuple[int, ...], strides: int, padding: int) -> bool:
    """Returns whether this is the convolution of VGG and ResNet, which CPUs have a form for."""
    return kernel_shape[:2] == (3, 3) and strides == 1 and padding == 1


def _correlate(large, kernel, strides, padding):
    """The convolution itself."""
    if padding == 0 and large.shape[1:3] == kernel.shape[:2]:
        # One output pixel: a matrix product, which is never slower and needs no layout change.
        flat = large.reshape(large.shape[0], -1)
        flat = product(flat, kernel.reshape(-1, kernel.shape[3]), (1, 0))
        return flat[:, None, None].astype(large.dtype)
    plain = functools.partial(_lax_correlate, strides=strides, padding=padding)
    on_cpu = on_gpu = plain
    if _is_halving(kernel.shape, strides, padding, large.shape) and winograd.fits(large.shape):
        on_cpu = winograd.convolve
    elif _keeps_side(kernel.shape, strides, padding) and winograd3.fits(
        large.shape, kernel.shape[3]
    ):
        on_cpu = winograd3.convolve
    if _missing_channels(large):
        if _is_halving(kernel.shape, strides, padding, large.shape):
            on_gpu = patches.convolve
        else:

            def on_gpu(large, kernel):
                return plain(_pad_channels(large, 3), _pad_channels(kernel, 2))

    return _by_platform((large, kernel), plain, on_cpu, on_gpu)


def _kernel_gradient(large, small, kernel_shape, strides, padding):
    """Transpose of `convolve(large, kernel)` in `kernel`, applied to `small`."""
    if padding == 0 and large.shape[1:3] == kernel_shape[:2]:
        flat = product(large.reshape(large.shape[0], -1), small[:, 0, 0], (0, 0))
        return flat.reshape(kernel_shape).astype(small.dtype)

    def plain(large, small):
        shape = (*kernel_shape[:2], large.shape[3], kernel_shape[3])
        kernel = jax.ShapeDtypeStruct(shape, small.dtype)
        correlate = functools.partial(_lax_correlate, large, strides=strides, padding=padding)
        (gradient,) = jax.linear_transpose(correlate, kernel)(small)
        return gradient

    on_cpu = on_gpu = plain
    if _is_halving(kernel_shape, strides, padding, large.shape):
        if winograd.fits(large.shape):
            on_cpu = winograd.kernel_gradient
        if _missing_channels(large) or patches.fits_kernel_gradient(large.shape):
            on_gpu = patches.kernel_gradient
    elif _keeps_side(kernel_shape, strides, padding) and winograd3.fits_kernel_gradient(
        large.shape, kernel_shape[3]
    ):
        on_cpu = winograd3.kernel_gradient
    if on_gpu is plain and _missing_channels(large):

        def on_gpu(large, small):
            return plain(_pad_channels(large, 3), small)[:, :, : large.shape[3]]

    return _by_platform((large, small), plain, on_cpu, on_gpu)


def _input_gradient(small, kernel, strides, padding, large_shape):
    """Transpose of `convolve(large, kernel)` in `large` of `large_shape`, applied to `small`."""
    if padding == 0 and large_shape[1:3] == kernel.shape[:2]:
        return _one_pixel_input_gradient(small, kernel)

    def plain(small, kernel):
        large = jax.ShapeDtypeStruct((*large_shape[:3], kernel.shape[2]), small.dtype)
        correlate = functools.partial(
            _lax_correlate, kernel=kernel, strides=strides, padding=padding
        )
        (gradient,) = jax.linear_transpose(correlate, large)(small)
        return gradient

    on_cpu = on_gpu = plain
    if _is_halving(kernel.shape, strides, padding, large_shape):
        on_cpu = winograd.input_gradient if winograd.fits(large_shape) else patches.input_gradient
    elif _keeps_side(kernel.shape, strides, padding) and winograd3.fits(
        large_shape, kernel.shape[3]
    ):
        on_cpu = winograd3.input_gradient
    if _missing_channels(kernel, axis=2):

        def on_gpu(small, kernel):
            return plain(small, _pad_channels(kernel, 2))[..., : kernel.shape[2]]

    return _by_platform((small, kernel), plain, on_cpu, on_gpu)


def _lax_correlate(large, kernel, strides, padding):
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(
        large, kernel, (strides, strides), pads, dimension_numbers=_AXES
    )


def _by_platform(operands, plain, on_cpu, on_gpu):
    """Returns `plain(*operands)`, or what is the same and faster on the platform at hand."""
    if on_cpu is plain and on_gpu is plain:
        return plain(*operands)
    return lax.platform_dependent(*operands, cpu=on_cpu, cuda=on_gpu, default=plain)


def _missing_channels(maps: jax.Array, axis: int = 3) -> int:
    """Returns how many channels maps of few, such as frames, lack for a GPU's matrix units.

    cuDNN's fast kernels read 16 bytes a pixel. With less, or padded, frames are the slowest layer
    of all (docs/performance.md): products of patches take their place where there are such.
    """
    return max(0, 16 // maps.dtype.itemsize - maps.shape[axis])


def _pad_channels(maps: jax.Array, axis: int) -> jax.Array:
    pads = [(0, 0)] * maps.ndim
    pads[axis] = (0, _missing_channels(maps, axis))
    return jnp.pad(maps, pads)


def _one_pixel_input_gradient(small, kernel):
    height, width, large, channels = kernel.shape
    flat = product(small[:, 0, 0], kernel.reshape(-1, channels), (1, 1))
    return flat.reshape(-1, height, width, large).astype(small.dtype)


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
        return out if bias is None else _add_bias(out, bias)


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
        return out if bias is None else _add_bias(out, bias)


def _bias(module: Conv | ConvTranspose) -> jax.Array | None:
    if not module.use_bias:
        return None
    return module.param("bias", nn.initializers.zeros, (module.features,), jnp.float32)


def _add_bias(maps: jax.Array, bias: jax.Array) -> jax.Array:
    # Line by line: GPUs are slow to sum the gradient of many pixels in a handful of channels.
    # The barrier keeps XLA from joining the two sums.
    line = lax.optimization_barrier(jnp.tile(bias, maps.shape[2]))
    lines = maps.reshape(*maps.shape[:2], -1) + line
    return lines.reshape(maps.shape)
