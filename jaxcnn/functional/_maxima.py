"""Maxima of windows and where they are.

On ties the first maximum counts, in the order of the flat positions; a NaN is larger than every
number and the last one counts; padding never does. Gradients go to the pixel that counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.functional import _cpu
from jaxcnn.functional._programs import one_program
from jaxcnn.functional._windows import UNROLLED, Window, first_maximum, pick, spread

_NOWHERE = np.int32(np.iinfo(np.int32).max)


@one_program("window")
def sliding_max(x: jax.Array, window: Window) -> jax.Array:
    """The maximum over sliding windows, (N, *spatial, C)."""
    if max(window.kernel) <= UNROLLED:
        program = lambda x: _cpu.max_pool(x, window)
    else:
        program = lambda x: at(x, sliding_argmax(x, window))
    if set(window.dilation) != {1}:  # JAX has no gradient for the plain dilated program
        return program(x)
    plain = lambda x: window.reduce(x, -jnp.inf, lax.max)
    return lax.platform_dependent(x, cpu=program, default=plain)


@one_program("window")
def sliding_argmax(x: jax.Array, window: Window) -> jax.Array:
    """The flat spatial position of the maximum of each sliding window."""
    if max(window.kernel) > UNROLLED:
        return argmax(x, window.positions(x.shape[1:-1]))
    value, index = lax.stop_gradient(x), _flat_positions(x)
    for axis in reversed(range(len(window.kernel))):
        value, which = first_maximum(value, window, axis)
        index = pick(index, which, window, axis)
    return index


def argmax(x: jax.Array, positions: Sequence[np.ndarray | jax.Array]) -> jax.Array:
    """The flat spatial position of the maximum of each window.

    Args:
      x: (N, *spatial, C).
      positions: For each spatial axis the pixels of its windows, as `spread` takes them.

    Returns:
      int32 positions (N, *windows, C).
    """
    value, index = lax.stop_gradient(x), _flat_positions(x)
    for axis in reversed(range(1, x.ndim - 1)):
        pixels = positions[axis - 1]
        values, indices = spread(value, axis, pixels), spread(index, axis, pixels)
        if isinstance(pixels, np.ndarray):
            inside = (pixels >= 0).reshape(*pixels.shape, *(1,) * (x.ndim - 1 - axis))
            values = jnp.where(inside, values, -jnp.inf)
            indices = jnp.where(inside, indices, _NOWHERE)
        operands = values, jnp.broadcast_to(indices, values.shape)
        neutral = np.asarray(-np.inf, x.dtype), _NOWHERE
        value, index = lax.reduce(operands, neutral, _larger, (axis + 1,))
    return index


def at(x: jax.Array, indices: jax.Array) -> jax.Array:
    """The values of `x` (N, *spatial, C) at flat spatial positions; -inf where there is none."""
    # Sizes are spelled out, as an empty batch leaves -1 undetermined.
    flat, where = (
        a.reshape(a.shape[0], math.prod(a.shape[1:-1]), a.shape[-1]) for a in (x, indices)
    )
    values = jnp.take_along_axis(flat, where, 1, mode="fill", fill_value=-jnp.inf)
    return values.reshape(indices.shape)


def _flat_positions(x: jax.Array) -> jax.Array:
    spatial = x.shape[1:-1]
    return jnp.arange(math.prod(spatial), dtype=jnp.int32).reshape(1, *spatial, 1)


# Whatever the order in which a reduction pairs them up, the result is the same.
def _larger(a: Any, b: Any) -> Any:
    (a_value, a_index), (b_value, b_index) = a, b
    a_nan, b_nan = a_value != a_value, b_value != b_value
    among_nans = b_nan & (~a_nan | (b_index > a_index))
    first = (b_value > a_value) | ((b_value == a_value) & (b_index < a_index))
    second = among_nans | (~a_nan & first)
    return lax.select(second, b_value, a_value), lax.select(second, b_index, a_index)
