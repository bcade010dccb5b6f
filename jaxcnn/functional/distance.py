"""Distances and similarities. Mirrors those of torch.nn.functional."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type
from jaxcnn.functional._kinks import norm, straight_through_clamp_min
from jaxcnn.functional._reduction import check_broadcast, widen


def cosine_similarity(x1: ArrayLike, x2: ArrayLike, dim: int = 1, eps: float = 1e-8) -> jax.Array:
    """Cosine of the angle between vectors that lie along one axis.

    Mirrors `torch.nn.functional.cosine_similarity`; `dim` counts in the arrays as given, so the
    channels of an image are -1.

    Args:
      x1: Vectors, any shape.
      x2: Vectors; broadcasts with `x1`.
      dim: The vectors' axis, after broadcasting.
      eps: Least norm; smaller ones count as this, but keep their gradient.

    Returns:
      The cosines; the axis `dim` is gone.

    Raises:
      ValueError: If the shapes do not broadcast or lack the axis.
      TypeError: If both are integer.

    Example:
      >>> cosine_similarity(jnp.array([[3.0, 4.0]]), jnp.array([[3.0, 4.0]])).tolist()
      [1.0]
    """
    where = "cosine_similarity"
    common = jnp.result_type(x1, x2)
    rule = "x1 or x2 must be floating point"
    check_type(jnp.issubdtype(common, jnp.floating), where, rule, dtype=str(common))
    shape = check_broadcast(where, x1=x1, x2=x2)
    # PyTorch takes a number for a vector of one entry.
    axes = max(len(shape), 1)
    check(-axes <= dim < axes, where, f"dim must be an axis of {shape}", dim=dim)
    dtype, wide = widen(x1, x2)
    vectors = [jnp.broadcast_to(x, shape or (1,)) for x in wide]
    units = [x / straight_through_clamp_min(norm(x, 2, dim, keepdims=True), eps) for x in vectors]
    return jnp.sum(units[0] * units[1], axis=dim).astype(dtype)


def pairwise_distance(
    x1: ArrayLike, x2: ArrayLike, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> jax.Array:
    """The p-norm of the difference of vectors on the last axis.

    Mirrors `torch.nn.functional.pairwise_distance`.

    Args:
      x1: Vectors `(*batch, features)`.
      x2: Vectors; broadcasts with `x1`.
      p: Degree of the norm: any number, negative and infinite ones too.
      eps: Added to each difference of features.
      keepdim: Whether to keep the last axis, with length 1.

    Raises:
      ValueError: If the shapes do not broadcast or have no axis.

    Example:
      >>> round(float(pairwise_distance(jnp.array([3.0, 0.0]), jnp.array([0.0, 4.0]))), 4)
      5.0
    """
    where = "pairwise_distance"
    shape = check_broadcast(where, x1=x1, x2=x2)
    check(len(shape) > 0, where, "x1 and x2 must be (*batch, features)", shape=shape)
    dtype, (a, b) = widen(x1, x2)
    return norm(a - b + eps, p, -1, keepdim).astype(dtype)
