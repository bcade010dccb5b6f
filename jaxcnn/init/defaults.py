"""What PyTorch's conv and linear layers start from. Other layers' defaults stand in the layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn.init.distributions import Initializer, uniform
from jaxcnn.init.fans import kaiming_uniform


def default_weight(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """What PyTorch's conv and linear layers start from: kaiming_uniform with a = sqrt(5).

    That is U(-b, b), b = 1 / sqrt(fan_in). Source: He et al., 2015; `torch.nn.Linear`.

    Example:
      >>> w = default_weight(jax.random.key(0), (8, 100))
      >>> bool(jnp.abs(w).max() <= 0.1)
      True
    """
    return kaiming_uniform(math.sqrt(5.0))(key, shape, dtype)


def default_bias(fan_in: int) -> Initializer:
    """What PyTorch's conv and linear biases start from: U(-b, b), b = 1 / sqrt(fan_in).

    Args:
      fan_in: Inputs of one unit, taken from the layer's weight: `in/groups * kh * kw`.

    Example:
      >>> default_bias(25)(jax.random.key(0), (6,)).shape
      (6,)
    """
    bound = 1.0 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return uniform(-bound, bound)
