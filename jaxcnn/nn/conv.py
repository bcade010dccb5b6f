"""Convolution layers. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype

from jaxcnn import functional as F
from jaxcnn import init
from jaxcnn._checks import check, check_channels, check_int, int_tuple
from jaxcnn.functional.conv import padding_pairs

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
_FUNCTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class _Conv(nn.Module):
    """What Conv1d, Conv2d and Conv3d share."""

    spatial_axes: ClassVar[int]

    in_channels: int
    out_channels: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: str | int | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)
    weight_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)
    bias_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_settings(self, self.spatial_axes)
        rule = f"padding_mode must be one of {_PADDING_MODES}"
        check(self.padding_mode in _PADDING_MODES, where, rule, padding_mode=self.padding_mode)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        x = as_images(self, x, self.spatial_axes)
        weight, bias = parameters(self, self.out_channels, self.in_channels // self.groups)
        x, weight, bias = promote_dtype(x, weight, bias, dtype=self.dtype)
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = _padded(self, x), 0
        function = _FUNCTIONS[self.spatial_axes]
        return function(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return settings(self)


class Conv1d(_Conv):
    """Slides learned kernels over sequences: `Conv2d` with one spatial axis.

    Mirrors `torch.nn.Conv1d` on channels-last input `(n, l, in_channels)` -> `(n, l_out,
    out_channels)`; the attributes are those of `Conv2d`.

    Parameters:
      `weight (out_channels, in_channels/groups, k)`, `bias (out_channels,)`.

    Example:
      >>> layer = Conv1d(3, 8, 5, stride=2, padding=2)
      >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 32, 3)))
      >>> y.shape, variables["params"]["weight"].shape
      ((1, 16, 8), (8, 3, 5))
    """

    spatial_axes = 1


class Conv2d(_Conv):
    """Slides learned kernels over images.

    Mirrors `torch.nn.Conv2d` on channels-last input; torch's `device` and `dtype` are left out.

    Attributes:
      in_channels: Channels of the input.
      out_channels: Channels of the output.
      kernel_size: Kernel height and width in pixels; an int means both.
      stride: Steps between windows in pixels.
      padding: Pixels added on both sides, "valid" (none) or "same" (stride must be 1).
      dilation: Steps between the taps of the kernel in pixels.
      groups: Groups of channels that do not see each other.
      bias: Whether to add a learned bias.
      padding_mode: What padding holds: "zeros", "reflect", "replicate" or "circular".
      dtype: Computation dtype; None promotes input and parameters.
      param_dtype: Dtype of the parameters.
      weight_init: What the weight starts from; None is PyTorch's choice, below.
      bias_init: What the bias starts from; None is PyTorch's choice.

    Parameters:
      `weight (out_channels, in_channels/groups, kh, kw)`, `bias (out_channels,)`, both from
      U(-b, b), `b = 1 / sqrt(in_channels/groups * kh * kw)`.

    Shape:
      `(n, h, w, in_channels)` -> `(n, h_out, w_out, out_channels)`,
      `h_out = floor((h + 2*padding - dilation*(kh - 1) - 1) / stride) + 1`.

    Raises:
      ValueError: If a value is out of range or the input does not fit.
      TypeError: If a size is not an integer.

    Example:
      >>> layer = Conv2d(3, 8, 3, padding=1)
      >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 32, 32, 3)))
      >>> y.shape, variables["params"]["weight"].shape
      ((1, 32, 32, 8), (8, 3, 3, 3))
    """

    spatial_axes = 2


class Conv3d(_Conv):
    """Slides learned kernels over volumes: `Conv2d` with three spatial axes.

    Mirrors `torch.nn.Conv3d` on channels-last input `(n, d, h, w, in_channels)` -> `(n, d_out,
    h_out, w_out, out_channels)`; the attributes are those of `Conv2d`.

    Parameters:
      `weight (out_channels, in_channels/groups, kd, kh, kw)`, `bias (out_channels,)`.

    Example:
      >>> layer = Conv3d(3, 8, 3, padding="same")
      >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 4, 6, 6, 3)))
      >>> y.shape, variables["params"]["weight"].shape
      ((1, 4, 6, 6, 8), (8, 3, 3, 3, 3))
    """

    spatial_axes = 3


# Functions, because linen wraps methods in what is not there yet before __post_init__.
def check_settings(layer: Any, n: int) -> None:
    """Checks the fields that all convolution layers have; sizes become tuples of `n`, as in torch.

    Raises:
      ValueError: If a value is out of range.
      TypeError: If a size is not an integer.
    """
    where = type(layer).__name__
    for field in ("in_channels", "out_channels", "groups"):
        check_int(where, field, getattr(layer, field), 1)
    for field in ("in_channels", "out_channels"):
        value = getattr(layer, field)
        rule = f"{field} must be divisible by groups"
        check(value % layer.groups == 0, where, rule, **{field: value, "groups": layer.groups})
    for field in ("kernel_size", "stride", "dilation"):
        setattr(layer, field, int_tuple(getattr(layer, field), n, where, field, 1))
    if isinstance(layer.padding, str):
        padding_pairs(where, layer.padding, layer.kernel_size, layer.stride, layer.dilation)
    else:
        layer.padding = int_tuple(layer.padding, n, where, "padding", 0)


def as_images(layer: Any, x: Any, n: int) -> jax.Array:
    """The input as an array, with its channels and `n` spatial axes checked.

    Raises:
      ValueError: If the input does not fit.
    """
    x = jnp.asarray(x)
    where, axes = type(layer).__name__, ("l", "h, w", "d, h, w")[n - 1]
    rule = f"input must be (n, {axes}, c) or ({axes}, c)"
    check(x.ndim in (n + 1, n + 2), where, rule, shape=x.shape)
    check_channels(where, x.shape, layer.in_channels, n)
    return x


def parameters(layer: Any, *channels: int) -> tuple[jax.Array, jax.Array | None]:
    """The weight `(*channels, *kernel)` and the bias, by default as PyTorch initialises them."""
    shape = (*channels, *layer.kernel_size)
    weight_init = layer.weight_init or init.default_weight
    weight = layer.param("weight", weight_init, shape, layer.param_dtype)
    if not layer.bias:
        return weight, None
    bias_init = layer.bias_init or init.default_bias(math.prod(shape[1:]))
    return weight, layer.param("bias", bias_init, (layer.out_channels,), layer.param_dtype)


def settings(layer: Any) -> str:
    """What torch prints of a convolution layer: the first fields, and those that are not usual."""
    kernel, stride = layer.kernel_size, layer.stride
    text = f"{layer.in_channels}, {layer.out_channels}, kernel_size={kernel}, stride={stride}"
    usual = {
        "padding": (0,) * len(kernel),
        "dilation": (1,) * len(kernel),
        "output_padding": (0,) * len(kernel),
        "groups": 1,
        "bias": True,
        "padding_mode": "zeros",
    }
    values = {name: getattr(layer, name, value) for name, value in usual.items()}
    return text + "".join(f", {k}={v}" for k, v in values.items() if v != usual[k])


def _padded(layer: Any, x: jax.Array) -> jax.Array:
    """Pads by `padding_mode`."""
    images = x.reshape(-1, *x.shape[-layer.spatial_axes - 1 :])
    where = type(layer).__name__
    pads = padding_pairs(where, layer.padding, layer.kernel_size, layer.stride, layer.dilation)
    widths = [side for pair in reversed(pads) for side in pair]
    images = F.pad(images, widths, layer.padding_mode)
    return images.reshape(*x.shape[: -layer.spatial_axes - 1], *images.shape[1:])
