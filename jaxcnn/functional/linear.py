"""Linear maps. Mirrors the linear functions of torch.nn.functional."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check
from jaxcnn.functional import _cpu
from jaxcnn.functional._numbers import wide_dtype, widened


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
    accumulate = wide_dtype(dtype)
    y = lax.platform_dependent(
        rows,
        matrix,
        cpu=_cpu.linear,
        default=lambda x, weight: jnp.matmul(x, weight.T, preferred_element_type=accumulate),
    )
    y = y.reshape(*x.shape[:-1], *w.shape[:-1])
    if bias is not None:
        b = jnp.asarray(bias)
        check(b.shape == w.shape[:-1], "linear", f"bias must be {w.shape[:-1]}", shape=b.shape)
        # Half precision rounds once, after the bias, as PyTorch does.
        y, dtype = y + b, jnp.result_type(dtype, b)
    return y.astype(dtype)


def bilinear(
    input1: ArrayLike, input2: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None
) -> jax.Array:
    """X1 @ weight[k] @ x2 + bias[k] for each output k.

    Mirrors `torch.nn.functional.bilinear`.

    Args:
      input1: `(*, in1_features)`.
      input2: `(*, in2_features)`, the same leading axes.
      weight: `(out_features, in1_features, in2_features)`.
      bias: `(out_features,)`, or None.

    Returns:
      `(*, out_features)`.

    Raises:
      ValueError: If the shapes do not fit.

    Example:
      >>> bilinear(jnp.ones((2, 3)), jnp.ones((2, 4)), jnp.ones((5, 3, 4)))[0].tolist()
      [12.0, 12.0, 12.0, 12.0, 12.0]
    """
    x1, x2, w = jnp.asarray(input1), jnp.asarray(input2), jnp.asarray(weight)
    rule = "weight must be (out_features, in1_features, in2_features)"
    check(w.ndim == 3, "bilinear", rule, shape=w.shape)
    for name, x, features in (("input1", x1, w.shape[1]), ("input2", x2, w.shape[2])):
        rule = f"{name} must have {features} entries on its last axis"
        check(x.ndim >= 1 and x.shape[-1] == features, "bilinear", rule, shape=x.shape)
    rule = "input1 and input2 must have the same leading axes"
    same = x1.shape[:-1] == x2.shape[:-1]
    check(same, "bilinear", rule, input1=x1.shape, input2=x2.shape)
    dtype = jnp.result_type(x1, x2, w)
    y = jnp.einsum("...i,kij,...j->...k", *(widened(a.astype(dtype)) for a in (x1, w, x2)))
    if bias is not None:
        b = jnp.asarray(bias)
        check(b.shape == w.shape[:1], "bilinear", f"bias must be {w.shape[:1]}", shape=b.shape)
        y, dtype = y + b, jnp.result_type(dtype, b)
    return y.astype(dtype)
