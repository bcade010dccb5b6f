"""Pooling as programs that XLA:CPU runs fast."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import numpy as np
from jax import lax

from jaxcnn.functional._windows import Window, first_maximum, pick


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def max_pool(x: jax.Array, window: Window) -> jax.Array:
    """The maximum over windows, (N, *spatial, C).

    The plain gradient, select-and-scatter, takes 17 ms for (64, 32, 32, 32) and a 2x2 window and
    holds 7.5 times the input; this one, a sum over the taps of one axis after the other, 0.5 ms and
    3 times. Unlike the plain one it exists for dilated windows too. It unrolls the taps, so it is
    for small windows.
    """
    return _reduce(x, window, -np.inf, lax.max)


@max_pool.defjvp
def _max_pool_jvp(
    window: Window, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (y,), (dy,) = primals, tangents
    for axis in reversed(range(len(window.kernel))):
        y, which = first_maximum(y, window, axis)
        dy = pick(dy, which, window, axis)
    return y, dy


def sliding_sum(x: jax.Array, window: Window) -> jax.Array:
    """The sum over windows, (N, *spatial, C); for small windows."""
    return _reduce(x, window, 0.0, lax.add)


def _reduce(
    x: jax.Array,
    window: Window,
    neutral: float,
    operation: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Combines the pixels of each window; padding counts as `neutral`.

    XLA's own program is fast for windows side by side, but not where they overlap: one axis after
    the other, tap by tap, takes a third of the time for 3x3 windows and stride 2.
    """
    if window.kernel == window.stride and set(window.dilation) == {1}:
        return window.reduce(x, neutral, operation)
    for axis in reversed(range(len(window.kernel))):
        along = window.along(axis)
        pixels = [image for _, image in along.taps(along.pad(x, neutral))]
        x = functools.reduce(operation, pixels)
    return x
