"""Padding. Mirrors torch.nn.functional.pad."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type, is_int

_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(
    input: ArrayLike, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> jax.Array:
    """Pads the spatial axes of channels-last images.

    Mirrors `torch.nn.functional.pad`; the channel axis is not counted.

    Args:
      input: `(n, *spatial, c)`.
      pad: Pixels to add, (left, right) of W, then of H, then of D; further pairs pad C, then N.
        Negative numbers cut, in "constant" mode only.
      mode: "constant", "reflect" (mirrors without the edge), "replicate" (repeats the edge) or
        "circular" (continues from the other side).
      value: What "constant" fills in; None means 0.

    Raises:
      ValueError: If `pad` is not pairs for existing axes, the mode is unknown, or an image is too
        small to be mirrored or continued that far.
      TypeError: If `pad` is not integers.

    Example:
      >>> pad(jnp.ones((1, 4, 4, 3)), (1, 1, 2, 0)).shape
      (1, 6, 6, 3)
    """
    x = jnp.asarray(input)
    ints = isinstance(pad, Sequence) and all(map(is_int, pad))
    check_type(ints, "pad", "pad must be a sequence of ints", pad=pad)
    modes = ("constant", *_NUMPY_MODES)
    check(mode in modes, "pad", f"mode must be one of {modes}", mode=mode)
    rule = f"pad must be pairs for at most the {x.ndim} axes of the input"
    check(len(pad) % 2 == 0 and len(pad) <= 2 * x.ndim, "pad", rule, pad=tuple(pad))
    spatial_first = [*range(x.ndim - 2, 0, -1), x.ndim - 1, 0]
    widths = [(0, 0)] * x.ndim
    for i, axis in zip(range(0, len(pad), 2), spatial_first, strict=False):
        widths[axis] = (int(pad[i]), int(pad[i + 1]))
    if mode == "constant":
        config = [(low, high, 0) for low, high in widths]
        return jax.lax.pad(x, jnp.asarray(0 if value is None else value, x.dtype), config)
    check(value is None, "pad", "only mode 'constant' takes a value", mode=mode, value=value)
    for size, (low, high) in zip(x.shape, widths, strict=True):
        limit = {"reflect": size - 1, "circular": size}.get(mode, max(low, high))
        rule = f"mode {mode!r} can pad an axis of {size} by 0 to {limit}"
        check(min(low, high) >= 0 and max(low, high) <= limit, "pad", rule, pad=tuple(pad))
    return jnp.pad(x, widths, mode=_NUMPY_MODES[mode])
