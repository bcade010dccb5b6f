"""Power-average pooling over sliding windows. Mirrors torch.nn.functional's."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type
from jaxcnn.functional._maxima import sliding_max
from jaxcnn.functional._numbers import widened
from jaxcnn.functional._pooling import IntOrInts, on_batch, sliding_window
from jaxcnn.functional.avg_pooling import sliding_sum, window_sizes


def lp_pool1d(
    input: ArrayLike,
    norm_type: int | float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
) -> jax.Array:
    """Takes the p-norm over sliding 1-D windows.

    Mirrors `torch.nn.functional.lp_pool1d` on channels-last input; see `lp_pool2d`.

    Returns:
      `(n, l_out, c)` from `(n, l, c)`.

    Raises:
      ValueError: If a size does not fit or `norm_type` is zero.
      TypeError: If a size is not an integer or `norm_type` not a number.

    Example:
      >>> lp_pool1d(jnp.asarray([3.0, 4.0, 6.0, 8.0]).reshape(1, 4, 1), 2, 2).ravel().tolist()
      [5.0, 10.0]
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: ArrayLike,
    norm_type: int | float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
) -> jax.Array:
    """Takes the p-norm over sliding 2-D windows.

    Mirrors `torch.nn.functional.lp_pool2d` on channels-last input: `sum(x**p) ** (1/p)`, without
    an absolute value, so an odd `p` gives NaN where the sum is negative. The gradient is zero
    where the sum is.

    Args:
      input: Images `(n, h, w, c)`, or one image without the batch axis.
      norm_type: The power `p`; infinity gives the largest absolute value, minus infinity the
        smallest.
      kernel_size: Window height and width in pixels; an int means both.
      stride: Steps between windows in pixels. Defaults to `kernel_size`.
      ceil_mode: Whether a last window may hang over the edge; its sum is scaled up to a whole
        window's.

    Returns:
      `(n, h_out, w_out, c)`, sizes as in `max_pool2d` without padding.

    Raises:
      ValueError: If a size does not fit or `norm_type` is zero.
      TypeError: If a size is not an integer or `norm_type` not a number.

    Example:
      >>> x = jnp.asarray([[1.0, 3.0], [5.0, 1.0]]).reshape(1, 2, 2, 1)
      >>> lp_pool2d(x, 2, 2).item()
      6.0
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: ArrayLike,
    norm_type: int | float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
) -> jax.Array:
    """Takes the p-norm over sliding 3-D windows.

    Mirrors `torch.nn.functional.lp_pool3d` on channels-last input; see `lp_pool2d`.

    Returns:
      `(n, d_out, h_out, w_out, c)` from `(n, d, h, w, c)`.

    Raises:
      ValueError: If a size does not fit or `norm_type` is zero.
      TypeError: If a size is not an integer or `norm_type` not a number.

    Example:
      >>> lp_pool3d(jnp.ones((1, 4, 6, 8, 3)), 3, 2).shape
      (1, 2, 3, 4, 3)
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def check_norm_type(where: str, norm_type: Any) -> None:
    """Raises unless `norm_type` is a number other than zero."""
    ok = isinstance(norm_type, int | float) and not isinstance(norm_type, bool)
    check_type(ok, where, "norm_type must be a number", norm_type=norm_type)
    check(norm_type != 0, where, "norm_type must not be zero", norm_type=norm_type)


def _lp_pool(
    n: int,
    input: ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    ceil_mode: bool,
) -> jax.Array:
    where = f"lp_pool{n}d"
    check_norm_type(where, norm_type)

    def pool(x: jax.Array) -> jax.Array:
        spatial = x.shape[1:-1]
        window = sliding_window(where, spatial, kernel_size, stride, ceil_mode=ceil_mode)
        if math.isinf(norm_type):
            sign = math.copysign(1.0, norm_type)
            return sign * sliding_max(sign * jnp.abs(x), window)
        wide = widened(x)
        total = sliding_sum(wide**norm_type, window)
        scale = math.prod(window.kernel) / window_sizes(window, spatial)
        total = total * scale.astype(total.dtype)
        # The root's slope at zero is infinite: the branch not taken must stay finite.
        zero = total == 0
        root = jnp.where(zero, 1, total) ** (1 / norm_type)
        at_zero = jax.lax.stop_gradient(total) ** (1 / norm_type)
        return jnp.where(zero, at_zero, root).astype(x.dtype)

    return on_batch(where, input, n, pool)
