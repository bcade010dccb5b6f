"""The partial inverse of maximum pooling. Mirrors torch.nn's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn.functional.unpooling import unpooling_sizes


class _MaxUnpool(nn.Module):
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0

    def __post_init__(self) -> None:
        where = type(self).__name__
        unpooling_sizes(self._axes, where, self.kernel_size, self.stride, self.padding)
        super().__post_init__()

    def __call__(self, x: Any, indices: Any, output_size: Sequence[int] | None = None) -> jax.Array:
        return self._unpool(x, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        where = type(self).__name__
        sizes = unpooling_sizes(self._axes, where, self.kernel_size, self.stride, self.padding)
        return "kernel_size={}, stride={}, padding={}".format(*sizes)


class MaxUnpool1d(_MaxUnpool):
    """Puts maxima back where `MaxPool1d` found them; everything else is zero.

    Mirrors `torch.nn.MaxUnpool1d` on channels-last input; attributes as in `MaxUnpool2d`.

    Shape:
      `(n, l, c)` and indices -> `(n, l_out, c)`,
      `l_out = (l - 1)*stride + kernel_size - 2*padding` or `output_size`.

    Raises:
      ValueError: If a size is out of range.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> y, indices = F.max_pool1d(jnp.ones((1, 8, 3)), 2, return_indices=True)
      >>> MaxUnpool1d(2).apply({}, y, indices).shape
      (1, 8, 3)
    """

    _axes, _unpool = 1, staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Puts maxima back where `MaxPool2d` found them; everything else is zero.

    Mirrors `torch.nn.MaxUnpool2d` on channels-last input: `layer(x, indices, output_size=None)`.

    Attributes:
      kernel_size: The pooling's window height and width in pixels; an int means both.
      stride: The pooling's steps in pixels. Defaults to `kernel_size`.
      padding: The pooling's padding in pixels.

    Shape:
      `(n, h, w, c)` and indices -> `(n, h_out, w_out, c)`,
      `h_out = (h - 1)*stride + kernel_size - 2*padding` or `output_size`.

    Raises:
      ValueError: If a size is out of range.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> y, indices = F.max_pool2d(jnp.ones((1, 9, 8, 3)), 2, return_indices=True)
      >>> MaxUnpool2d(2).apply({}, y, indices, (9, 8)).shape
      (1, 9, 8, 3)
    """

    _axes, _unpool = 2, staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Puts maxima back where `MaxPool3d` found them; everything else is zero.

    Mirrors `torch.nn.MaxUnpool3d` on channels-last input; attributes as in `MaxUnpool2d`.

    Shape:
      `(n, d, h, w, c)` and indices -> `(n, d_out, h_out, w_out, c)`,
      `d_out = (d - 1)*stride + kernel_size - 2*padding` or `output_size`.

    Raises:
      ValueError: If a size is out of range.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> y, indices = F.max_pool3d(jnp.ones((1, 4, 6, 8, 3)), 2, return_indices=True)
      >>> MaxUnpool3d(2).apply({}, y, indices).shape
      (1, 4, 6, 8, 3)
    """

    _axes, _unpool = 3, staticmethod(F.max_unpool3d)
