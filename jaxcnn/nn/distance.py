"""Distances and similarities. Mirrors those of torch.nn."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F


class CosineSimilarity(nn.Module):
    """Cosine of the angle between vectors that lie along one axis.

    Mirrors `torch.nn.CosineSimilarity`; `dim` counts in the arrays as given, so the channels of an
    image are -1.

    Attributes:
      dim: The vectors' axis, after broadcasting.
      eps: Least norm; smaller ones count as this, but keep their gradient.

    Shape:
      Two arrays that broadcast -> their shape without `dim`.

    Raises:
      ValueError: If the shapes do not broadcast or lack the axis.
      TypeError: If both are integer.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[3.0, 4.0]])
      >>> CosineSimilarity().apply({}, x, -x).tolist()
      [-1.0]
    """

    dim: int = 1
    eps: float = 1e-8

    def __call__(self, x1: Any, x2: Any) -> jax.Array:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(nn.Module):
    """The p-norm of the difference of vectors on the last axis.

    Mirrors `torch.nn.PairwiseDistance`.

    Attributes:
      p: Degree of the norm: any number, negative and infinite ones too.
      eps: Added to each difference of features.
      keepdim: Whether to keep the last axis, with length 1.

    Shape:
      Two arrays `(*batch, features)` that broadcast -> `batch`, or `(*batch, 1)` with `keepdim`.

    Raises:
      ValueError: If the shapes do not broadcast or have no axis.

    Example:
      >>> import jax.numpy as jnp
      >>> distance = PairwiseDistance().apply({}, jnp.array([3.0, 0.0]), jnp.array([0.0, 4.0]))
      >>> round(float(distance), 4)
      5.0
    """

    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False

    def __call__(self, x1: Any, x2: Any) -> jax.Array:
        return F.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)
