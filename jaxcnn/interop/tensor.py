"""Methods of `torch.Tensor` that `jax.numpy` has no function for, as `from_torch` needs them.

Arrays have PyTorch's order of axes here. Nothing imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def unfold(x: jax.Array, dimension: int, size: int, step: int) -> jax.Array:
    """All windows of `size` along an axis; the place in the window is a new last axis.

    Mirrors `torch.Tensor.unfold`.

    Example:
      >>> unfold(jnp.arange(5), 0, 3, 2).tolist()
      [[0, 1, 2], [2, 3, 4]]
    """
    starts = np.arange(0, x.shape[dimension] - size + 1, step)
    windows = jnp.take(x, starts[:, None] + np.arange(size), axis=dimension)
    return jnp.moveaxis(windows, dimension + 1, -1)


def expand_as(x: jax.Array, other: jax.Array) -> jax.Array:
    """`x` repeated to the shape of `other`. Mirrors `torch.Tensor.expand_as`.

    Example:
      >>> expand_as(jnp.ones((1, 3)), jnp.zeros((2, 3))).shape
      (2, 3)
    """
    return jnp.broadcast_to(x, other.shape)


def with_item(x: jax.Array, index: Any, value: Any) -> jax.Array:
    """`x` after `x[index] = value`.

    Example:
      >>> with_item(jnp.zeros(3), (slice(0, 2),), 1.0).tolist()
      [1.0, 1.0, 0.0]
    """
    return x.at[index].set(value)


def pad(x: jax.Array, widths: Sequence[tuple[int, int, int]], value: float) -> jax.Array:
    """`lax.pad`, which also cuts, with a plain number as the value.

    Example:
      >>> pad(jnp.arange(3), [(1, -1, 0)], 9).tolist()
      [9, 0, 1]
    """
    return lax.pad(x, jnp.asarray(value, x.dtype), widths)


def view_as_complex(x: jax.Array) -> jax.Array:
    """(*, 2) real numbers as (*,) complex ones. Mirrors `torch.view_as_complex`.

    Example:
      >>> view_as_complex(jnp.array([[1.0, 2.0]])).tolist()
      [(1+2j)]
    """
    return lax.complex(x[..., 0], x[..., 1])


def view_as_real(x: jax.Array) -> jax.Array:
    """(*,) complex numbers as (*, 2) real ones. Mirrors `torch.view_as_real`.

    Example:
      >>> view_as_real(jnp.array([1 + 2j])).tolist()
      [[1.0, 2.0]]
    """
    return jnp.stack([x.real, x.imag], axis=-1)
