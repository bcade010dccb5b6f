"""Maximum pooling over sliding windows. Mirrors torch.nn's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn.functional._pooling import pooling_sizes


class _MaxPool(nn.Module):
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    return_indices: bool = False
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        sizes = self.kernel_size, self.stride, self.padding, self.dilation
        pooling_sizes(self._axes, type(self).__name__, *sizes)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array | tuple[jax.Array, jax.Array]:
        return self._pool(
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
        stride = self.kernel_size if self.stride is None else self.stride
        return (
            f"kernel_size={self.kernel_size}, stride={stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Takes the maximum over sliding 1-D windows.

    Mirrors `torch.nn.MaxPool1d` on channels-last input; attributes as in `MaxPool2d`.

    Shape:
      `(n, l, c)` -> `(n, l_out, c)`,
      `l_out = floor((l + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> MaxPool1d(2).apply({}, jnp.ones((1, 8, 3))).shape
      (1, 4, 3)
    """

    _axes, _pool = 1, staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
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

    _axes, _pool = 2, staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """Takes the maximum over sliding 3-D windows.

    Mirrors `torch.nn.MaxPool3d` on channels-last input; attributes as in `MaxPool2d`.

    Shape:
      `(n, d, h, w, c)` -> `(n, d_out, h_out, w_out, c)`,
      `d_out = floor((d + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> MaxPool3d(2).apply({}, jnp.ones((1, 4, 6, 8, 3))).shape
      (1, 2, 3, 4, 3)
    """

    _axes, _pool = 3, staticmethod(F.max_pool3d)
