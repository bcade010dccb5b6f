"""Pooling to an output of a given size. Mirrors torch.nn's adaptive layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn.functional.adaptive_pooling import check_output_size


class _AdaptiveAvgPool(nn.Module):
    output_size: int | Sequence[int | None]

    def __post_init__(self) -> None:
        check_output_size(type(self).__name__, self._axes, self.output_size)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return self._pool(x, self.output_size)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(nn.Module):
    output_size: int | Sequence[int | None]
    return_indices: bool = False

    def __post_init__(self) -> None:
        check_output_size(type(self).__name__, self._axes, self.output_size)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array | tuple[jax.Array, jax.Array]:
        return self._pool(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Takes the mean over windows that give an output of the wanted length.

    Mirrors `torch.nn.AdaptiveAvgPool1d` on channels-last input.

    Attributes:
      output_size: Length of the output.

    Shape:
      `(n, l, c)` -> `(n, output_size, c)`.

    Raises:
      ValueError: If `output_size` is negative.
      TypeError: If `output_size` is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> AdaptiveAvgPool1d(5).apply({}, jnp.ones((1, 8, 3))).shape
      (1, 5, 3)
    """

    _axes, _pool = 1, staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Takes the mean over windows that give an output of the wanted size.

    Mirrors `torch.nn.AdaptiveAvgPool2d` on channels-last input.

    Attributes:
      output_size: Height and width of the output in pixels; an int means both, None in a sequence
        the input's.

    Shape:
      `(n, h, w, c)` -> `(n, *output_size, c)`.

    Raises:
      ValueError: If `output_size` is negative or not one number for each axis.
      TypeError: If `output_size` is not made of integers.

    Example:
      >>> import jax.numpy as jnp
      >>> AdaptiveAvgPool2d((5, None)).apply({}, jnp.ones((1, 8, 8, 3))).shape
      (1, 5, 8, 3)
    """

    _axes, _pool = 2, staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Takes the mean over windows that give an output of the wanted size.

    Mirrors `torch.nn.AdaptiveAvgPool3d` on channels-last input; attributes as in
    `AdaptiveAvgPool2d`.

    Shape:
      `(n, d, h, w, c)` -> `(n, *output_size, c)`.

    Raises:
      ValueError: If `output_size` is negative or not one number for each axis.
      TypeError: If `output_size` is not made of integers.

    Example:
      >>> import jax.numpy as jnp
      >>> AdaptiveAvgPool3d(1).apply({}, jnp.ones((1, 4, 6, 8, 3))).shape
      (1, 1, 1, 1, 3)
    """

    _axes, _pool = 3, staticmethod(F.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Takes the maximum over windows that give an output of the wanted length.

    Mirrors `torch.nn.AdaptiveMaxPool1d` on channels-last input.

    Attributes:
      output_size: Length of the output.
      return_indices: Whether to return also the position of each maximum.

    Shape:
      `(n, l, c)` -> `(n, output_size, c)`.

    Raises:
      ValueError: If `output_size` is negative.
      TypeError: If `output_size` is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> AdaptiveMaxPool1d(5).apply({}, jnp.ones((1, 8, 3))).shape
      (1, 5, 3)
    """

    _axes, _pool = 1, staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Takes the maximum over windows that give an output of the wanted size.

    Mirrors `torch.nn.AdaptiveMaxPool2d` on channels-last input.

    Attributes:
      output_size: Height and width of the output in pixels; an int means both, None in a sequence
        the input's.
      return_indices: Whether to return also the flat position (row*w + column) of each maximum.

    Shape:
      `(n, h, w, c)` -> `(n, *output_size, c)`.

    Raises:
      ValueError: If `output_size` is negative or not one number for each axis.
      TypeError: If `output_size` is not made of integers.

    Example:
      >>> import jax.numpy as jnp
      >>> AdaptiveMaxPool2d((5, None)).apply({}, jnp.ones((1, 8, 8, 3))).shape
      (1, 5, 8, 3)
    """

    _axes, _pool = 2, staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Takes the maximum over windows that give an output of the wanted size.

    Mirrors `torch.nn.AdaptiveMaxPool3d` on channels-last input; attributes as in
    `AdaptiveMaxPool2d`.

    Shape:
      `(n, d, h, w, c)` -> `(n, *output_size, c)`.

    Raises:
      ValueError: If `output_size` is negative or not one number for each axis.
      TypeError: If `output_size` is not made of integers.

    Example:
      >>> import jax.numpy as jnp
      >>> AdaptiveMaxPool3d(1).apply({}, jnp.ones((1, 4, 6, 8, 3))).shape
      (1, 1, 1, 1, 3)
    """

    _axes, _pool = 3, staticmethod(F.adaptive_max_pool3d)
