"""Strided convolution and its transpose, in the form that each platform runs fastest.

Both are written with three linear maps that share one kernel `[height, width, large, small]`,
where `large` and `small` are the channels on the side with the larger and the smaller maps:
the convolution itself, its input gradient and its kernel gradient. The transposed convolution *is*
the input gradient, so its own kernel gradient is the convolution's with the two arguments swapped.
Left to automatic differentiation it takes a form that XLA runs as a naive loop nest on CPU.
`_FORMS` says which form of each map runs where; all forms of a map compute the same numbers up to
rounding.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

from drnet_jax.ops import forms, patches, winograd
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
      strides: step of the kernel along both axes.
      padding: zeros on each of the four sides.

    Returns:
      `[batch, height', width', small]`.
    """
    layer = _Layer(maps.shape, kernel.shape, strides, padding, maps.dtype.itemsize)
    return _apply("convolve", layer, maps, kernel)


def _convolve_forward(maps, kernel, strides, padding):
    return convolve(maps, kernel, strides, padding), (maps, kernel)


def _convolve_backward(strides, padding, residuals, cotangent):
    maps, kernel = residuals
    layer = _Layer(maps.shape, kernel.shape, strides, padding, maps.dtype.itemsize)
    return (
        _apply("input_gradient", layer, cotangent, kernel),
        _apply("kernel_gradient", layer, maps, cotangent),
    )


convolve.defvjp(_convolve_forward, _convolve_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_transposed(
    maps: jax.Array, kernel: jax.Array, strides: int, padding: int
) -> jax.Array:
    """Returns the transpose of `convolve` in its first argument, applied to `maps`.

    Args:
      maps: `[batch, height, width, small]`.
      kernel: `[kernel_height, kernel_width, large, small]`, that of the matching `convolve`.
      strides: those of the matching `convolve`.
      padding: that of the matching `convolve`; it is cut off here.

    Returns:
      `[batch, height', width', large]`; `height' = (height - 1) strides + kernel - 2 padding`.
    """
    return _apply("input_gradient", _transposed(maps, kernel, strides, padding), maps, kernel)


def _transposed_forward(maps, kernel, strides, padding):
    return convolve_transposed(maps, kernel, strides, padding), (maps, kernel)


def _transposed_backward(strides, padding, residuals, cotangent):
    maps, kernel = residuals
    layer = _transposed(maps, kernel, strides, padding)
    return (
        _apply("convolve", layer, cotangent, kernel),
        _apply("kernel_gradient", layer, cotangent, maps),
    )


convolve_transposed.defvjp(_transposed_forward, _transposed_backward)


class _Layer(NamedTuple):
    """The properties of a convolution that decide on its forms.

    Attributes:
      large: shape of the larger maps, `[batch, height, width, large]`.
      kernel: `[kernel_height, kernel_width, large, small]`.
      strides: step of the kernel along both axes.
      padding: zeros on each of the four sides.
      itemsize: bytes of one number.
    """

    large: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: int
    padding: int
    itemsize: int

    @property
    def missing_channels(self) -> int:
        """Channels that have to be added to frames and the like for a GPU's matrix units.

        cuDNN's fast kernels read 16 bytes of a pixel at once. Even padded to these, frames are the
        slowest layer (docs/performance.md), so products of patches come first where there are any.
        """
        return max(0, 16 // self.itemsize - self.large[3])

    def makes_one_pixel(self) -> bool:
        return self.padding == 0 and self.large[1:3] == self.kernel[:2]

    def halves(self) -> bool:
        """Whether this is the DCGAN's convolution of even maps, for which there are other forms."""
        even = self.large[1] % 2 == 0 and self.large[2] % 2 == 0
        return even and self.kernel[:2] == (4, 4) and self.strides == 2 and self.padding == 1

    def fits_winograd(self) -> bool:
        return winograd.fits(self.large)

    def has_few_channels(self) -> bool:
        return self.missing_channels > 0

    def has_few_pixels(self) -> bool:
        return patches.fits_kernel_gradient(self.large)


def _transposed(small: jax.Array, kernel: jax.Array, strides: int, padding: int) -> _Layer:
    """Returns the convolution that makes `small` out of the smallest possible maps."""
    sides = [
        (side - 1) * strides + size - 2 * padding
        for side, size in zip(small.shape[1:3], kernel.shape[:2], strict=True)
    ]
    large = (small.shape[0], *sides, kernel.shape[2])
    return _Layer(large, kernel.shape, strides, padding, small.dtype.itemsize)


def _plain_convolve(layer: _Layer, large: jax.Array, kernel: jax.Array) -> jax.Array:
    pads = ((layer.padding, layer.padding),) * 2
    return lax.conv_general_dilated(
        large, kernel, (layer.strides, layer.strides), pads, dimension_numbers=_AXES
    )


def _plain_input_gradient(layer: _Layer, small: jax.Array, kernel: jax.Array) -> jax.Array:
    # With the kernel's channels, which may be padded.
    large = jax.ShapeDtypeStruct((*layer.large[:3], kernel.shape[2]), small.dtype)
    forward = functools.partial(_plain_convolve, layer, kernel=kernel)
    return jax.linear_transpose(forward, large)(small)[0]


def _plain_kernel_gradient(layer: _Layer, large: jax.Array, small: jax.Array) -> jax.Array:
    # With the channels of the maps, which may be padded.
    shape = (*layer.kernel[:2], large.shape[3], layer.kernel[3])
    forward = functools.partial(_plain_convolve, layer, large)
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(shape, small.dtype))(small)[0]


def _pad_channels(layer: _Layer, array: jax.Array, axis: int) -> jax.Array:
    pads = [(0, 0)] * array.ndim
    pads[axis] = (0, layer.missing_channels)
    return jnp.pad(array, pads)


def _padded_convolve(layer: _Layer, large: jax.Array, kernel: jax.Array) -> jax.Array:
    return _plain_convolve(layer, _pad_channels(layer, large, 3), _pad_channels(layer, kernel, 2))


def _padded_input_gradient(layer: _Layer, small: jax.Array, kernel: jax.Array) -> jax.Array:
    padded = _plain_input_gradient(layer, small, _pad_channels(layer, kernel, 2))
    return padded[..., : layer.large[3]]


def _padded_kernel_gradient(layer: _Layer, large: jax.Array, small: jax.Array) -> jax.Array:
    padded = _plain_kernel_gradient(layer, _pad_channels(layer, large, 3), small)
    return padded[:, :, : layer.large[3]]


# Where the result has one pixel, each map is a matrix product of flat maps, [batch, height * width
# * large], and the flat kernel: never slower, and without a change of layout.


def _pixel_convolve(layer: _Layer, large: jax.Array, kernel: jax.Array) -> jax.Array:
    flat = product(large.reshape(large.shape[0], -1), kernel.reshape(-1, layer.kernel[3]), (1, 0))
    return flat[:, None, None].astype(large.dtype)


def _pixel_input_gradient(layer: _Layer, small: jax.Array, kernel: jax.Array) -> jax.Array:
    flat = product(small[:, 0, 0], kernel.reshape(-1, layer.kernel[3]), (1, 1))
    return flat.reshape(-1, *layer.kernel[:3]).astype(small.dtype)


def _pixel_kernel_gradient(layer: _Layer, large: jax.Array, small: jax.Array) -> jax.Array:
    flat = product(large.reshape(large.shape[0], -1), small[:, 0, 0], (0, 0))
    return flat.reshape(layer.kernel).astype(small.dtype)


def _fixed(form: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable:
    """Returns `form`, which is for one kernel size and stride only, as the table calls it."""
    return lambda layer, left, right: form(left, right)


# Each platform takes the first form that is for it and whose conditions hold.
_FORMS = {
    "convolve": [
        ("any", [_Layer.makes_one_pixel], _pixel_convolve),
        ("cpu", [_Layer.halves, _Layer.fits_winograd], _fixed(winograd.convolve)),
        ("cuda", [_Layer.halves, _Layer.has_few_channels], _fixed(patches.convolve)),
        ("cuda", [_Layer.has_few_channels], _padded_convolve),
        ("any", [], _plain_convolve),
    ],
    "input_gradient": [
        ("any", [_Layer.makes_one_pixel], _pixel_input_gradient),
        ("cpu", [_Layer.halves, _Layer.fits_winograd], _fixed(winograd.input_gradient)),
        ("cpu", [_Layer.halves], _fixed(patches.input_gradient)),
        ("cuda", [_Layer.has_few_channels], _padded_input_gradient),
        ("any", [], _plain_input_gradient),
    ],
    "kernel_gradient": [
        ("any", [_Layer.makes_one_pixel], _pixel_kernel_gradient),
        ("cpu", [_Layer.halves, _Layer.fits_winograd], _fixed(winograd.kernel_gradient)),
        ("cuda", [_Layer.halves, _Layer.has_few_channels], _fixed(patches.kernel_gradient)),
        ("cuda", [_Layer.halves, _Layer.has_few_pixels], _fixed(patches.kernel_gradient)),
        ("cuda", [_Layer.has_few_channels], _padded_kernel_gradient),
        ("any", [], _plain_kernel_gradient),
    ],
}


def _choose(name: str, platform: str, layer: _Layer) -> Callable:
    """Returns the form of map `name` for `layer` on `platform`."""
    return next(
        form
        for where, conditions, form in _FORMS[name]
        if where in (platform, "any") and all(holds(layer) for holds in conditions)
    )


def _apply(name: str, layer: _Layer, left: jax.Array, right: jax.Array) -> jax.Array:
    """Returns map `name` of its two operands, in the form for the platform that runs it."""
    platforms = ("default",) if forms.is_portable() else ("cpu", "cuda", "default")
    chosen = {platform: _choose(name, platform, layer) for platform in platforms}
    # Without a choice there is nothing to leave to XLA.
    if len(set(chosen.values())) == 1:
        return chosen["default"](layer, left, right)
    branches = {platform: functools.partial(form, layer) for platform, form in chosen.items()}
    return forms.by_platform(left, right, **branches)


class Conv(nn.Module):
    """Convolution of maps `[batch, height, width, in]`; kernel `[k, k, in, features]`.

    Kernels start from N(0, 0.02), biases from 0; parameters are float32, and `dtype` is that of the
    computation (None: that of parameters and input together).
    """

    features: int
    kernel_size: int
    strides: int = 1
    padding: int = 0
    use_bias: bool = True
    dtype: Dtype = None

    operation = staticmethod(convolve)

    def kernel_channels(self, num_inputs: int) -> tuple[int, int]:
        """Returns the kernel's last two axes: the larger maps' channels, then the smaller maps'."""
        return num_inputs, self.features

    @nn.compact
    def __call__(self, maps: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, *self.kernel_channels(maps.shape[-1]))
        kernel = self.param("kernel", KERNEL_INIT, shape, jnp.float32)
        zeros, bias = nn.initializers.zeros, None
        if self.use_bias:
            bias = self.param("bias", zeros, (self.features,), jnp.float32)
        maps, kernel, bias = promote_dtype(maps, kernel, bias, dtype=self.dtype)
        out = self.operation(maps, kernel, self.strides, self.padding)
        return out if bias is None else _add_bias(out, bias)


class ConvTranspose(Conv):
    """Transposed convolution; kernel `[k, k, features, in]`, the layout of the matching `Conv`."""

    operation = staticmethod(convolve_transposed)

    def kernel_channels(self, num_inputs: int) -> tuple[int, int]:
        return self.features, num_inputs


def _add_bias(maps: jax.Array, bias: jax.Array) -> jax.Array:
    # Line by line, [batch, height, width * channels]: GPUs are slow to sum the gradient of many
    # pixels in a handful of channels. The barrier keeps XLA from joining the two sums.
    line = lax.optimization_barrier(jnp.tile(bias, maps.shape[2]))
    lines = maps.reshape(*maps.shape[:2], -1) + line
    return lines.reshape(maps.shape)
