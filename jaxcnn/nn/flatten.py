"""Reshaping layers. Mirrors torch.nn's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import layout
from jaxcnn._checks import check_type, is_int


class Flatten(nn.Module):
    """Flattens axes into one, in PyTorch's C, H, W order.

    Mirrors `torch.nn.Flatten`: a `Linear` after it takes PyTorch's weights unchanged. The axes
    count in the channels-last array.

    Attributes:
      start_dim: First axis to flatten.
      end_dim: Last axis to flatten.

    Shape:
      `(n, h, w, c)` -> `(n, c*h*w)`.

    Raises:
      ValueError: If an axis does not exist or `start_dim` comes after `end_dim`.

    Example:
      >>> import jax.numpy as jnp
      >>> Flatten().apply({}, jnp.ones((2, 4, 4, 3))).shape
      (2, 48)
    """

    start_dim: int = 1
    end_dim: int = -1

    def __call__(self, x: Any) -> jax.Array:
        return layout.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(nn.Module):
    """Splits one axis into several, in PyTorch's C, H, W order.

    Mirrors `torch.nn.Unflatten`: it undoes `Flatten`, so that a `Linear` before it takes PyTorch's
    weights unchanged. The axis counts in the channels-last array. The features of vectors become
    an image, of which `unflattened_size` is PyTorch's (c, *spatial); any other axis is split where
    it is.

    Attributes:
      dim: The axis to split.
      unflattened_size: The axes to make of it; one of them may be -1, which means what is left.

    Shape:
      `(n, c*h*w)` -> `(n, h, w, c)` with `dim=1`, `unflattened_size=(c, h, w)`.

    Raises:
      ValueError: If the axis does not exist or `unflattened_size` does not multiply to it.
      TypeError: If `dim` or `unflattened_size` are not integers.

    Example:
      >>> import jax.numpy as jnp
      >>> Unflatten(1, (3, 4, 5)).apply({}, jnp.ones((2, 60))).shape
      (2, 4, 5, 3)
    """

    dim: int
    unflattened_size: Sequence[int]

    def __post_init__(self) -> None:
        check_type(is_int(self.dim), "Unflatten", "dim must be an int", dim=self.dim)
        layout.check_sizes("Unflatten", "unflattened_size", self.unflattened_size)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return layout.unflatten(x, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"dim={self.dim}, unflattened_size={tuple(self.unflattened_size)}"
