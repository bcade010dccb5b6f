"""Functions with PyTorch's gradients where they have a kink."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax


def absolute(x: jax.Array) -> jax.Array:
    """|x|; at 0 the gradient is 0, where `jnp.abs` has 1.

    Example:
      >>> float(absolute(-2.0)), float(jax.grad(absolute)(0.0))
      (2.0, 0.0)
    """
    return x * jnp.sign(x)


def clamp_min(x: jax.Array, low: float) -> jax.Array:
    """max(x, low); at `low` itself the gradient is 1, where `jnp.maximum` has a half.

    Example:
      >>> float(jax.grad(clamp_min)(0.0, 0.0))
      1.0
    """
    return jnp.where(x < low, low, x)


def straight_through_clamp_min(x: jax.Array, low: float) -> jax.Array:
    """max(x, low) with the gradient 1 everywhere.

    PyTorch writes so: it clamps in place under `torch.no_grad()`.

    Example:
      >>> value, slope = jax.value_and_grad(straight_through_clamp_min)(1.0, 3.0)
      >>> float(value), float(slope)
      (3.0, 1.0)
    """
    return jnp.where(x < low, x + lax.stop_gradient(low - x), x)


def norm(x: jax.Array, p: float, axis: int, keepdims: bool = False) -> jax.Array:
    """The p-norm, any real or infinite `p`; its gradient is 0 where an entry or the norm is 0.

    Example:
      >>> float(norm(jnp.array([3.0, -4.0]), 2, 0)), jax.grad(norm)(jnp.zeros(2), 2, 0).tolist()
      (5.0, [0.0, 0.0])
    """
    sizes = absolute(x)
    if math.isinf(p):
        return (jnp.max if p > 0 else jnp.min)(sizes, axis, keepdims=keepdims)
    if p == 0:
        return jnp.sum(x != 0, axis, keepdims=keepdims).astype(x.dtype)
    if p == 1:
        return jnp.sum(sizes, axis, keepdims=keepdims)
    # The inner `where` keeps infinite slopes, which 0 would turn into NaN, out of the gradient.
    if p == 2:
        total = jnp.sum(jnp.square(x), axis, keepdims=keepdims)
        return jnp.where(total == 0, 0, jnp.sqrt(jnp.where(total == 0, 1, total)))
    zero = x == 0
    powers = jnp.where(zero, 0 if p > 0 else jnp.inf, jnp.where(zero, 1, sizes) ** p)
    total = jnp.sum(powers, axis, keepdims=keepdims)
    return jnp.where(total == 0, 0, jnp.where(total == 0, 1, total) ** (1 / p))
