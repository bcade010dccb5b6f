"""Dropout. Mirrors the dropout functions of torch.nn.functional."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating


def dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Sets each entry to zero with probability `p` and scales the rest by 1 / (1 - p).

    Mirrors `torch.nn.functional.dropout`; the random key is explicit.

    Args:
      input: An array of any shape.
      p: Probability of a zero, 0 to 1.
      training: Whether to drop at all; False returns `input`.
      inplace: Accepted and without effect.
      rng: The random key; needed when `training` and `0 < p < 1`.

    Raises:
      ValueError: If `p` is outside 0 to 1, or the key is missing.

    Example:
      >>> dropout(jnp.ones(4), p=0.5, rng=jax.random.key(0)).shape
      (4,)
    """
    del inplace
    check(0 <= p <= 1, "dropout", "p must be between 0 and 1", p=p)
    x = jnp.asarray(input)
    check_floating("dropout", x)
    if not training or p == 0:
        return x
    if p == 1:
        return jnp.zeros_like(x)
    if rng is None:
        raise ValueError("dropout: training needs a random key, got rng=None; pass rng=key.")
    keep = jax.random.bernoulli(rng, 1 - p, x.shape)
    return jnp.where(keep, x / (1 - p), 0).astype(x.dtype)
