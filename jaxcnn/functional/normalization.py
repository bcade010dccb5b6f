"""Normalisation without running statistics. Mirrors torch.nn.functional's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, check_int, check_type, is_int
from jaxcnn.functional._moments import (
    check_per_channel,
    scaled_and_shifted,
    standardized,
)
from jaxcnn.functional._numbers import widened


def group_norm(
    input: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> jax.Array:
    """Normalises each group of channels of each image by its own statistics.

    Mirrors `torch.nn.functional.group_norm` on channels-last input.

    Args:
      input: `(n, *spatial, c)`.
      num_groups: Groups that the channels are split into.
      weight: Scale `(c,)`, or None.
      bias: Shift `(c,)`, or None.
      eps: Added to the variance.

    Returns:
      The input's shape and dtype.

    Raises:
      ValueError: If the channels do not divide into groups, there is nothing to average over, or
        the shapes do not fit.
      TypeError: If `num_groups` is not an integer or `input` not floating point.

    Source: Wu and He, 2018.

    Example:
      >>> group_norm(jnp.array([[1.0, 3.0, 10.0, 30.0]]), 2).round(3).tolist()
      [[-1.0, 1.0, -1.0, 1.0]]
    """
    x = jnp.asarray(input)
    check_floating("group_norm", x)
    check(x.ndim >= 2, "group_norm", "input must be (n, *spatial, c)", shape=x.shape)
    check_int("group_norm", "num_groups", num_groups, 1)
    *outer, channels = x.shape
    rule = "the channels must divide into num_groups"
    ok = channels % num_groups == 0
    check(ok, "group_norm", rule, shape=x.shape, num_groups=num_groups)
    check_per_channel("group_norm", x.shape, weight=weight, bias=bias)
    # PyTorch counts the batch in, though the statistics are each image's own.
    values = math.prod(outer) * channels // num_groups
    check(values != 1, "group_norm", "a group must have more than one value", shape=x.shape)
    groups = widened(x).reshape(*outer, num_groups, channels // num_groups)
    y, *_ = standardized(groups, None, (*range(1, x.ndim - 1), x.ndim), eps)
    return scaled_and_shifted(y.reshape(x.shape), weight, bias, x.dtype)


def layer_norm(
    input: ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> jax.Array:
    """Normalises over the trailing axes.

    Mirrors `torch.nn.functional.layer_norm`. The trailing axes are those of the array as given: on
    channels-last images `(c,)` normalises each pixel over its channels. `normalized_shape` may be
    an int too.

    Args:
      input: `(*, *normalized_shape)`.
      normalized_shape: Sizes of the axes to normalise over.
      weight: Scale of this shape, or None.
      bias: Shift of this shape, or None.
      eps: Added to the variance.

    Returns:
      The input's shape and dtype.

    Raises:
      ValueError: If the shapes do not fit.
      TypeError: If `normalized_shape` is not integers or `input` not floating point.

    Source: Ba et al., 2016.

    Example:
      >>> layer_norm(jnp.array([[1.0, 3.0], [10.0, 30.0]]), (2,)).round(3).tolist()
      [[-1.0, 1.0], [-1.0, 1.0]]
    """
    x, axes = _trailing("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    y, *_ = standardized(widened(x), None, axes, eps)
    return scaled_and_shifted(y, weight, bias, x.dtype)


def rms_norm(
    input: ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: ArrayLike | None = None,
    eps: float | None = None,
) -> jax.Array:
    """Divides by the root of the mean square over the trailing axes.

    Mirrors `torch.nn.functional.rms_norm`. The trailing axes are those of the array as given.
    `normalized_shape` may be an int too.

    Args:
      input: `(*, *normalized_shape)`.
      normalized_shape: Sizes of the axes to normalise over.
      weight: Scale of this shape, or None.
      eps: Added to the mean square. None is the machine epsilon of the computation, which is
        float32's for half precision.

    Returns:
      The input's shape and dtype.

    Raises:
      ValueError: If the shapes do not fit.
      TypeError: If `normalized_shape` is not integers or `input` not floating point.

    Source: Zhang and Sennrich, 2019.

    Example:
      >>> rms_norm(jnp.array([3.0, 3.0]), (2,)).tolist()
      [1.0, 1.0]
    """
    x, axes = _trailing("rms_norm", input, normalized_shape, weight=weight)
    wide = widened(x)
    eps = float(jnp.finfo(wide.dtype).eps) if eps is None else eps
    mean_square = jnp.mean(jnp.square(wide), axes, keepdims=True)
    return scaled_and_shifted(wide * lax.rsqrt(mean_square + eps), weight, None, x.dtype)


def local_response_norm(
    input: ArrayLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> jax.Array:
    """Divides by a power of the mean square over neighbouring channels.

    Mirrors `torch.nn.functional.local_response_norm` on channels-last input:
    `x / (k + alpha * mean(x^2))^beta`, the mean over `size` channels around each, with zeros
    beyond the ends.

    Args:
      input: `(n, *spatial, c)`.
      size: Channels in the neighbourhood; of an even number one more lies before than after.
      alpha: Factor of the mean square.
      beta: Exponent.
      k: Added to the mean square.

    Returns:
      The input's shape and dtype.

    Raises:
      ValueError: If `input` has no spatial axis or `size` is not positive.
      TypeError: If `size` is not an integer or `input` not floating point.

    Source: Krizhevsky et al., 2012.

    Example:
      >>> local_response_norm(jnp.full((1, 1, 2), 2.0), 2, alpha=1.0, beta=1.0).tolist()
      [[[0.6666666865348816, 0.4000000059604645]]]
    """
    x = jnp.asarray(input)
    check_floating("local_response_norm", x)
    rule = "input must be (n, *spatial, c) with at least one spatial axis"
    check(x.ndim >= 3, "local_response_norm", rule, shape=x.shape)
    check_int("local_response_norm", "size", size, 1)
    wide = widened(x)
    outer = x.ndim - 1
    window, strides = (1,) * outer + (size,), (1,) * x.ndim
    pads = ((0, 0),) * outer + ((size // 2, (size - 1) // 2),)
    total = lax.reduce_window(jnp.square(wide), 0.0, lax.add, window, strides, pads)
    return (wide / (k + alpha / size * total) ** beta).astype(x.dtype)


def normalize(
    input: ArrayLike,
    p: float = 2.0,
    dim: int | Sequence[int] = 1,
    eps: float = 1e-12,
    out: None = None,
) -> jax.Array:
    """Divides by the p-norm along an axis.

    Mirrors `torch.nn.functional.normalize`. `dim` counts in the array as given: the channels of
    channels-last images are `dim=-1`, not the default.

    Args:
      input: The array.
      p: Order of the norm; infinities, 0 and negative numbers are allowed.
      dim: Axis of the vectors, or several; an empty sequence is all.
      eps: Smallest divisor.
      out: Must be None: nothing is written in place.

    Returns:
      The input's shape and dtype.

    Raises:
      ValueError: If an axis does not exist or `out` is given.
      TypeError: If `dim` is not integers or `input` not floating point.

    Example:
      >>> normalize(jnp.array([[0.0, 4.0]])).tolist()
      [[0.0, 1.0]]
    """
    x = jnp.asarray(input)
    check_floating("normalize", x)
    check(out is None, "normalize", "out must be None, nothing is written in place", out=out)
    dims: Any = (dim,) if is_int(dim) else dim
    ok = isinstance(dims, Sequence) and all(map(is_int, dims))
    check_type(ok, "normalize", "dim must be an int or a sequence of ints", dim=dim)
    ndim = max(x.ndim, 1)
    ok = all(-ndim <= d < ndim for d in dims) and len({d % ndim for d in dims}) == len(dims)
    rule = f"dim must be an axis of the {x.ndim}-D array, or several distinct ones"
    check(ok, "normalize", rule, dim=dim)
    wide = widened(x)
    norm = _vector_norm(wide, p, tuple(dims) if dims and x.ndim else tuple(range(x.ndim)))
    # Not a maximum, which would halve the gradient where the norm is eps.
    return (wide / jnp.where(norm < eps, eps, norm)).astype(x.dtype)


def _trailing(
    where: str,
    input: ArrayLike,
    normalized_shape: int | Sequence[int],
    **parameters: ArrayLike | None,
) -> tuple[jax.Array, tuple[int, ...]]:
    """The input and its trailing axes, both checked."""
    x = jnp.asarray(input)
    check_floating(where, x)
    shape = trailing_shape(where, normalized_shape)
    ok = x.shape[-len(shape) :] == shape
    rule = f"input must end in the axes normalized_shape={shape}"
    check(ok, where, rule, shape=x.shape)
    for name, value in parameters.items():
        if value is not None:
            have = jnp.shape(value)
            check(have == shape, where, f"{name} must have normalized_shape={shape}", shape=have)
    return x, tuple(range(-len(shape), 0))


def trailing_shape(where: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """`normalized_shape` as a tuple.

    Raises:
      TypeError: If it is neither an integer nor a sequence of integers.
      ValueError: If it is empty or an entry is negative.

    Example:
      >>> trailing_shape("layer_norm", 3)
      (3,)
    """
    sizes: Any = (normalized_shape,) if is_int(normalized_shape) else normalized_shape
    ok = isinstance(sizes, Sequence) and all(map(is_int, sizes))
    rule = "normalized_shape must be an int or a sequence of ints"
    check_type(ok, where, rule, normalized_shape=normalized_shape)
    rule = "normalized_shape must be at least one size, none negative"
    ok = len(sizes) > 0 and min(sizes) >= 0
    check(ok, where, rule, normalized_shape=normalized_shape)
    return tuple(map(int, sizes))


def _vector_norm(x: jax.Array, p: float, axes: tuple[int, ...]) -> jax.Array:
    """The p-norm over `axes`, which stay; at zero its gradient is zero, as PyTorch's."""
    size = jnp.abs(x)
    if p == math.inf:
        return jnp.max(size, axes, keepdims=True)
    if p == -math.inf:
        return jnp.min(size, axes, keepdims=True)
    if p == 0:
        return jnp.sum(x != 0, axes, keepdims=True).astype(x.dtype)
    if p == 1:
        return jnp.sum(size, axes, keepdims=True)
    # Zeros stay out of the powers, whose slope there is infinite or undefined.
    at_zero = 0.0 if p > 0 else math.inf
    powers = jnp.where(size == 0, at_zero, jnp.where(size == 0, 1, size) ** p)
    total = jnp.sum(powers, axes, keepdims=True)
    zero = total == at_zero
    return jnp.where(zero, 0, jnp.where(zero, 1, total) ** (1 / p))
