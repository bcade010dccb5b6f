"""Transposed convolution layers. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype

from jaxcnn import functional as F
from jaxcnn import init
from jaxcnn._checks import check, check_type, is_int
from jaxcnn.functional.conv_transpose import check_output_padding
from jaxcnn.nn.conv import as_images, check_settings, parameters, settings

_FUNCTIONS = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class _ConvTranspose(nn.Module):
    """What ConvTranspose1d, ConvTranspose2d and ConvTranspose3d share."""

    spatial_axes: ClassVar[int]

    in_channels: int
    out_channels: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: int | Sequence[int] = 0
    output_padding: int | Sequence[int] = 0
    groups: int = 1
    bias: bool = True
    dilation: int | Sequence[int] = 1
    padding_mode: str = "zeros"
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)
    weight_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)
    bias_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        where = type(self).__name__
        rule = "padding must be in pixels, not a word"
        check_type(not isinstance(self.padding, str), where, rule, padding=self.padding)
        check_settings(self, self.spatial_axes)
        _check_output_padding(self)
        rule = "padding_mode must be 'zeros'"
        check(self.padding_mode == "zeros", where, rule, padding_mode=self.padding_mode)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any, output_size: Sequence[int] | None = None) -> jax.Array:
        x = as_images(self, x, self.spatial_axes)
        extra = self.output_padding
        if output_size is not None:
            extra = _output_padding(self, x.shape, output_size)
        weight, bias = parameters(self, self.in_channels, self.out_channels // self.groups)
        x, weight, bias = promote_dtype(x, weight, bias, dtype=self.dtype)
        function = _FUNCTIONS[self.spatial_axes]
        return function(
            x, weight, bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return settings(self)


class ConvTranspose1d(_ConvTranspose):
    """Adds up learned kernels, one for each entry: `ConvTranspose2d` with one spatial axis.

    Mirrors `torch.nn.ConvTranspose1d` on channels-last input `(n, l, in_channels)` ->
    `(n, l_out, out_channels)`; the attributes are those of `ConvTranspose2d`.

    Parameters:
      `weight (in_channels, out_channels/groups, k)`, `bias (out_channels,)`.

    Example:
      >>> layer = ConvTranspose1d(3, 8, 4, stride=2, padding=1)
      >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 16, 3)))
      >>> y.shape, variables["params"]["weight"].shape
      ((1, 32, 8), (3, 8, 4))
    """

    spatial_axes = 1


class ConvTranspose2d(_ConvTranspose):
    """Adds up learned kernels, one for each pixel and scaled by it.

    Mirrors `torch.nn.ConvTranspose2d` on channels-last input; torch's `device` and `dtype` are
    left out.

    Attributes:
      in_channels: Channels of the input.
      out_channels: Channels of the output.
      kernel_size: Kernel height and width in pixels; an int means both.
      stride: Steps in the output between the kernels of neighbouring pixels.
      padding: Pixels cut from both sides of the output.
      output_padding: Pixels that the output has more on its bottom and right side; under stride
        or under dilation.
      groups: Groups of channels that do not see each other.
      bias: Whether to add a learned bias.
      dilation: Steps between the taps of the kernel in pixels.
      padding_mode: Only "zeros", as in PyTorch.
      dtype: Computation dtype; None promotes input and parameters.
      param_dtype: Dtype of the parameters.
      weight_init: What the weight starts from; None is PyTorch's choice, below.
      bias_init: What the bias starts from; None is PyTorch's choice.

    Parameters:
      `weight (in_channels, out_channels/groups, kh, kw)`, `bias (out_channels,)`, both from
      U(-b, b), `b = 1 / sqrt(out_channels/groups * kh * kw)`.

    Shape:
      `(n, h, w, in_channels)` -> `(n, h_out, w_out, out_channels)`,
      `h_out = (h - 1)*stride - 2*padding + dilation*(kh - 1) + output_padding + 1`. The call takes
      `output_size=`, `(h_out, w_out)` or a whole channels-last shape, in place of
      `output_padding`: with a stride, inputs of several sizes have one output size.

    Raises:
      ValueError: If a value is out of range, the input does not fit or has no such output size.
      TypeError: If a size is not an integer.

    Example:
      >>> layer = ConvTranspose2d(3, 8, 3, stride=2, padding=1)
      >>> x = jnp.ones((1, 16, 16, 3))
      >>> y, variables = layer.init_with_output(jax.random.key(0), x)
      >>> y.shape, variables["params"]["weight"].shape
      ((1, 31, 31, 8), (3, 8, 3, 3))
      >>> layer.apply(variables, x, output_size=(32, 31)).shape
      (1, 32, 31, 8)
    """

    spatial_axes = 2


class ConvTranspose3d(_ConvTranspose):
    """Adds up learned kernels, one for each voxel: `ConvTranspose2d` with three spatial axes.

    Mirrors `torch.nn.ConvTranspose3d` on channels-last input `(n, d, h, w, in_channels)` ->
    `(n, d_out, h_out, w_out, out_channels)`; the attributes are those of `ConvTranspose2d`.

    Parameters:
      `weight (in_channels, out_channels/groups, kd, kh, kw)`, `bias (out_channels,)`.

    Example:
      >>> layer = ConvTranspose3d(3, 8, 2, stride=2)
      >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 2, 4, 4, 3)))
      >>> y.shape, variables["params"]["weight"].shape
      ((1, 4, 8, 8, 8), (3, 8, 2, 2, 2))
    """

    spatial_axes = 3


# Functions, because linen wraps methods in what is not there yet before __post_init__.
def _check_output_padding(layer: Any) -> None:
    where = type(layer).__name__
    layer.output_padding = check_output_padding(
        where, layer.output_padding, layer.stride, layer.dilation
    )


def _output_padding(
    layer: Any, shape: tuple[int, ...], output_size: Sequence[int]
) -> tuple[int, ...]:
    """What the output needs more than the smallest one to be `output_size`."""
    where, n = type(layer).__name__, layer.spatial_axes
    ok = isinstance(output_size, Sequence) and all(map(is_int, output_size))
    check_type(ok, where, "output_size must be a sequence of ints", output_size=output_size)
    wanted = tuple(output_size[-n - 1 : -1] if len(output_size) == len(shape) else output_size)
    rule = f"output_size must be {n} sizes, or a channels-last shape with {len(shape)} axes"
    check(len(wanted) == n, where, rule, output_size=output_size)
    fields = (layer.stride, layer.padding, layer.dilation, layer.kernel_size)
    smallest = tuple(
        (size - 1) * s - 2 * p + d * (k - 1) + 1
        for size, s, p, d, k in zip(shape[-n - 1 : -1], *fields, strict=True)
    )
    extra = tuple(size - least for size, least in zip(wanted, smallest, strict=True))
    largest = tuple(least + s - 1 for least, s in zip(smallest, layer.stride, strict=True))
    rule = f"output_size must be from {smallest} to {largest} for this input"
    fits = all(0 <= e < s for e, s in zip(extra, layer.stride, strict=True))
    check(fits, where, rule, output_size=output_size, shape=shape)
    return extra
