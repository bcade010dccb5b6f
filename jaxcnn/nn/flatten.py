"""Reshaping layers. Mirrors torch.nn's."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jaxcnn import layout


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
