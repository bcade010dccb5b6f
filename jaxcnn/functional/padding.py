"""Padding. Mirrors torch.nn.functional.pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type, is_int

_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
MODES = ("constant", *_NUMPY_MODES)


def pad(
    input: ArrayLike, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> jax.Array:
    """Pads the spatial axes of channels-last images.

    Mirrors `torch.nn.functional.pad`; the channel axis is not counted.

    Args:
      input: `(n, *spatial, c)`. Three axes are one image `(h, w, c)` where `pad` has two or more
        pairs. In the other modes than "constant", which pad spatial axes alone, any input with one
        axis more than `pad` has pairs lacks the batch.
      pad: Pixels to add, (left, right) of W, then of H, then of D; in "constant" mode further
        pairs pad C, then N. Negative numbers cut.
      mode: "constant", "reflect" (mirrors without the edge), "replicate" (repeats the edge) or
        "circular" (continues from the other side of what is left after the cut).
      value: What "constant" fills in; None means 0.

    Returns:
      The input with each padded axis longer by the sum of its pair.

    Raises:
      ValueError: If `pad` is not pairs for existing axes, the mode is unknown, an image is too
        small to be mirrored or continued that far, or more is cut than there is.
      TypeError: If `pad` is not integers.

    Example:
      >>> pad(jnp.ones((1, 4, 4, 3)), (1, 1, 2, 0)).shape
      (1, 6, 6, 3)
      >>> pad(jnp.arange(3).reshape(1, 3, 1), (2, -1), "reflect").ravel().tolist()
      [2, 1, 0, 1]
    """
    x = jnp.asarray(input)
    ints = isinstance(pad, Sequence) and all(map(is_int, pad))
    check_type(ints, "pad", "pad must be a sequence of ints", pad=pad)
    check(mode in MODES, "pad", f"mode must be one of {MODES}", mode=mode)
    pairs = len(pad) // 2
    most, kind = (x.ndim, "axes") if mode == "constant" else (x.ndim - 1, "spatial axes")
    rule = f"pad must be pairs for at most the {most} {kind} of the input"
    check(len(pad) % 2 == 0 and pairs <= most, "pad", rule, pad=tuple(pad))
    rule = "only mode 'constant' takes a value"
    check(mode == "constant" or not value, "pad", rule, mode=mode, value=value)
    unbatched = x.ndim == 3 and pairs > 1 if mode == "constant" else x.ndim == pairs + 1
    spatial = range(x.ndim - 2, -1 if unbatched else 0, -1)
    axes = [*spatial, x.ndim - 1, 0][:pairs]
    return _pad_axes("pad", x, dict(zip(axes, _pairs(pad), strict=True)), mode, value)


def pad_images(
    where: str,
    input: ArrayLike,
    padding: int | Sequence[int],
    n: int,
    mode: str,
    value: float | None = None,
) -> jax.Array:
    """Pads all `n` spatial axes of images with or without a batch axis.

    Args:
      where: Whose name errors carry.
      input: `(n, *spatial, c)` or `(*spatial, c)`.
      padding: As `spatial_padding` takes it.
      n: Number of spatial axes.
      mode: One of `MODES`.
      value: What "constant" fills in; None means 0.

    Raises:
      ValueError: As `pad`, or if the input does not have `n` spatial axes.
      TypeError: If `padding` is not integers.

    Example:
      >>> pad_images("ZeroPad1d", jnp.ones((4, 3)), 1, 1, "constant").shape
      (6, 3)
    """
    x = jnp.asarray(input)
    widths = spatial_padding(where, padding, n)
    axes = ", ".join("dhw"[-n:])
    rule = f"input must be (n, {axes}, c) or ({axes}, c)"
    check(x.ndim in (n + 1, n + 2), where, rule, shape=x.shape)
    last = range(x.ndim - 2, x.ndim - 2 - n, -1)
    return _pad_axes(where, x, dict(zip(last, _pairs(widths), strict=True)), mode, value)


def spatial_padding(where: str, padding: int | Sequence[int], n: int) -> tuple[int, ...]:
    """(left, right, top, bottom, front, back), as far as `n` axes go, from these or one for all.

    Raises:
      ValueError: If a sequence is not `2 * n` long.
      TypeError: If `padding` is not integers.

    Example:
      >>> spatial_padding("ZeroPad2d", 1, 2)
      (1, 1, 1, 1)
    """
    widths: Any = (padding,) * (2 * n) if is_int(padding) else padding
    rule = f"padding must be an int or a sequence of {2 * n} ints"
    ok = isinstance(widths, Sequence) and all(map(is_int, widths))
    check_type(ok, where, rule, padding=padding)
    check(len(widths) == 2 * n, where, rule, padding=padding)
    return tuple(map(int, widths))


def _pairs(pad: Sequence[int]) -> list[tuple[int, int]]:
    return [(int(low), int(high)) for low, high in zip(pad[::2], pad[1::2], strict=True)]


def _pad_axes(
    where: str, x: jax.Array, widths: dict[int, tuple[int, int]], mode: str, value: float | None
) -> jax.Array:
    pairs = [widths.get(axis, (0, 0)) for axis in range(x.ndim)]
    # Nothing is left to repeat once an axis is empty; zeros can fill one.
    least = 0 if mode == "constant" else 1
    for axis, (low, high) in widths.items():
        size = x.shape[axis]
        rule = f"at least {least} of an axis of {size} must be left"
        check(size + low + high >= least, where, rule, pad=(low, high))
        _check_reach(where, size, (low, high), mode)
    if mode == "constant":
        config = [(low, high, 0) for low, high in pairs]
        return jax.lax.pad(x, jnp.asarray(0 if value is None else value, x.dtype), config)
    added = [(max(low, 0), max(high, 0)) for low, high in pairs]
    cut = [(max(-low, 0), max(-high, 0)) for low, high in pairs]
    if mode == "circular":
        return jnp.pad(_cut(x, cut), added, mode="wrap")
    return _cut(jnp.pad(x, added, mode=_NUMPY_MODES[mode]), cut)


def _check_reach(where: str, size: int, pair: tuple[int, int], mode: str) -> None:
    """Raises if an axis is too short for what is to be added to it."""
    if mode == "replicate":
        rule = "mode 'replicate' has nothing to repeat in an empty axis"
        check(size > 0, where, rule, pad=pair)
    if mode == "reflect":
        limit = max(size - 1, 0)
    elif mode == "circular":
        limit = size + sum(min(width, 0) for width in pair)
    else:
        return
    rule = f"mode {mode!r} can pad an axis of {size} by at most {limit}"
    check(max(pair) <= limit, where, rule, pad=pair)


def _cut(x: jax.Array, widths: list[tuple[int, int]]) -> jax.Array:
    starts = [low for low, _ in widths]
    ends = [size - high for size, (_, high) in zip(x.shape, widths, strict=True)]
    return jax.lax.slice(x, starts, ends)
