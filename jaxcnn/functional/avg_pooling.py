"""Average pooling over sliding windows. Mirrors torch.nn.functional's."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type, is_int
from jaxcnn.functional import _cpu
from jaxcnn.functional._numbers import widened
from jaxcnn.functional._pooling import IntOrInts, on_batch, sliding_window
from jaxcnn.functional._programs import one_program
from jaxcnn.functional._windows import UNROLLED, Window


def avg_pool1d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> jax.Array:
    """Takes the mean over sliding 1-D windows.

    Mirrors `torch.nn.functional.avg_pool1d` on channels-last input; see `avg_pool2d`.

    Returns:
      `(n, l_out, c)` from `(n, l, c)`.

    Raises:
      ValueError: If a size does not fit, or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> avg_pool1d(jnp.arange(4.0).reshape(1, 4, 1), 2).ravel().tolist()
      [0.5, 2.5]
    """
    window = kernel_size, stride, padding, 1, ceil_mode
    return _avg_pool(1, input, window, count_include_pad)


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
      >>> import jax.numpy as jnp
      >>> avg_pool2d(jnp.arange(16.0).reshape(1, 4, 4, 1), 2)[0, :, :, 0].tolist()
      [[2.5, 4.5], [10.5, 12.5]]
    """
    window = kernel_size, stride, padding, 1, ceil_mode
    return _avg_pool(2, input, window, count_include_pad, divisor_override)


def avg_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """Takes the mean over sliding 3-D windows.

    Mirrors `torch.nn.functional.avg_pool3d` on channels-last input; see `avg_pool2d`.

    Returns:
      `(n, d_out, h_out, w_out, c)` from `(n, d, h, w, c)`.

    Raises:
      ValueError: If a size does not fit, `padding` is more than half of `kernel_size` or
        `divisor_override` is zero.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> avg_pool3d(jnp.ones((1, 4, 6, 8, 3)), 2).shape
      (1, 2, 3, 4, 3)
    """
    window = kernel_size, stride, padding, 1, ceil_mode
    return _avg_pool(3, input, window, count_include_pad, divisor_override)


def check_divisor(where: str, divisor_override: int | None) -> None:
    """Raises unless `divisor_override` is None or a non-zero integer."""
    ok = divisor_override is None or is_int(divisor_override)
    rule = "divisor_override must be an int or None"
    check_type(ok, where, rule, divisor_override=divisor_override)
    rule = "divisor_override must not be zero"
    check(divisor_override != 0, where, rule, divisor_override=divisor_override)


def _avg_pool(
    n: int,
    input: ArrayLike,
    sizes: tuple[Any, ...],
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    where = f"avg_pool{n}d"
    check_divisor(where, divisor_override)

    def pool(x: jax.Array) -> jax.Array:
        window = sliding_window(where, x.shape[1:-1], *sizes)
        total = sliding_sum(x, window)
        if divisor_override is None:
            divisor = window_sizes(window, x.shape[1:-1], count_include_pad)
        else:
            divisor = np.asarray(divisor_override)
        return (total / divisor.astype(total.dtype)).astype(x.dtype)

    return on_batch(where, input, n, pool)


@one_program("window")
def sliding_sum(x: jax.Array, window: Window) -> jax.Array:
    """The sum over sliding windows; half precision sums in float32, as PyTorch does."""
    plain = lambda x: window.reduce(x, 0.0, lax.add)
    if max(window.kernel) > UNROLLED:
        return plain(widened(x))
    fast = lambda x: _cpu.sliding_sum(x, window)
    return lax.platform_dependent(widened(x), cpu=fast, default=plain)


def window_sizes(
    window: Window, spatial: tuple[int, ...], count_include_pad: bool = True
) -> np.ndarray:
    """How many pixels each window counts, (*windows, 1).

    What hangs over the padded input, whose padding is the same on both sides, never counts.
    """
    counts = np.ones(1, np.int64)
    outputs = window.output_sizes(spatial)
    for i in reversed(range(len(spatial))):
        low = window.pads[i][0]
        starts = np.arange(outputs[i]) * window.stride[i] - low
        ends = np.minimum(starts + window.kernel[i], spatial[i] + low)
        if not count_include_pad:
            starts, ends = np.maximum(starts, 0), np.minimum(ends, spatial[i])
        counts = np.multiply.outer(ends - starts, counts)
    return counts
