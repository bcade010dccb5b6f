"""Power-average pooling over sliding windows. Mirrors torch.nn's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn.functional._pooling import pooling_sizes
from jaxcnn.functional.lp_pooling import check_norm_type


class _LPPool(nn.Module):
    norm_type: float
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_norm_type(where, self.norm_type)
        pooling_sizes(self._axes, where, self.kernel_size, self.stride)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return self._pool(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """Takes the p-norm over sliding 1-D windows.

    Mirrors `torch.nn.LPPool1d` on channels-last input; attributes as in `LPPool2d`.

    Shape:
      `(n, l, c)` -> `(n, l_out, c)`, `l_out = floor((l - kernel_size) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or `norm_type` is zero.
      TypeError: If a size is not an integer or `norm_type` not a number.

    Example:
      >>> import jax.numpy as jnp
      >>> LPPool1d(2, 2).apply({}, jnp.ones((1, 8, 3))).shape
      (1, 4, 3)
    """

    _axes, _pool = 1, staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """Takes the p-norm over sliding 2-D windows: `sum(x**p) ** (1/p)`.

    Mirrors `torch.nn.LPPool2d` on channels-last input.

    Attributes:
      norm_type: The power `p`; infinity gives the largest absolute value.
      kernel_size: Window height and width in pixels; an int means both.
      stride: Steps between windows in pixels. Defaults to `kernel_size`.
      ceil_mode: Whether a last window may hang over the edge.

    Shape:
      `(n, h, w, c)` -> `(n, h_out, w_out, c)`, `h_out = floor((h - kernel_size) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or `norm_type` is zero.
      TypeError: If a size is not an integer or `norm_type` not a number.

    Example:
      >>> import jax.numpy as jnp
      >>> LPPool2d(2, 2).apply({}, jnp.ones((1, 8, 8, 3))).shape
      (1, 4, 4, 3)
    """

    _axes, _pool = 2, staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """Takes the p-norm over sliding 3-D windows.

    Mirrors `torch.nn.LPPool3d` on channels-last input; attributes as in `LPPool2d`.

    Shape:
      `(n, d, h, w, c)` -> `(n, d_out, h_out, w_out, c)`,
      `d_out = floor((d - kernel_size) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or `norm_type` is zero.
      TypeError: If a size is not an integer or `norm_type` not a number.

    Example:
      >>> import jax.numpy as jnp
      >>> LPPool3d(2, 2).apply({}, jnp.ones((1, 4, 6, 8, 3))).shape
      (1, 2, 3, 4, 3)
    """

    _axes, _pool = 3, staticmethod(F.lp_pool3d)
