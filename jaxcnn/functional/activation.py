"""Activations. Mirrors the activation functions of torch.nn.functional."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def relu(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """max(x, 0), elementwise; the gradient at 0 is 0.

    Mirrors `torch.nn.functional.relu`. `inplace` is accepted and changes nothing.

    Example:
      >>> relu(jnp.array([-1.0, 2.0])).tolist()
      [0.0, 2.0]
    """
    del inplace
    return jax.nn.relu(input)


def sigmoid(input: ArrayLike) -> jax.Array:
    """1 / (1 + exp(-x)), elementwise.

    Mirrors `torch.nn.functional.sigmoid`.

    Example:
      >>> float(sigmoid(0.0))
      0.5
    """
    return jax.nn.sigmoid(jnp.asarray(input))
