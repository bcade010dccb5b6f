"""Pooling layers. Mirrors torch.nn's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn.functional.pooling import check_divisor, pooling_sizes


class MaxPool2d(nn.Module):
    """Takes the maximum over sliding 2-D windows.

    Mirrors `torch.nn.MaxPool2d` on channels-last input.

    Attributes:
      kernel_size: Window height and width in pixels; an int means both.
      stride: Steps between windows in pixels. Defaults to `kernel_size`.
      padding: Pixels of -inf added on both sides, at most half of `kernel_size`.
      dilation: Steps between the pixels of one window.
      return_indices: Whether to return also the flat position (row*w + column) of each maximum.
      ceil_mode: Whether a last window may hang over the edge.

    Shape:
      `(n, h, w, c)` -> `(n, h_out, w_out, c)`,
      `h_out = floor((h + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> MaxPool2d(2).apply({}, jnp.ones((1, 8, 8, 3))).shape
      (1, 4, 4, 3)
    """

    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    return_indices: bool = False
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        pooling_sizes("MaxPool2d", self.kernel_size, self.stride, self.padding, self.dilation)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array | tuple[jax.Array, jax.Array]:
        return F.max_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return (
            f"kernel_size={_shown(self.kernel_size)}, stride={_shown_stride(self)}, "
            f"padding={_shown(self.padding)}, dilation={_shown(self.dilation)}, "
            f"ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(nn.Module):
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

    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def __post_init__(self) -> None:
        pooling_sizes("AvgPool2d", self.kernel_size, self.stride, self.padding)
        check_divisor("AvgPool2d", self.divisor_override)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.avg_pool2d(
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
        return (
            f"kernel_size={_shown(self.kernel_size)}, stride={_shown_stride(self)}, "
            f"padding={_shown(self.padding)}"
        )


def _shown(value: int | Sequence[int]) -> int | tuple[int, ...]:
    return tuple(value) if isinstance(value, Sequence) else value


def _shown_stride(layer: MaxPool2d | AvgPool2d) -> int | tuple[int, ...]:
    return _shown(layer.kernel_size if layer.stride is None else layer.stride)
