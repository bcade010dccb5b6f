"""Average pooling over sliding windows. Mirrors torch.nn's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn.functional._pooling import pooling_sizes
from jaxcnn.functional.avg_pooling import check_divisor


class AvgPool1d(nn.Module):
    """Takes the mean over sliding 1-D windows.

    Mirrors `torch.nn.AvgPool1d` on channels-last input.

    Attributes:
      kernel_size: Pixels of a window.
      stride: Steps between windows in pixels. Defaults to `kernel_size`.
      padding: Zeros added on both sides in pixels, at most half of `kernel_size`.
      ceil_mode: Whether a last window may hang over the edge.
      count_include_pad: Whether padding counts in the mean.

    Shape:
      `(n, l, c)` -> `(n, l_out, c)`, `l_out = floor((l + 2*padding - kernel_size) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> AvgPool1d(2).apply({}, jnp.ones((1, 8, 3))).shape
      (1, 4, 3)
    """

    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self) -> None:
        pooling_sizes(1, "AvgPool1d", self.kernel_size, self.stride, self.padding)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.avg_pool1d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        sizes = pooling_sizes(1, "AvgPool1d", self.kernel_size, self.stride, self.padding)
        return "kernel_size={}, stride={}, padding={}".format(*sizes)


class _AvgPool(nn.Module):
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def __post_init__(self) -> None:
        where = type(self).__name__
        pooling_sizes(self._axes, where, self.kernel_size, self.stride, self.padding)
        check_divisor(where, self.divisor_override)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return self._pool(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        stride = self.kernel_size if self.stride is None else self.stride
        return f"kernel_size={self.kernel_size}, stride={stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """Takes the mean over sliding 2-D windows.

    Mirrors `torch.nn.AvgPool2d` on channels-last input.

    Attributes:
      kernel_size: Window height and width in pixels; an int means both.
      stride: Steps between windows in pixels. Defaults to `kernel_size`.
      padding: Zeros added on both sides in pixels, at most half of `kernel_size`.
      ceil_mode: Whether a last window may hang over the edge.
      count_include_pad: Whether padding counts in the mean.
      divisor_override: Divides the sum by this number instead of the window's size.

    Shape:
      `(n, h, w, c)` -> `(n, h_out, w_out, c)`,
      `h_out = floor((h + 2*padding - kernel_size) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range, `padding` is more than half of `kernel_size` or
        `divisor_override` is zero.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> AvgPool2d(2).apply({}, jnp.ones((1, 8, 8, 3))).shape
      (1, 4, 4, 3)
    """

    _axes, _pool = 2, staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """Takes the mean over sliding 3-D windows.

    Mirrors `torch.nn.AvgPool3d` on channels-last input; attributes as in `AvgPool2d`.

    Shape:
      `(n, d, h, w, c)` -> `(n, d_out, h_out, w_out, c)`,
      `d_out = floor((d + 2*padding - kernel_size) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range, `padding` is more than half of `kernel_size` or
        `divisor_override` is zero.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> AvgPool3d(2).apply({}, jnp.ones((1, 4, 6, 8, 3))).shape
      (1, 2, 3, 4, 3)
    """

    _axes, _pool = 3, staticmethod(F.avg_pool3d)
