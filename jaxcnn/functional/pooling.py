"""Pooling. Mirrors the pooling functions of torch.nn.functional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, check_type, int_tuple, is_int
from jaxcnn.functional import _cpu
from jaxcnn.functional._windows import Window

IntOrInts = int | Sequence[int]


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

    Mirrors `torch.nn.functional.max_pool2d` on channels-last input. Padding counts as -inf.

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
      >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
      >>> y, indices = max_pool2d(x, 2, return_indices=True)
      >>> y[0, :, :, 0].tolist(), indices[0, :, :, 0].tolist()
      ([[5.0, 7.0], [13.0, 15.0]], [[5, 7], [13, 15]])
    """
    x = _as_images("max_pool2d", input)
    window = _window("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    batched = x.reshape(-1, *x.shape[-3:])
    y = _max_pool(batched, window)
    if not return_indices:
        return y.reshape(*x.shape[:-3], *y.shape[1:])
    indices = _argmax(batched, window)
    return y.reshape(*x.shape[:-3], *y.shape[1:]), indices.reshape(*x.shape[:-3], *y.shape[1:])


def avg_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """Takes the mean over sliding 2-D windows.

    Mirrors `torch.nn.functional.avg_pool2d` on channels-last input.

    Args:
      input: Images `(n, h, w, c)`, or one image without the batch axis.
      kernel_size: Window height and width in pixels; an int means both.
      stride: Steps between windows in pixels. Defaults to `kernel_size`.
      padding: Zeros added on both sides in pixels, at most half of `kernel_size`.
      ceil_mode: Whether a last window may hang over the edge; what hangs over the padded input is
        not counted in the mean.
      count_include_pad: Whether padding counts in the mean.
      divisor_override: Divides the sum by this number instead of the window's size.

    Returns:
      `(n, h_out, w_out, c)`, sizes as in `max_pool2d` with dilation 1.

    Raises:
      ValueError: If a size does not fit, `padding` is more than half of `kernel_size` or
        `divisor_override` is zero.
      TypeError: If a size is not an integer.

    Example:
      >>> avg_pool2d(jnp.arange(16.0).reshape(1, 4, 4, 1), 2)[0, :, :, 0].tolist()
      [[2.5, 4.5], [10.5, 12.5]]
    """
    x = _as_images("avg_pool2d", input)
    window = _window("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    check_divisor("avg_pool2d", divisor_override)
    # Half precision sums in float32, as PyTorch does.
    wide = x.reshape(-1, *x.shape[-3:]).astype(jnp.promote_types(x.dtype, jnp.float32))
    total = window.reduce(wide, 0.0, lax.add)
    if divisor_override is None:
        pads = [low for low, _ in window.pads]
        divisor = _window_sizes(window, x.shape[-3:-1], pads, count_include_pad)
    else:
        divisor = np.asarray(divisor_override)
    y = (total / divisor.astype(total.dtype)).astype(x.dtype)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def _as_images(where: str, input: ArrayLike) -> jax.Array:
    x = jnp.asarray(input)
    rule = "input must be images (n, h, w, c), or (h, w, c)"
    check(x.ndim in (3, 4), where, rule, shape=x.shape)
    check_floating(where, x)
    return x


def _window(
    where: str,
    x: jax.Array,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: IntOrInts,
    dilation: IntOrInts,
    ceil_mode: bool,
) -> Window:
    """The pooling window; with `ceil_mode` its high padding reaches to the end of the last one."""
    kernel, steps, pads, spread = pooling_sizes(where, kernel_size, stride, padding, dilation)
    high = []
    for size, k, s, p, d in zip(x.shape[-3:-1], kernel, steps, pads, spread, strict=True):
        extent = d * (k - 1) + 1
        room = size + 2 * p - extent
        count = (math.ceil(room / s) if ceil_mode else room // s) + 1
        # PyTorch drops a last window that would start in the high padding.
        if ceil_mode and (count - 1) * s >= size + p:
            count -= 1
        rule = "the window must fit into the padded input"
        check(count > 0, where, rule, size=size, kernel_size=k, padding=p, dilation=d)
        high.append(max((count - 1) * s + extent - size - p, 0))
    return Window(kernel, steps, spread, tuple(zip(pads, high, strict=True)))


def pooling_sizes(
    where: str,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: IntOrInts,
    dilation: IntOrInts = 1,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Checks and spells out (kernel, stride, padding, dilation) of a 2-D pooling window.

    Raises:
      ValueError: If a size is out of range or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> pooling_sizes("max_pool2d", 2, None, 0)
      ((2, 2), (2, 2), (0, 0), (1, 1))
    """
    kernel = int_tuple(kernel_size, 2, where, "kernel_size", 1)
    steps = kernel if stride is None else int_tuple(stride, 2, where, "stride", 1)
    pads = int_tuple(padding, 2, where, "padding", 0)
    spread = int_tuple(dilation, 2, where, "dilation", 1)
    fits = all(2 * p <= k for p, k in zip(pads, kernel, strict=True))
    rule = "padding must be at most half of kernel_size"
    check(fits, where, rule, padding=padding, kernel_size=kernel_size)
    return kernel, steps, pads, spread


def _max_pool(x: jax.Array, window: Window) -> jax.Array:
    if set(window.dilation) != {1}:  # JAX has no gradient for the plain dilated program
        return _cpu.max_pool(x, window)
    return lax.platform_dependent(
        x,
        cpu=lambda x: _cpu.max_pool(x, window),
        default=lambda x: window.reduce(x, -jnp.inf, lax.max),
    )


def _argmax(x: jax.Array, window: Window) -> jax.Array:
    """The flat position row*w + column of each window's first maximum; the last NaN wins."""
    height, width = x.shape[1:3]
    positions = np.arange(height * width, dtype=np.int32).reshape(1, height, width, 1)
    inside = window.pad(jnp.ones(positions.shape, bool), False)
    where = window.pad(jnp.asarray(positions), 0)
    padded = window.pad(lax.stop_gradient(x), -jnp.inf)
    taps = zip(window.taps(padded), window.taps(where), window.taps(inside), strict=True)
    (_, best), (_, index), (_, started) = next(taps)
    for (_, value), (_, position), (_, real) in taps:
        better = (value > best) | jnp.isnan(value) | (real & ~started)
        best, index = jnp.where(better, value, best), jnp.where(better, position, index)
        started = started | real
    return jnp.broadcast_to(index, best.shape)


def _window_sizes(
    window: Window, spatial: Sequence[int], padding: Sequence[int], count_include_pad: bool
) -> np.ndarray:
    """How many pixels each window counts, (h_out, w_out, 1)."""
    sizes = []
    outputs = window.output_sizes(tuple(spatial))
    for size, k, s, p, count in zip(
        spatial, window.kernel, window.stride, padding, outputs, strict=True
    ):
        starts = np.arange(count) * s - p
        ends = np.minimum(starts + k, size + p)
        if not count_include_pad:
            starts, ends = np.maximum(starts, 0), np.minimum(ends, size)
        sizes.append(ends - starts)
    return sizes[0][:, None, None] * sizes[1][:, None]


def check_divisor(where: str, divisor_override: int | None) -> None:
    """Raises unless `divisor_override` is None or a non-zero integer."""
    ok = divisor_override is None or is_int(divisor_override)
    rule = "divisor_override must be an int or None"
    check_type(ok, where, rule, divisor_override=divisor_override)
    rule = "divisor_override must not be zero"
    check(divisor_override != 0, where, rule, divisor_override=divisor_override)
