"""Linear maps. Mirrors the linear functions of torch.nn.functional."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check
from jaxcnn.functional import _cpu


def linear(input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> jax.Array:
    """X @ weight.T + bias.

    Mirrors `torch.nn.functional.linear`.

    Args:
      input: `(*, in_features)`.
      weight: `(out_features, in_features)`, or `(in_features,)` for a single output without axis.
      bias: `(out_features,)`, or None.

    Returns:
      `(*, out_features)`.

    Raises:
      ValueError: If the shapes do not fit.

    Example:
      >>> linear(jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.zeros(4)).shape
      (2, 4)
    """
    x, w = jnp.asarray(input), jnp.asarray(weight)
    rule = "weight must be (out_features, in_features) or (in_features,)"
    check(w.ndim in (1, 2), "linear", rule, shape=w.shape)
    fits = x.ndim >= 1 and x.shape[-1] == w.shape[-1]
    rule = f"input must have {w.shape[-1]} entries on its last axis"
    check(fits, "linear", rule, shape=x.shape)
    dtype = jnp.result_type(x, w)
    # Not -1: an axis may be empty.
    rows = x.astype(dtype).reshape(math.prod(x.shape[:-1]), x.shape[-1])
    matrix = w.astype(dtype).reshape(math.prod(w.shape[:-1]), w.shape[-1])
    y = lax.platform_dependent(
        rows, matrix, cpu=_cpu.linear, default=lambda x, weight: x @ weight.T
    )
    y = y.reshape(*x.shape[:-1], *w.shape[:-1])
    if bias is None:
        return y
    b = jnp.asarray(bias)
    check(b.shape == w.shape[:-1], "linear", f"bias must be {w.shape[:-1]}", shape=b.shape)
    return y + b
