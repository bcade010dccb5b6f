"""Functions of PyTorch that `jax.numpy` has not, or with another gradient, for `from_torch`.

Nothing imports PyTorch.
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


def clamp(x: jax.Array, low: Any = None, high: Any = None) -> jax.Array:
    """`x` within bounds. Mirrors `torch.clamp`, whose gradient at a bound is that of `x`.

    Example:
      >>> jax.grad(clamp)(0.0, 0.0), jax.grad(jnp.clip)(0.0, 0.0)
      (Array(1., dtype=float32, weak_type=True), Array(0.5, dtype=float32, weak_type=True))
    """
    x = x if low is None else jnp.where(x < low, low, x)
    return x if high is None else jnp.where(x > high, high, x)


def root(x: jax.Array) -> jax.Array:
    """The square root with gradient 0 at 0, as in `torch.norm` and `torch.std`.

    Example:
      >>> jax.grad(root)(0.0), jax.grad(root)(4.0)
      (Array(0., dtype=float32, weak_type=True), Array(0.25, dtype=float32, weak_type=True))
    """
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


def std(x: jax.Array, **options: Any) -> jax.Array:
    """Standard deviation with the arguments of `jnp.var`. Mirrors `torch.std`.

    Example:
      >>> std(jnp.array([1.0, 3.0]), ddof=1).round(3)
      Array(1.414, dtype=float32)
    """
    return root(jnp.var(x, **options))


def max_along(x: jax.Array, axis: int, keepdims: bool = False) -> tuple[jax.Array, jax.Array]:
    """The largest entries along an axis, and where they are.

    Mirrors `torch.max` with `dim`: of equal entries the first has the whole gradient.

    Example:
      >>> [x.tolist() for x in max_along(jnp.array([[1, 3, 3]]), 1)]
      [[3], [1]]
    """
    return _at(x, jnp.argmax(x, axis, keepdims=True), axis, keepdims)


def min_along(x: jax.Array, axis: int, keepdims: bool = False) -> tuple[jax.Array, jax.Array]:
    """The smallest entries along an axis, and where they are, as `max_along`.

    Example:
      >>> [x.tolist() for x in min_along(jnp.array([[1, 3, 1]]), 1)]
      [[1], [0]]
    """
    return _at(x, jnp.argmin(x, axis, keepdims=True), axis, keepdims)


def _at(x: jax.Array, index: jax.Array, axis: int, keepdims: bool) -> tuple[jax.Array, jax.Array]:
    both = jnp.take_along_axis(x, index, axis), index
    return both if keepdims else (both[0].squeeze(axis), index.squeeze(axis))


def topk(x: jax.Array, k: int, axis: int = -1, largest: bool = True) -> tuple[jax.Array, jax.Array]:
    """The k largest or smallest entries along an axis, and where they are. Mirrors `torch.topk`.

    Example:
      >>> [x.tolist() for x in topk(jnp.array([4.0, 1.0, 3.0]), 2, largest=False)]
      [[1.0, 3.0], [1, 2]]
    """
    if largest:
        values, index = lax.top_k(x, k, axis=axis)
        return values, index
    values, index = lax.top_k(-x, k, axis=axis)
    return -values, index


def gather(x: jax.Array, axis: int, index: jax.Array) -> jax.Array:
    """Entries of `x` from where `index` says along an axis. Mirrors `torch.gather`.

    Along the other axes the index may end before `x` does.

    Example:
      >>> gather(jnp.array([[1, 2], [3, 4]]), 1, jnp.array([[1, 1, 0]])).tolist()
      [[2, 2, 1]]
    """
    ends: list[int | None] = [*index.shape]
    ends[axis] = None
    return jnp.take_along_axis(x[tuple(map(slice, ends))], index, axis)


def scatter(x: jax.Array, axis: int, index: jax.Array, source: Any, add: bool = False) -> jax.Array:
    """`x` after entries of `source` are written, or added, where `index` says along an axis.

    Mirrors `torch.scatter` and `torch.scatter_add`. `source` may be a number.

    Example:
      >>> scatter(jnp.zeros((1, 3)), 1, jnp.array([[2, 0]]), jnp.array([[5.0, 6.0]])).tolist()
      [[6.0, 0.0, 5.0]]
    """
    places = list(jnp.indices(index.shape, sparse=True))
    places[axis] = index
    if jnp.ndim(source):
        source = source[tuple(map(slice, index.shape))]
    chosen = x.at[tuple(places)]
    return chosen.add(source) if add else chosen.set(source)
