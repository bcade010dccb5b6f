"""Resizing. Mirrors torch.nn.functional.interpolate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, int_tuple

# Spatial axes that each mode takes; torch names the linear modes by their number.
_MODES = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "linear": (1,), "bilinear": (2,)}
_LINEAR = ("linear", "bilinear")


def interpolate(
    input: ArrayLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> jax.Array:
    """Resizes the spatial axes.

    Mirrors `torch.nn.functional.interpolate` on channels-last input. "nearest" floors, as PyTorch
    does; jax.image's "nearest" is "nearest-exact" here.

    Args:
      input: `(n, *spatial, c)`.
      size: Output size in pixels, one integer for all spatial axes or one each.
      scale_factor: Output size over input size, instead of `size`.
      mode: "nearest", "nearest-exact", "linear" (1-D) or "bilinear" (2-D).
      align_corners: Whether the corner pixels' centres keep their place (linear modes only).
      recompute_scale_factor: Whether to sample by the rounded output size instead of by
        `scale_factor` itself.

    Returns:
      `(n, *size, c)`; with `scale_factor`, `size = floor(input size * scale_factor)`.

    Raises:
      ValueError: If not exactly one of `size` and `scale_factor` is given, the mode is unknown or
        does not fit the number of axes, or an option does not fit the mode.
      TypeError: If `size` is not integers.

    Example:
      >>> interpolate(jnp.array([1.0, 2.0]).reshape(1, 2, 1), 4)[0, :, 0].tolist()
      [1.0, 1.0, 2.0, 2.0]
    """
    x = jnp.asarray(input)
    spatial = x.shape[1:-1]
    known = tuple(_MODES)
    check(mode in known, "interpolate", f"mode must be one of {known}", mode=mode)
    rule = f"mode {mode!r} needs {_MODES[mode]} spatial axes in (n, *spatial, c)"
    check(len(spatial) in _MODES[mode], "interpolate", rule, shape=x.shape)
    rule = "only linear modes take align_corners"
    fits = mode in _LINEAR or align_corners is None
    check(fits, "interpolate", rule, mode=mode, align_corners=align_corners)
    sizes, scales = _output_sizes(spatial, size, scale_factor, recompute_scale_factor)
    # Half precision is interpolated in float32; positions follow PyTorch's own precision.
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32)) if mode in _LINEAR else x
    precision = np.dtype(np.float64 if y.dtype == jnp.float64 else np.float32)
    for axis, (n_in, n_out, scale) in enumerate(zip(spatial, sizes, scales, strict=True), 1):
        if mode in _LINEAR:
            y = _linear(y, axis, n_in, n_out, scale, bool(align_corners), precision)
        elif mode == "nearest-exact":
            y = jnp.take(y, _nearest_exact(n_in, n_out, scale, lines=len(spatial) == 1), axis)
        else:
            y = jnp.take(y, _nearest(n_in, n_out, scale, images=len(spatial) == 2), axis)
    if mode in _LINEAR and not jnp.issubdtype(x.dtype, jnp.floating):
        y = jnp.rint(y)
    return y.astype(x.dtype)


def _output_sizes(
    spatial: Sequence[int],
    size: int | Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    recompute_scale_factor: bool | None,
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Each axis' output size, and its scale factor where that sets the sampling positions."""
    n = len(spatial)
    rule = "exactly one of size and scale_factor must be given"
    one = (size is None) != (scale_factor is None)
    check(one, "interpolate", rule, size=size, scale_factor=scale_factor)
    if size is not None:
        rule = "recompute_scale_factor needs scale_factor"
        check(not recompute_scale_factor, "interpolate", rule, size=size)
        return int_tuple(size, n, "interpolate", "size", 1), (None,) * n
    assert scale_factor is not None
    numbers = np.asarray(scale_factor, np.float64)
    factors = tuple(np.broadcast_to(numbers, (n,)).tolist()) if numbers.size in (1, n) else ()
    rule = f"scale_factor must be a positive number or {n} of them"
    ok = len(factors) == n and all(f > 0 for f in factors)
    check(ok, "interpolate", rule, scale_factor=scale_factor)
    sizes = tuple(math.floor(s * f) for s, f in zip(spatial, factors, strict=True))
    check(min(sizes) > 0, "interpolate", "the output must not be empty", scale_factor=scale_factor)
    return sizes, ((None,) * n if recompute_scale_factor else factors)


def _step(n_in: int, n_out: int, scale: float | None, precision: np.dtype) -> np.floating:
    return precision.type(n_in / n_out if scale is None else 1.0 / scale)


def _nearest(n_in: int, n_out: int, scale: float | None, images: bool) -> np.ndarray:
    """Input position of each output pixel; PyTorch computes it in float32 whatever the input."""
    out = np.arange(n_out)
    # PyTorch's 2-D program, and only that one, ignores the scale factor where it seems clear.
    if images and n_out == n_in:
        return out
    if images and n_out == 2 * n_in:
        return out // 2
    positions = out.astype(np.float32) * _step(n_in, n_out, scale, np.dtype(np.float32))
    return np.minimum(np.floor(positions).astype(np.int64), n_in - 1)


def _nearest_exact(n_in: int, n_out: int, scale: float | None, lines: bool) -> np.ndarray:
    """The same for the pixel whose centre is nearest."""
    step = _step(n_in, n_out, scale, np.dtype(np.float32))
    half = np.float32(0.5)
    if lines:  # PyTorch's 1-D program rounds at other places, which decides between equals
        exact = (np.arange(n_out) + 0.5) * np.float64(step) - 0.5
        positions = exact.astype(np.float32) + half
    else:
        positions = (np.arange(n_out, dtype=np.float32) + half) * step
    return np.minimum(np.floor(positions).astype(np.int64), n_in - 1)


def _linear(
    x: jax.Array,
    axis: int,
    n_in: int,
    n_out: int,
    scale: float | None,
    align_corners: bool,
    precision: np.dtype,
) -> jax.Array:
    """Interpolates one axis between its two neighbouring pixels."""
    if n_in == n_out:  # PyTorch then ignores the scale factor
        return x
    out = np.arange(n_out).astype(precision)
    half = precision.type(0.5)
    if align_corners:
        step = precision.type((n_in - 1) / (n_out - 1) if n_out > 1 else 0.0)
        position = out * step
    else:
        step = _step(n_in, n_out, scale, precision)
        position = np.maximum((out + half) * step - half, precision.type(0))
    low = np.minimum(np.floor(position).astype(np.int64), n_in - 1)
    high = np.minimum(low + 1, n_in - 1)
    weight = (position - low.astype(precision)).clip(0, 1)
    shape = [1] * x.ndim
    shape[axis] = n_out
    weight = jnp.asarray(weight.reshape(shape), x.dtype)
    return jnp.take(x, low, axis) * (1 - weight) + jnp.take(x, high, axis) * weight
