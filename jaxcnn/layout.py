"""Moves between PyTorch's channels-first and JAX's channels-last layout.

jaxcnn holds images as (N, L, C), (N, H, W, C) and (N, D, H, W, C) everywhere. These functions
are the only place where an axis moves. Weights keep PyTorch's shapes and need no conversion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type, is_int


def to_channels_last(x: ArrayLike) -> jax.Array:
    """Turns PyTorch's (N, C, *spatial) into (N, *spatial, C).

    Args:
      x: An array with at least two axes; with two, (N, C), it is returned as it is.

    Raises:
      ValueError: If `x` has fewer than two axes.

    Example:
      >>> to_channels_last(jnp.ones((8, 3, 32, 48))).shape
      (8, 32, 48, 3)
    """
    x = jnp.asarray(x)
    check(x.ndim >= 2, "to_channels_last", "x must be (N, C, *spatial)", shape=x.shape)
    return jnp.moveaxis(x, 1, -1)


def to_channels_first(x: ArrayLike) -> jax.Array:
    """Turns (N, *spatial, C) into PyTorch's (N, C, *spatial).

    Args:
      x: An array with at least two axes; with two, (N, C), it is returned as it is.

    Raises:
      ValueError: If `x` has fewer than two axes.

    Example:
      >>> to_channels_first(jnp.ones((8, 32, 48, 3))).shape
      (8, 3, 32, 48)
    """
    x = jnp.asarray(x)
    check(x.ndim >= 2, "to_channels_first", "x must be (N, *spatial, C)", shape=x.shape)
    return jnp.moveaxis(x, -1, 1)


def flatten(x: ArrayLike, start_dim: int = 0, end_dim: int = -1) -> jax.Array:
    """Flattens axes `start_dim` to `end_dim` into one, in PyTorch's order.

    Mirrors `torch.flatten`. The axes count in the channels-last array. Where the channel axis is
    flattened together with spatial axes, the values come in PyTorch's order (C, H, W), so that a
    `Linear` after it takes PyTorch's weights unchanged. The first of three or more axes is the
    batch. For arrays that are not images, use `jnp.reshape`.

    Args:
      x: The array.
      start_dim: First axis to flatten; may be negative.
      end_dim: Last axis to flatten; may be negative.

    Shape:
      `(n, h, w, c)` -> `(n, c*h*w)` with `start_dim=1`.

    Raises:
      ValueError: If an axis does not exist, `start_dim` comes after `end_dim`, or all of a 3-D
        array is to be flattened, which may be one image or a batch of sequences.

    Example:
      >>> flatten(jnp.asarray([[[[1, 2], [3, 4]]]]), 1)  # h=1, w=2, c=2
      Array([[1, 3, 2, 4]], dtype=int32)
    """
    x = jnp.asarray(x)
    ndim = max(x.ndim, 1)
    for name, dim in (("start_dim", start_dim), ("end_dim", end_dim)):
        rule = f"{name} must be an axis of the {x.ndim}-D array"
        check(-ndim <= dim < ndim, "flatten", rule, **{name: dim})
    start, end = start_dim % ndim, end_dim % ndim
    check(
        start <= end,
        "flatten",
        "start_dim must not come after end_dim",
        start_dim=start_dim,
        end_dim=end_dim,
    )
    if x.ndim == 0:
        return x.reshape(1)
    whole = x.ndim == 3 and start == 0 and end == 2
    fix = "add a batch axis, or use jnp.reshape"
    rule = "all of a 3-D array has no one order, it may be (n, l, c) or (h, w, c)"
    check(not whole, "flatten", rule, fix, shape=x.shape)
    first_spatial = max(start, 1)
    if end == x.ndim - 1 and first_spatial < end:
        x = jnp.moveaxis(x, -1, first_spatial)
    return x.reshape(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])


def unflatten(x: ArrayLike, dim: int, sizes: Sequence[int]) -> jax.Array:
    """Splits one axis into several, in PyTorch's order: the inverse of `flatten`.

    Mirrors `torch.unflatten`. The axis counts in the channels-last array. The features of vectors
    become an image: `sizes` are PyTorch's (c, *spatial), the values are read in that order, and
    the result is channels-last. Any other axis is split where it is: pixels into rows and columns,
    a batch into two axes, channels into groups. For arrays that are not images, use `jnp.reshape`.

    Args:
      x: The array.
      dim: The axis to split; may be negative.
      sizes: The axes to make of it; one of them may be -1, which means what is left.

    Shape:
      `(n, c*h*w)` -> `(n, h, w, c)` with `dim=1`, `sizes=(c, h, w)`;
      `(n*c*h*w,)` -> `(n, h, w, c)` with `dim=0`, `sizes=(n, c, h, w)`;
      `(n, h*w, c)` -> `(n, h, w, c)` with `dim=1`, `sizes=(h, w)`;
      `(n, h, w, g*c)` -> `(n, h, w, g, c)` with `dim=3`, `sizes=(g, c)`.

    Raises:
      ValueError: If the axis does not exist, `sizes` do not multiply to it, or a 1-D array is to
        become a 3-D one, which may be one image or a batch of sequences.
      TypeError: If `sizes` are not integers.

    Example:
      >>> unflatten(jnp.asarray([[1, 3, 2, 4]]), 1, (2, 1, 2))  # c=2, h=1, w=2
      Array([[[[1, 2],
               [3, 4]]]], dtype=int32)
    """
    x = jnp.asarray(x)
    rule = f"dim must be an axis of the {x.ndim}-D array"
    check(-x.ndim <= dim < x.ndim, "unflatten", rule, dim=dim)
    axis = dim % x.ndim
    new = _split_sizes("unflatten", "sizes", x.shape[axis], sizes)
    y = x.reshape(*x.shape[:axis], *new, *x.shape[axis + 1 :])
    if x.ndim > 2 or axis < x.ndim - 1:
        return y
    fix = "add a batch axis, or use jnp.reshape"
    rule = "all of a 3-D array has no one order, it may be (n, l, c) or (h, w, c)"
    check(x.ndim == 2 or len(new) != 3, "unflatten", rule, fix, sizes=tuple(sizes))
    return to_channels_last(y) if y.ndim > 2 else y


def check_sizes(where: str, name: str, sizes: Sequence[int]) -> None:
    """Raises unless `sizes` are what `unflatten` takes: one or more integers, at most one -1.

    Example:
      >>> check_sizes("Unflatten", "unflattened_size", ())
      Traceback (most recent call last):
      ValueError: Unflatten: unflattened_size must have an entry, got unflattened_size=().
    """
    ints = isinstance(sizes, Sequence) and all(map(is_int, sizes))
    check_type(ints, where, f"{name} must be a sequence of ints", **{name: sizes})
    check(len(sizes) > 0, where, f"{name} must have an entry", **{name: sizes})
    rule = f"{name} must be 0 or more, but for one -1"
    ok = min(sizes) >= -1 and list(sizes).count(-1) <= 1
    check(ok, where, rule, **{name: sizes})


def _split_sizes(where: str, name: str, whole: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """`sizes` with what is left in place of -1."""
    check_sizes(where, name, sizes)
    known = math.prod(size for size in sizes if size != -1)
    fits = known == whole if -1 not in sizes else known > 0 and whole % known == 0
    check(fits, where, f"{name} must multiply to the axis", **{name: sizes}, axis=whole)
    return tuple(int(size) if size != -1 else whole // known for size in sizes)
