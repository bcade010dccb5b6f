"""Moves between PyTorch's channels-first and JAX's channels-last layout.

jaxcnn holds images as (N, L, C), (N, H, W, C) and (N, D, H, W, C) everywhere. These functions
are the only place where an axis moves. Weights keep PyTorch's shapes and need no conversion.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check


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
