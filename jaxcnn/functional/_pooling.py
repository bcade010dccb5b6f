"""What the pooling functions share: the input's check, the window's sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, int_tuple
from jaxcnn.functional._windows import Window

IntOrInts = int | Sequence[int]
_KINDS = {1: ("sequences", "l"), 2: ("images", "h, w"), 3: ("volumes", "d, h, w")}


def on_batch(where: str, input: ArrayLike, n: int, pool: Callable[[jax.Array], Any]) -> Any:
    """Calls `pool` with (N, *spatial, C); an input without batch axis gets one for that time.

    Args:
      where: Name of the function in messages.
      input: (N, *spatial, C) or (*spatial, C), `n` spatial axes.
      n: Spatial axes.
      pool: Takes (N, *spatial, C), gives one or more arrays with the batch first.
    """
    x = jnp.asarray(input)
    kind, axes = _KINDS[n]
    rule = f"input must be {kind} (n, {axes}, c), or ({axes}, c)"
    check(x.ndim in (n + 1, n + 2), where, rule, shape=x.shape)
    check_floating(where, x)
    rule = "no axis of the input but the batch may be empty"
    check(0 not in x.shape[-n - 1 :], where, rule, shape=x.shape)
    return pool(x) if x.ndim == n + 2 else jax.tree.map(lambda y: y[0], pool(x[None]))


def sizes(value: IntOrInts, n: int, where: str, name: str, minimum: int) -> tuple[int, ...]:
    """`int_tuple` that takes a sequence of one for all axes, as PyTorch's pooling does.

    Example:
      >>> sizes((3,), 2, "max_pool2d", "kernel_size", 1)
      (3, 3)
    """
    if isinstance(value, Sequence) and len(value) == 1:
        value = value[0]
    return int_tuple(value, n, where, name, minimum)


def pooling_sizes(
    n: int,
    where: str,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Checks and spells out (kernel, stride, padding, dilation) of a window over `n` axes.

    Raises:
      ValueError: If a size is out of range or `padding` is more than half of `kernel_size`.
      TypeError: If a size is not an integer.

    Example:
      >>> pooling_sizes(2, "max_pool2d", 2, None)
      ((2, 2), (2, 2), (0, 0), (1, 1))
    """
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    if isinstance(stride, Sequence) and len(stride) == 0:  # PyTorch's other way to say None
        stride = None
    steps = kernel if stride is None else sizes(stride, n, where, "stride", 1)
    pads = sizes(padding, n, where, "padding", 0)
    spread = sizes(dilation, n, where, "dilation", 1)
    fits = all(2 * p <= k for p, k in zip(pads, kernel, strict=True))
    rule = "padding must be at most half of kernel_size"
    check(fits, where, rule, padding=padding, kernel_size=kernel_size)
    return kernel, steps, pads, spread


def sliding_window(
    where: str,
    spatial: tuple[int, ...],
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
) -> Window:
    """The pooling window; with `ceil_mode` its high padding reaches to the end of the last one."""
    n = len(spatial)
    kernel, steps, pads, spread = pooling_sizes(n, where, kernel_size, stride, padding, dilation)
    high = []
    for size, k, s, p, d in zip(spatial, kernel, steps, pads, spread, strict=True):
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
