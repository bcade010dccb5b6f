"""Resizing. Mirrors torch.nn.functional.interpolate."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type, int_tuple
from jaxcnn.functional import _resampling
from jaxcnn.functional._resampling import Scale, Taps

# Spatial axes that each mode takes; torch names the linear and cubic modes by their number.
_MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
    "area": (1, 2, 3),
    "lanczos": (2,),
}
_COPIES = ("nearest", "nearest-exact")
_UNALIGNED = (*_COPIES, "area")
# Each antialiased mode's kernel, and half of its width.
_KERNELS = {
    "bilinear": (_resampling.triangle_kernel, 1),
    "bicubic": (functools.partial(_resampling.cubic_kernel, a=-0.5), 2),
    "lanczos": (_resampling.lanczos_kernel, 3),
}


def interpolate(
    input: ArrayLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> jax.Array:
    """Resizes the spatial axes.

    Mirrors `torch.nn.functional.interpolate` on channels-last input. "nearest" floors, as PyTorch
    does; jax.image's "nearest" is "nearest-exact" here. Integers are rounded and kept in their
    type's range.

    Args:
      input: `(n, *spatial, c)`.
      size: Output size in pixels, one integer for all spatial axes or one each.
      scale_factor: Output size over input size, instead of `size`.
      mode: "nearest", "nearest-exact", "area" (the mean of what a pixel covers), "linear" (1-D),
        "bilinear" (2-D), "trilinear" (3-D), "bicubic" (2-D) or "lanczos" (2-D, with `antialias`).
      align_corners: Whether the corner pixels' centres keep their place (linear and cubic modes).
      recompute_scale_factor: Whether to sample by the rounded output size instead of by
        `scale_factor` itself; "area" always does.
      antialias: Whether to average over all pixels that an output pixel covers, as Pillow does
        ("bilinear", "bicubic" and "lanczos").

    Returns:
      `(n, *size, c)`; with `scale_factor`, `size = floor(input size * scale_factor)`.

    Raises:
      ValueError: If not exactly one of `size` and `scale_factor` is given, the mode is unknown or
        does not fit the number of axes, or an option does not fit the mode.
      TypeError: If `size` is not integers or the input cannot be weighted (bool, complex).

    Example:
      >>> interpolate(jnp.array([1.0, 2.0]).reshape(1, 2, 1), 4)[0, :, 0].tolist()
      [1.0, 1.0, 2.0, 2.0]
    """
    x = jnp.asarray(input)
    _check_mode(x, mode, align_corners, antialias)
    scales = _scales(
        x.shape[1:-1],
        size,
        scale_factor,
        bool(recompute_scale_factor) or (mode == "area" and size is None),
        bool(align_corners),
    )
    # Half precision is interpolated in float32; positions follow PyTorch's own precision.
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    y = x if mode in _COPIES and not floating else x.astype(jnp.promote_types(x.dtype, jnp.float32))
    for axis, scale in reversed([*enumerate(scales, 1)]):
        taps = _taps(mode, scale, len(scales), antialias, y.dtype)
        if isinstance(taps, Taps):
            y = _resampling.resample(y, axis, taps)
            y = y if floating else _whole(y, x.dtype)
        elif taps is not None:
            y = jnp.take(y, taps, axis, mode="clip")
    return y.astype(x.dtype)


def upsample(
    input: ArrayLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> jax.Array:
    """`interpolate` under its old name.

    Mirrors `torch.nn.functional.upsample`, without its warning; arguments as in `interpolate`.

    Example:
      >>> upsample(jnp.ones((1, 2, 2, 3)), scale_factor=2).shape
      (1, 4, 4, 3)
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: ArrayLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> jax.Array:
    """`interpolate` with mode "nearest".

    Mirrors `torch.nn.functional.upsample_nearest`, without its warning; arguments as in
    `interpolate`.

    Example:
      >>> upsample_nearest(jnp.array([1.0, 2.0]).reshape(1, 2, 1), 4)[0, :, 0].tolist()
      [1.0, 1.0, 2.0, 2.0]
    """
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(
    input: ArrayLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> jax.Array:
    """`interpolate` with mode "bilinear" and aligned corners.

    Mirrors `torch.nn.functional.upsample_bilinear`, without its warning; arguments as in
    `interpolate`.

    Example:
      >>> upsample_bilinear(jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1), (3, 1)).ravel().tolist()
      [1.0, 1.5, 2.0]
    """
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


def check_resize_mode(where: str, mode: str) -> None:
    """Raises unless `interpolate` knows the mode."""
    known = tuple(_MODES)
    check(mode in known, where, f"mode must be one of {known}", mode=mode)


def check_one_size(where: str, size: object, scale_factor: object) -> None:
    """Raises unless exactly one of the two is given."""
    rule = "exactly one of size and scale_factor must be given"
    one = (size is None) != (scale_factor is None)
    check(one, where, rule, size=size, scale_factor=scale_factor)


def _whole(y: jax.Array, dtype: np.dtype) -> jax.Array:
    """Rounds to what an integer type can hold; PyTorch does so after each axis, last one first."""
    limits = jnp.iinfo(dtype)
    return jnp.floor(y + 0.5).clip(limits.min, limits.max)


def _check_mode(x: jax.Array, mode: str, align_corners: bool | None, antialias: bool) -> None:
    check_resize_mode("interpolate", mode)
    known = any(jnp.issubdtype(x.dtype, kind) for kind in (jnp.floating, jnp.integer))
    rule = "input must be real numbers"
    check_type(known or mode in _COPIES, "interpolate", rule, mode=mode, dtype=str(x.dtype))
    rule = f"mode {mode!r} needs {_MODES[mode]} spatial axes in (n, *spatial, c)"
    check(x.ndim - 2 in _MODES[mode], "interpolate", rule, shape=x.shape)
    rule = "only linear and cubic modes take align_corners"
    fits = align_corners is None or mode not in _UNALIGNED
    check(fits, "interpolate", rule, mode=mode, align_corners=align_corners)
    rule = f"only the modes {tuple(_KERNELS)} take antialias"
    check(mode in _KERNELS or not antialias, "interpolate", rule, mode=mode, antialias=antialias)
    if mode == "lanczos":
        rule = "mode 'lanczos' needs antialias"
        check(antialias, "interpolate", rule, antialias=antialias)
        rule = "mode 'lanczos' does not align corners"
        check(not align_corners, "interpolate", rule, align_corners=align_corners)


def _scales(
    spatial: Sequence[int],
    size: int | Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    recompute: bool,
    align_corners: bool,
) -> list[Scale]:
    """Each axis' sizes, and its scale factor where that sets the sampling positions."""
    n = len(spatial)
    check_one_size("interpolate", size, scale_factor)
    rule = "the input must not be empty"
    check(min(spatial) > 0, "interpolate", rule, spatial=tuple(spatial))
    if scale_factor is None:
        assert size is not None
        rule = "recompute_scale_factor needs scale_factor"
        check(not recompute, "interpolate", rule, size=size)
        sizes = int_tuple(size, n, "interpolate", "size", 1)
        return [Scale(*both, None, align_corners) for both in zip(spatial, sizes, strict=True)]
    numbers = np.asarray(scale_factor, np.float64)
    factors = tuple(np.broadcast_to(numbers, (n,)).tolist()) if numbers.size in (1, n) else ()
    rule = f"scale_factor must be a positive number or {n} of them"
    ok = len(factors) == n and all(f > 0 for f in factors)
    check(ok, "interpolate", rule, scale_factor=scale_factor)
    sizes = [math.floor(s * f) for s, f in zip(spatial, factors, strict=True)]
    check(min(sizes) > 0, "interpolate", "the output must not be empty", scale_factor=scale_factor)
    return [
        Scale(n_in, n_out, None if recompute else factor, align_corners)
        for n_in, n_out, factor in zip(spatial, sizes, factors, strict=True)
    ]


def _taps(
    mode: str, scale: Scale, axes: int, antialias: bool, dtype: np.dtype
) -> Taps | np.ndarray | None:
    """What one axis needs: weighted taps, pixels to copy, or None for nothing."""
    precision = np.dtype(np.float64 if dtype == jnp.float64 else np.float32)
    if mode == "nearest":
        return _resampling.nearest(scale, images=axes == 2)
    if mode == "nearest-exact":
        return _resampling.nearest_exact(scale, lines=axes == 1)
    if mode == "area":
        return _resampling.area(scale, precision)
    # PyTorch ignores the scale factor where the size stays, but for plain bicubic.
    if scale.n_in == scale.n_out and (antialias or mode != "bicubic"):
        return None
    if antialias:
        return _resampling.antialiased(scale, precision, *_KERNELS[mode])
    taps = _resampling.cubic if mode == "bicubic" else _resampling.linear
    return taps(scale, precision)
