"""Maximum pooling over sliding windows. Mirrors torch.nn.functional's."""

from __future__ import annotations

from typing import Any, Literal, overload

import jax
from jax.typing import ArrayLike

from jaxcnn.functional._maxima import sliding_argmax, sliding_max
from jaxcnn.functional._pooling import IntOrInts, on_batch, sliding_window


@overload
def max_pool1d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> jax.Array: ...
@overload
def max_pool1d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
) -> tuple[jax.Array, jax.Array]: ...
@overload
def max_pool1d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]: ...
def max_pool1d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Takes the maximum over sliding 1-D windows.

    Mirrors `torch.nn.functional.max_pool1d` on channels-last input; see `max_pool2d`.

    Returns:
      `(n, l_out, c)` from `(n, l, c)`; with `return_indices` also the position of each maximum.

    Raises:
      ValueError: If a size does not fit, or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> max_pool1d(jnp.asarray([3.0, 1.0, 2.0, 5.0]).reshape(1, 4, 1), 2).ravel().tolist()
      [3.0, 5.0]
    """
    sizes = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool(1, input, sizes, return_indices)


@overload
def max_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> jax.Array: ...
@overload
def max_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
) -> tuple[jax.Array, jax.Array]: ...
@overload
def max_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]: ...
def max_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Takes the maximum over sliding 2-D windows.

    Mirrors `torch.nn.functional.max_pool2d` on channels-last input. Padding counts as -inf; of
    equal maxima the first gets the gradient, of NaNs the last.

    Args:
      input: Images `(n, h, w, c)`, or one image without the batch axis.
      kernel_size: Window height and width in pixels; an int means both.
      stride: Steps between windows in pixels. Defaults to `kernel_size`.
      padding: Pixels added on both sides, at most half of `kernel_size`.
      dilation: Steps between the pixels of one window.
      ceil_mode: Whether a last window may hang over the edge (it must start inside the input or
        its left padding).
      return_indices: Whether to return also where each maximum was.

    Returns:
      `(n, h_out, w_out, c)`, `h_out = floor((h + 2*p - d*(k - 1) - 1) / stride) + 1` (ceil with
      `ceil_mode`); with `return_indices` also an int32 array of the same shape holding the flat
      position `row*w + column` of the maximum (the first one on ties).

    Raises:
      ValueError: If a size does not fit, or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
      >>> y, indices = max_pool2d(x, 2, return_indices=True)
      >>> y[0, :, :, 0].tolist(), indices[0, :, :, 0].tolist()
      ([[5.0, 7.0], [13.0, 15.0]], [[5, 7], [13, 15]])
    """
    sizes = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool(2, input, sizes, return_indices)


@overload
def max_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> jax.Array: ...
@overload
def max_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
) -> tuple[jax.Array, jax.Array]: ...
@overload
def max_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]: ...
def max_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Takes the maximum over sliding 3-D windows.

    Mirrors `torch.nn.functional.max_pool3d` on channels-last input; see `max_pool2d`.

    Returns:
      `(n, d_out, h_out, w_out, c)` from `(n, d, h, w, c)`; with `return_indices` also the flat
      position `(plane*h + row)*w + column` of each maximum.

    Raises:
      ValueError: If a size does not fit, or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> max_pool3d(jnp.ones((1, 4, 6, 8, 3)), 2).shape
      (1, 2, 3, 4, 3)
    """
    sizes = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool(3, input, sizes, return_indices)


def _max_pool(
    n: int, input: ArrayLike, sizes: tuple[Any, ...], return_indices: bool
) -> jax.Array | tuple[jax.Array, jax.Array]:
    where = f"max_pool{n}d"

    def pool(x: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
        window = sliding_window(where, x.shape[1:-1], *sizes)
        y = sliding_max(x, window)
        return (y, sliding_argmax(x, window)) if return_indices else y

    return on_batch(where, input, n, pool)
