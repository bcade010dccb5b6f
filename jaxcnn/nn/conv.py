"""Convolution layers. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

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


class Conv2d(nn.Module):
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

    def __post_init__(self) -> None:
        for field in ("in_channels", "out_channels", "groups"):
            check_int("Conv2d", field, getattr(self, field), 1)
        for field in ("in_channels", "out_channels"):
            value = getattr(self, field)
            rule = f"{field} must be divisible by groups"
            ok = value % self.groups == 0
            check(ok, "Conv2d", rule, **{field: value, "groups": self.groups})
        rule = f"padding_mode must be one of {_PADDING_MODES}"
        check(self.padding_mode in _PADDING_MODES, "Conv2d", rule, padding_mode=self.padding_mode)
        _sizes(self)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        x = jnp.asarray(x)
        check(x.ndim in (3, 4), "Conv2d", "input must be (n, h, w, c) or (h, w, c)", shape=x.shape)
        check_channels("Conv2d", x.shape, self.in_channels, 2)
        kernel, _, _, pads = _sizes(self)
        shape = (self.out_channels, self.in_channels // self.groups, *kernel)
        weight = self.param("weight", init.default_weight, shape, self.param_dtype)
        bias = None
        if self.bias:
            initializer = init.default_bias(math.prod(shape[1:]))
            bias = self.param("bias", initializer, (self.out_channels,), self.param_dtype)
        x, weight, bias = promote_dtype(x, weight, bias, dtype=self.dtype)
        padding = self.padding
        if self.padding_mode != "zeros":
            images = x.reshape(-1, *x.shape[-3:])
            widths = [side for pair in reversed(pads) for side in pair]
            images = F.pad(images, widths, self.padding_mode)
            x, padding = images.reshape(*x.shape[:-3], *images.shape[1:]), 0
        return F.conv2d(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        kernel, stride, dilation, _ = _sizes(self)
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={kernel}, stride={stride}"
        if isinstance(self.padding, str):
            text += f", padding={self.padding}"
        elif (padding := int_tuple(self.padding, 2, "Conv2d", "padding", 0)) != (0, 0):
            text += f", padding={padding}"
        text += f", dilation={dilation}" if dilation != (1, 1) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += "" if self.bias else ", bias=False"
        return text + (
            f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else ""
        )


# A function, because linen wraps methods in what is not there yet before __post_init__.
def _sizes(layer: Conv2d) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Any]:
    kernel = int_tuple(layer.kernel_size, 2, "Conv2d", "kernel_size", 1)
    stride = int_tuple(layer.stride, 2, "Conv2d", "stride", 1)
    dilation = int_tuple(layer.dilation, 2, "Conv2d", "dilation", 1)
    pads = padding_pairs("Conv2d", layer.padding, kernel, stride, dilation)
    return kernel, stride, dilation, pads
