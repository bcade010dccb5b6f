"""Activation layers. Mirrors torch.nn's."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F


class ReLU(nn.Module):
    """max(x, 0), elementwise.

    Mirrors `torch.nn.ReLU`.

    Attributes:
      inplace: Accepted and without effect.

    Example:
      >>> import jax.numpy as jnp
      >>> ReLU().apply({}, jnp.array([-1.0, 2.0])).tolist()
      [0.0, 2.0]
    """

    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.relu(x)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return "inplace=True" if self.inplace else ""


class Sigmoid(nn.Module):
    """1 / (1 + exp(-x)), elementwise.

    Mirrors `torch.nn.Sigmoid`.

    Example:
      >>> float(Sigmoid().apply({}, 0.0))
      0.5
    """

    def __call__(self, x: Any) -> jax.Array:
        return F.sigmoid(x)
