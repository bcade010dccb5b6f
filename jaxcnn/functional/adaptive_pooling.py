"""Pooling to an output of a given size. Mirrors the adaptive ones of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type, is_int
from jaxcnn.functional._maxima import argmax, at
from jaxcnn.functional._numbers import widened
from jaxcnn.functional._pooling import on_batch
from jaxcnn.functional._windows import spread

OutputSize = int | Sequence[int | None]


def adaptive_avg_pool1d(input: ArrayLike, output_size: int | Sequence[int]) -> jax.Array:
    """Takes the mean over windows that give an output of the wanted length.

    Mirrors `torch.nn.functional.adaptive_avg_pool1d` on channels-last input; see
    `adaptive_avg_pool2d`.

    Returns:
      `(n, output_size, c)` from `(n, l, c)`.

    Raises:
      ValueError: If `output_size` is negative.
      TypeError: If `output_size` is not an integer.

    Example:
      >>> adaptive_avg_pool1d(jnp.arange(5.0).reshape(1, 5, 1), 2).ravel().tolist()
      [1.0, 3.0]
    """
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: ArrayLike, output_size: OutputSize) -> jax.Array:
    """Takes the mean over windows that give an output of the wanted size.

    Mirrors `torch.nn.functional.adaptive_avg_pool2d` on channels-last input. Output `i` of `out`
    sees the pixels `floor(i*in/out)` up to `ceil((i+1)*in/out)`.

    Args:
      input: Images `(n, h, w, c)`, or one image without the batch axis.
      output_size: Height and width of the output in pixels; an int means both, None in a sequence
        the input's.

    Returns:
      `(n, h_out, w_out, c)`.

    Raises:
      ValueError: If `output_size` is negative or not one number for each axis.
      TypeError: If `output_size` is not made of integers.

    Example:
      >>> x = jnp.arange(9.0).reshape(1, 3, 3, 1)
      >>> adaptive_avg_pool2d(x, 2)[0, :, :, 0].tolist()
      [[2.0, 3.0], [5.0, 6.0]]
    """
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input: ArrayLike, output_size: OutputSize) -> jax.Array:
    """Takes the mean over windows that give an output of the wanted size.

    Mirrors `torch.nn.functional.adaptive_avg_pool3d` on channels-last input; see
    `adaptive_avg_pool2d`.

    Returns:
      `(n, d_out, h_out, w_out, c)` from `(n, d, h, w, c)`.

    Raises:
      ValueError: If `output_size` is negative or not one number for each axis.
      TypeError: If `output_size` is not made of integers.

    Example:
      >>> adaptive_avg_pool3d(jnp.ones((1, 4, 6, 8, 3)), (1, None, 2)).shape
      (1, 1, 6, 2, 3)
    """
    return _adaptive_avg_pool(3, input, output_size)


@overload
def adaptive_max_pool1d(
    input: ArrayLike,
    output_size: int | Sequence[int],
    return_indices: Literal[False] = False,
) -> jax.Array: ...
@overload
def adaptive_max_pool1d(
    input: ArrayLike,
    output_size: int | Sequence[int],
    *,
    return_indices: Literal[True],
) -> tuple[jax.Array, jax.Array]: ...
@overload
def adaptive_max_pool1d(
    input: ArrayLike,
    output_size: int | Sequence[int],
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]: ...
def adaptive_max_pool1d(
    input: ArrayLike,
    output_size: int | Sequence[int],
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Takes the maximum over windows that give an output of the wanted length.

    Mirrors `torch.nn.functional.adaptive_max_pool1d` on channels-last input; see
    `adaptive_max_pool2d`.

    Returns:
      `(n, output_size, c)` from `(n, l, c)`; with `return_indices` also the maxima's positions.

    Raises:
      ValueError: If `output_size` is negative.
      TypeError: If `output_size` is not an integer.

    Example:
      >>> adaptive_max_pool1d(jnp.arange(5.0).reshape(1, 5, 1), 2).ravel().tolist()
      [2.0, 4.0]
    """
    return _adaptive_max_pool(1, input, output_size, return_indices)


@overload
def adaptive_max_pool2d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[False] = False,
) -> jax.Array: ...
@overload
def adaptive_max_pool2d(
    input: ArrayLike,
    output_size: OutputSize,
    *,
    return_indices: Literal[True],
) -> tuple[jax.Array, jax.Array]: ...
@overload
def adaptive_max_pool2d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]: ...
def adaptive_max_pool2d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Takes the maximum over windows that give an output of the wanted size.

    Mirrors `torch.nn.functional.adaptive_max_pool2d` on channels-last input. Output `i` of `out`
    sees the pixels `floor(i*in/out)` up to `ceil((i+1)*in/out)`.

    Args:
      input: Images `(n, h, w, c)`, or one image without the batch axis.
      output_size: Height and width of the output in pixels; an int means both, None in a sequence
        the input's.
      return_indices: Whether to return also where each maximum was.

    Returns:
      `(n, h_out, w_out, c)`; with `return_indices` also an int32 array of the same shape holding
      the flat position `row*w + column` of the maximum (the first one on ties).

    Raises:
      ValueError: If `output_size` is negative or not one number for each axis.
      TypeError: If `output_size` is not made of integers.

    Example:
      >>> x = jnp.arange(9.0).reshape(1, 3, 3, 1)
      >>> adaptive_max_pool2d(x, 2)[0, :, :, 0].tolist()
      [[4.0, 5.0], [7.0, 8.0]]
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


@overload
def adaptive_max_pool3d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[False] = False,
) -> jax.Array: ...
@overload
def adaptive_max_pool3d(
    input: ArrayLike,
    output_size: OutputSize,
    *,
    return_indices: Literal[True],
) -> tuple[jax.Array, jax.Array]: ...
@overload
def adaptive_max_pool3d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]: ...
def adaptive_max_pool3d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Takes the maximum over windows that give an output of the wanted size.

    Mirrors `torch.nn.functional.adaptive_max_pool3d` on channels-last input; see
    `adaptive_max_pool2d`.

    Returns:
      `(n, d_out, h_out, w_out, c)` from `(n, d, h, w, c)`; with `return_indices` also the flat
      position `(plane*h + row)*w + column` of each maximum.

    Raises:
      ValueError: If `output_size` is negative or not one number for each axis.
      TypeError: If `output_size` is not made of integers.

    Example:
      >>> adaptive_max_pool3d(jnp.ones((1, 4, 6, 8, 3)), (1, None, 2)).shape
      (1, 1, 6, 2, 3)
    """
    return _adaptive_max_pool(3, input, output_size, return_indices)


def check_output_size(where: str, n: int, output_size: OutputSize) -> tuple[int | None, ...]:
    """Checks and spells out the output's size along `n` axes; None stands for the input's.

    Raises:
      ValueError: If a size is negative or there is not one for each axis.
      TypeError: If a size is not an integer.

    Example:
      >>> check_output_size("adaptive_avg_pool2d", 2, 7)
      (7, 7)
    """
    alone = n > 1 and not isinstance(output_size, Sequence)
    given: Any = output_size if isinstance(output_size, Sequence) else (output_size,) * n
    rule = f"output_size must be an int or a sequence of {n} ints" + (" or Nones" if n > 1 else "")
    ok = all(is_int(size) or (size is None and n > 1 and not alone) for size in given)
    check_type(ok, where, rule, output_size=output_size)
    check(len(given) == n, where, rule, output_size=output_size)
    rule = "output_size must be at least 0"
    check(all(size is None or size >= 0 for size in given), where, rule, output_size=output_size)
    return tuple(given)


def _positions(where: str, x: jax.Array, output_size: OutputSize) -> list[np.ndarray]:
    """For each axis the pixels of each window, as `spread` takes them."""
    spatial = x.shape[1:-1]
    wanted = check_output_size(where, len(spatial), output_size)
    found = []
    for size, out in zip(spatial, wanted, strict=True):
        i = np.arange(size if out is None else out)
        starts, ends = i * size // max(i.size, 1), -(-(i + 1) * size // max(i.size, 1))
        pixels = starts[:, None] + np.arange((ends - starts).max(initial=1))
        found.append(np.where(pixels < ends[:, None], pixels, -1))
    return found


def _adaptive_avg_pool(n: int, input: ArrayLike, output_size: OutputSize) -> jax.Array:
    where = f"adaptive_avg_pool{n}d"

    def pool(x: jax.Array) -> jax.Array:
        positions = _positions(where, x, output_size)
        # Half precision sums in float32, as PyTorch does.
        y = widened(x)
        for axis in reversed(range(1, x.ndim - 1)):
            inside = positions[axis - 1] >= 0
            pixels = spread(y, axis, positions[axis - 1])
            trailing = (1,) * (x.ndim - 1 - axis)
            if not inside.all():
                pixels = jnp.where(inside.reshape(*inside.shape, *trailing), pixels, 0)
            y = pixels.sum(axis + 1) / inside.sum(1).reshape(-1, *trailing).astype(y.dtype)
        return y.astype(x.dtype)

    return on_batch(where, input, n, pool)


def _adaptive_max_pool(
    n: int, input: ArrayLike, output_size: OutputSize, return_indices: bool
) -> Any:
    where = f"adaptive_max_pool{n}d"

    def pool(x: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
        indices = argmax(x, _positions(where, x, output_size))
        y = at(x, indices)
        return (y, indices) if return_indices else y

    return on_batch(where, input, n, pool)
