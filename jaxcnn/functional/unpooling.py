"""The partial inverse of maximum pooling. Mirrors torch.nn.functional's."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type, is_int
from jaxcnn.functional._pooling import IntOrInts, on_batch, sizes


def max_unpool1d(
    input: ArrayLike,
    indices: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Puts maxima back where `max_pool1d` found them; everything else is zero.

    Mirrors `torch.nn.functional.max_unpool1d` on channels-last input; see `max_unpool2d`.

    Returns:
      `(n, l_out, c)` from `(n, l, c)`.

    Raises:
      ValueError: If a shape or size does not fit.
      TypeError: If a size or the indices are not integers.

    Example:
      >>> y, indices = jnp.asarray([3.0, 5.0]).reshape(1, 2, 1), jnp.asarray([0, 3])
      >>> max_unpool1d(y, indices.reshape(1, 2, 1), 2).ravel().tolist()
      [3.0, 0.0, 0.0, 5.0]
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: ArrayLike,
    indices: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Puts maxima back where `max_pool2d` found them; everything else is zero.

    Mirrors `torch.nn.functional.max_unpool2d` on channels-last input. Where an index occurs twice
    one of its maxima is kept (they are equal if a pooling gave them), and as in PyTorch each gets
    the whole gradient. An index outside of the output is dropped, where PyTorch raises: its value
    is not known under `jit`.

    Args:
      input: Maxima `(n, h, w, c)`, or one image without the batch axis.
      indices: Integers of the same shape: flat positions `row*w_out + column` in the output.
      kernel_size: The pooling's window height and width in pixels; an int means both.
      stride: The pooling's steps in pixels. Defaults to `kernel_size`.
      padding: The pooling's padding in pixels.
      output_size: `(h_out, w_out)` or the whole `(n, h_out, w_out, c)`, less than one `stride`
        from the default.

    Returns:
      `(n, h_out, w_out, c)`, by default `h_out = (h - 1)*stride + kernel_size - 2*padding`.

    Raises:
      ValueError: If a shape or size does not fit.
      TypeError: If a size or the indices are not integers.

    Example:
      >>> maximum, index = jnp.full((1, 1, 1, 1), 4.0), jnp.full((1, 1, 1, 1), 2)
      >>> max_unpool2d(maximum, index, 2)[0, :, :, 0].tolist()
      [[0.0, 0.0], [4.0, 0.0]]
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: ArrayLike,
    indices: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Puts maxima back where `max_pool3d` found them; everything else is zero.

    Mirrors `torch.nn.functional.max_unpool3d` on channels-last input; see `max_unpool2d`. Indices
    are `(plane*h_out + row)*w_out + column`.

    Returns:
      `(n, d_out, h_out, w_out, c)` from `(n, d, h, w, c)`.

    Raises:
      ValueError: If a shape or size does not fit.
      TypeError: If a size or the indices are not integers.

    Example:
      >>> y, indices = jnp.ones((1, 2, 3, 4, 3)), jnp.zeros((1, 2, 3, 4, 3), jnp.int32)
      >>> max_unpool3d(y, indices, 2).shape
      (1, 4, 6, 8, 3)
    """
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def unpooling_sizes(
    n: int, where: str, kernel_size: IntOrInts, stride: IntOrInts | None, padding: IntOrInts
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Checks and spells out (kernel, stride, padding) of the pooling over `n` axes.

    Raises:
      ValueError: If a size is out of range.
      TypeError: If a size is not an integer.

    Example:
      >>> unpooling_sizes(2, "max_unpool2d", 2, None, 0)
      ((2, 2), (2, 2), (0, 0))
    """
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    steps = kernel if stride is None else sizes(stride, n, where, "stride", 1)
    return kernel, steps, sizes(padding, n, where, "padding", 0)


def _max_unpool(
    n: int,
    input: ArrayLike,
    indices: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: IntOrInts,
    output_size: Sequence[int] | None,
) -> jax.Array:
    where = f"max_unpool{n}d"
    window = unpooling_sizes(n, where, kernel_size, stride, padding)
    shape, where_to = jnp.shape(input), jnp.asarray(indices)
    integers = jnp.issubdtype(where_to.dtype, jnp.integer)
    check_type(integers, where, "indices must be integers", dtype=str(where_to.dtype))
    rule = f"indices must have the input's shape {shape}"
    check(where_to.shape == shape, where, rule, shape=where_to.shape)

    def unpool(x: jax.Array) -> jax.Array:
        out = _output_size(where, x.shape[1:-1], window, output_size)
        flat = x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]
        y = _put(x.reshape(flat), where_to.reshape(flat), math.prod(out))
        return y.reshape(x.shape[0], *out, x.shape[-1])

    return on_batch(where, input, n, unpool)


def _output_size(
    where: str,
    spatial: tuple[int, ...],
    window: tuple[tuple[int, ...], ...],
    output_size: Sequence[int] | None,
) -> tuple[int, ...]:
    n = len(spatial)
    default = tuple((i - 1) * s + k - 2 * p for i, k, s, p in zip(spatial, *window, strict=True))
    out = default
    if output_size is not None:
        rule = f"output_size must be {n} ints, or {n + 2} with batch and channels"
        ok = isinstance(output_size, Sequence) and all(map(is_int, output_size))
        check_type(ok, where, rule, output_size=output_size)
        check(len(output_size) in (n, n + 2), where, rule, output_size=output_size)
        out = tuple(output_size if len(output_size) == n else output_size[1:-1])
        near = all(abs(o - d) < s for o, d, s in zip(out, default, window[1], strict=True))
        rule = f"output_size must be less than one stride from {default}"
        check(near, where, rule, output_size=output_size)
    check(min(out) >= 0, where, "the output's size must not be negative", output_size=out)
    return out


# The gradient that PyTorch has gives every maximum what arrives at its position, also where two
# share one: that is the transpose of adding, not of overwriting.
@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _put(x: jax.Array, where_to: jax.Array, size: int) -> jax.Array:
    """Writes `x` (N, L, C) at positions along the axis of a zero array (N, size, C)."""
    y, place = _place(x, where_to, size)
    return y.at[place].set(x, mode="drop")


@_put.defjvp
def _put_jvp(
    size: int, primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, Any]
) -> tuple[jax.Array, jax.Array]:
    (x, where_to), (dx, _) = primals, tangents
    y, place = _place(dx, where_to, size)
    return _put(x, where_to, size), y.at[place].add(dx, mode="drop")


def _place(x: jax.Array, where_to: jax.Array, size: int) -> tuple[jax.Array, tuple[Any, ...]]:
    """Zeros to write to, and where: every batch and channel for itself."""
    n, _, c = x.shape
    zeros = jnp.zeros((n, size, c), x.dtype)
    return zeros, (jnp.arange(n)[:, None, None], where_to, jnp.arange(c))
