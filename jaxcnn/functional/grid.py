"""Sampling at given places. Mirrors torch.nn.functional.grid_sample and affine_grid."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, check_type, is_int
from jaxcnn.functional._numbers import widened

_MODES = ("bilinear", "nearest", "bicubic")
_PADDING_MODES = ("zeros", "border", "reflection")


def grid_sample(
    input: ArrayLike,
    grid: ArrayLike,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> jax.Array:
    """Samples images at the places that a grid names.

    Mirrors `torch.nn.functional.grid_sample` on channels-last input; the grid is PyTorch's,
    unchanged: each place is (x, y) or (x, y, z), x along the width.

    Args:
      input: `(n, h, w, c)` or `(n, d, h, w, c)`.
      grid: `(n, h_out, w_out, 2)` or `(n, d_out, h_out, w_out, 3)`; -1 and 1 are the image's
        edges.
      mode: "bilinear" (trilinear in 3-D), "nearest" or "bicubic" (2-D).
      padding_mode: What lies beyond the edges: "zeros", "border" (the edge repeats) or
        "reflection" (the image, mirrored at its edges). There NaN counts as the first pixel.
      align_corners: Whether -1 and 1 are the centres of the corner pixels instead of their outer
        edges; None means False.

    Returns:
      `(n, h_out, w_out, c)` or `(n, d_out, h_out, w_out, c)`, in the input's dtype. The gradient
      of the grid is zero where a place is held at the border, and for "nearest".

    Raises:
      ValueError: If the shapes do not fit each other, or a mode is unknown or does not fit.
      TypeError: If input or grid is not floating point.

    Example:
      >>> x = jnp.arange(4.0).reshape(1, 2, 2, 1)
      >>> grid_sample(x, jnp.zeros((1, 1, 1, 2))).ravel().tolist()
      [1.5]
    """
    x, places = jnp.asarray(input), jnp.asarray(grid)
    _check_sample(x, places, mode, padding_mode)
    dtype = jnp.promote_types(jnp.result_type(x, places), jnp.float32)
    sizes = x.shape[1:-1]
    axes = [  # the grid counts from the last axis
        _axis_taps(places[..., -1 - k].astype(dtype), size, mode, padding_mode, bool(align_corners))
        for k, size in enumerate(sizes)
    ]
    flat = x.reshape(x.shape[0], -1, x.shape[-1]).astype(dtype)
    y = jnp.zeros((*places.shape[:-1], x.shape[-1]), dtype)
    for taps in itertools.product(*axes):
        weight = functools.reduce(operator.mul, (w for _, w in taps))
        y = y + _pixels(flat, [p for p, _ in taps], sizes) * weight[..., None]
    return y.astype(x.dtype)


def affine_grid(
    theta: ArrayLike, size: Sequence[int], align_corners: bool | None = None
) -> jax.Array:
    """The grid for `grid_sample` that moves images by affine maps.

    Mirrors `torch.nn.functional.affine_grid`; theta and the grid are PyTorch's, unchanged. `size`
    is the shape of the images that `grid_sample` is to return, channels-last as all shapes here.

    Args:
      theta: `(n, 2, 3)` or `(n, 3, 4)`: from a place (x, y, 1) or (x, y, z, 1) in the output to
        one in the input.
      size: `(n, h, w, c)` or `(n, d, h, w, c)`.
      align_corners: As in `grid_sample`; None means False.

    Returns:
      `(n, h, w, 2)` or `(n, d, h, w, 3)`.

    Raises:
      ValueError: If the shapes do not fit each other.
      TypeError: If theta is not floating point or `size` is not integers.

    Source:
      "Spatial Transformer Networks", Jaderberg et al. 2015, https://arxiv.org/abs/1506.02025.

    Example:
      >>> identity = jnp.array([[[1.0, 0, 0], [0, 1, 0]]])
      >>> affine_grid(identity, (1, 1, 2, 3))[0, 0].tolist()
      [[-0.5, 0.0], [0.5, 0.0]]
    """
    where = "affine_grid"
    theta = jnp.asarray(theta)
    floating = jnp.issubdtype(theta.dtype, jnp.floating)
    rule = "theta must be floating point"
    check_type(floating, where, rule, dtype=str(theta.dtype))
    rule = "theta must be (n, 2, 3) or (n, 3, 4)"
    check(theta.ndim == 3, where, rule, shape=theta.shape)
    n = theta.shape[1]
    check(n in (2, 3) and theta.shape[2] == n + 1, where, rule, shape=theta.shape)
    rule = f"size must be a sequence of {n + 2} ints"
    check_type(isinstance(size, Sequence) and all(map(is_int, size)), where, rule, size=size)
    check(len(size) == n + 2, where, rule, size=tuple(size))
    check(min(size) >= 1, where, "size must be at least 1", size=tuple(size))
    rule = "size must have theta's batch"
    check(size[0] == len(theta), where, rule, size=tuple(size), theta=theta.shape)
    wide = widened(theta)
    entries = wide.reshape(len(theta), *(1,) * n, n, n + 1)
    grid = entries[..., n]
    for k, pixels in enumerate(reversed(size[1:-1])):
        steps = _unit_steps(pixels, bool(align_corners)).astype(wide.dtype)
        grid = grid + entries[..., k] * steps.reshape(-1, *(1,) * (k + 1))
    return grid.astype(theta.dtype)


def _check_sample(x: jax.Array, places: jax.Array, mode: str, padding_mode: str) -> None:
    where = "grid_sample"
    check(mode in _MODES, where, f"mode must be one of {_MODES}", mode=mode)
    rule = f"padding_mode must be one of {_PADDING_MODES}"
    check(padding_mode in _PADDING_MODES, where, rule, padding_mode=padding_mode)
    rule = "input must be (n, h, w, c) or (n, d, h, w, c)"
    check(x.ndim in (4, 5), where, rule, shape=x.shape)
    rule = f"grid must be {'(n, h, w, 2)' if x.ndim == 4 else '(n, d, h, w, 3)'}"
    fits = places.ndim == x.ndim and places.shape[-1] == x.ndim - 2
    check(fits, where, rule, shape=places.shape)
    rule = "input and grid must have one batch size"
    check(places.shape[0] == x.shape[0], where, rule, input=x.shape, grid=places.shape)
    check(min(x.shape[1:-1]) > 0, where, "the input must not be empty", shape=x.shape)
    check_floating(where, x)
    floating = jnp.issubdtype(places.dtype, jnp.floating)
    rule = "grid must be floating point"
    check_type(floating, where, rule, dtype=str(places.dtype))
    rule = "mode 'bicubic' needs (n, h, w, c)"
    check(mode != "bicubic" or x.ndim == 4, where, rule, shape=x.shape)


def _position(place: jax.Array, size: int, align_corners: bool) -> jax.Array:
    """From -1..1 to pixels, counted from the first one's centre."""
    if align_corners:
        return (place + 1) / 2 * (size - 1)
    return ((place + 1) * size - 1) / 2


def _inside(position: jax.Array, size: int, padding_mode: str, align_corners: bool) -> jax.Array:
    """Moves positions beyond the edges to where `padding_mode` finds their pixel."""
    if padding_mode == "zeros":
        return position
    if padding_mode == "reflection":
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        position = _reflected(position - low, span) + low
    # PyTorch's gradient is zero on the border itself; comparisons let NaN fall to 0.
    inside = (position > 0) & (position < size - 1)
    held = jnp.where(jax.lax.stop_gradient(position) >= size - 1, float(size - 1), 0.0)
    return jnp.where(inside, position, held)


def _reflected(distance: jax.Array, span: int) -> jax.Array:
    """Folds distances into 0..span."""
    if span == 0:
        return jnp.zeros_like(distance)
    distance = jnp.where(distance < 0, -distance, distance)  # abs has no slope at 0
    rest = jax.lax.rem(distance, jnp.asarray(2 * span, distance.dtype))
    return jnp.where(rest > span, 2 * span - rest, rest)


def _axis_taps(
    place: jax.Array, size: int, mode: str, padding_mode: str, align_corners: bool
) -> list[tuple[jax.Array, jax.Array]]:
    """The whole positions around each place along one axis, and their weights."""
    position = _position(place, size, align_corners)
    if mode == "bicubic":
        low = jnp.floor(position)
        return [
            (_inside(low + k, size, padding_mode, align_corners), _cubic(position - low, k))
            for k in range(-1, 3)
        ]
    position = _inside(position, size, padding_mode, align_corners)
    if mode == "nearest":
        return [(jnp.round(position), jnp.ones_like(position))]
    low = jnp.floor(position)
    return [(low, 1 - (position - low)), (low + 1, position - low)]


def _cubic(t: jax.Array, k: int) -> jax.Array:
    """Keys' cubic, a = -0.75, for the tap `k` pixels after the one at or before the position."""
    a, x = -0.75, {-1: t + 1, 0: t, 1: 1 - t, 2: 2 - t}[k]
    if k in (0, 1):
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a


def _pixels(flat: jax.Array, where: Sequence[jax.Array], sizes: Sequence[int]) -> jax.Array:
    """The pixels at whole positions, zero where there is none."""
    exists = jnp.ones(where[0].shape, bool)
    index = jnp.zeros(where[0].shape, jnp.int32)
    for position, size in zip(where, sizes, strict=True):
        exists &= (position >= 0) & (position <= size - 1)
        index = index * size + jnp.clip(position, 0, size - 1).astype(jnp.int32)
    found = jnp.take_along_axis(flat, index.reshape(len(flat), -1, 1), axis=1, mode="clip").reshape(
        *index.shape, flat.shape[-1]
    )
    return jnp.where(exists[..., None], found, 0)


def _unit_steps(pixels: int, align_corners: bool) -> np.ndarray:
    """Each pixel's centre in -1..1."""
    if pixels == 1:
        return np.zeros(1)
    steps = np.linspace(-1, 1, pixels)
    return steps if align_corners else steps * (pixels - 1) / pixels
