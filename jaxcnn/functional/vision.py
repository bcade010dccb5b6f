"""Functions of vision models beyond torch.nn.functional. Mirrors torchvision.ops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, int_tuple
from jaxcnn.functional._numbers import widened
from jaxcnn.functional._programs import one_program
from jaxcnn.functional._windows import Window
from jaxcnn.functional.conv import as_bias
from jaxcnn.functional.dropout import zeroed

IntOrInts = int | Sequence[int]

DROP_PATH_MODES = ("batch", "row")

_CHANNELS_FIRST = "it looks channels-first: use jaxcnn.layout.to_channels_last"


def deform_conv2d(
    input: ArrayLike,
    offset: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrInts = (1, 1),
    padding: IntOrInts = (0, 0),
    dilation: IntOrInts = (1, 1),
    mask: ArrayLike | None = None,
) -> jax.Array:
    """A convolution whose taps are moved, each at each place, by an offset of its own.

    Mirrors `torchvision.ops.deform_conv2d` on channels-last arrays; the weight keeps PyTorch's
    shape. Between pixels the input is interpolated linearly; beyond its border it is zero. Groups
    follow from the shapes: `in_channels / weight.shape[1]` of the weight, `offset.shape[-1] /
    (2*kh*kw)` of the offsets; the two are independent.

    Args:
      input: Images `(n, h, w, in_channels)`.
      offset: `(n, h_out, w_out, 2*offset_groups*kh*kw)`, in pixels: for each offset group and
        each tap, row by row, (down, right).
      weight: `(out_channels, in_channels/groups, kh, kw)`.
      bias: `(out_channels,)`, or None.
      stride: Steps between windows in pixels; an int means both axes.
      padding: Zeros around the image in pixels.
      dilation: Steps between the taps of the kernel in pixels, before they are moved.
      mask: `(n, h_out, w_out, offset_groups*kh*kw)`, which scales what each tap sees (version 2);
        None means all ones (version 1).

    Returns:
      `(n, h_out, w_out, out_channels)`, sizes as in `conv2d`. The offsets' and the mask's dtypes
      do not count in the result's. Positions and interpolation are at least float32.

    Raises:
      ValueError: If shapes or sizes do not fit each other.
      TypeError: If stride, padding or dilation are not integers or the input is not floating point.

    Source: Dai et al., 2017 (version 1); Zhu et al., 2019 (version 2).

    Example:
      >>> x, offset = jnp.ones((1, 8, 8, 3)), jnp.zeros((1, 6, 6, 2 * 3 * 3))
      >>> deform_conv2d(x, offset, jnp.ones((4, 3, 3, 3))).shape
      (1, 6, 6, 4)
    """
    where = "deform_conv2d"
    x, w, shift = jnp.asarray(input), jnp.asarray(weight), jnp.asarray(offset)
    window, groups = _window(where, x, w, stride, padding, dilation)
    b = as_bias(where, bias, w.shape[0])
    places, taps = (x.shape[0], *window.output_sizes(x.shape[1:3])), math.prod(window.kernel)
    offset_groups = shift.shape[-1] // (2 * taps) if shift.ndim == 4 else 0
    rule = "in_channels must be divisible by the groups of the offset"
    ok = offset_groups == 0 or x.shape[-1] % offset_groups == 0
    check(ok, where, rule, in_channels=x.shape[-1], offset_groups=offset_groups)
    _check_places(where, "offset", shift, (*places, 2 * max(offset_groups, 1) * taps))
    scale = None
    if mask is not None:
        scale = jnp.asarray(mask)
        _check_places(where, "mask", scale, (*places, offset_groups * taps))
        scale = scale.reshape(*places, offset_groups, taps)

    return _deformed(x, shift.reshape(*places, offset_groups, taps, 2), w, b, scale, window, groups)


def drop_path(
    input: ArrayLike,
    p: float,
    mode: str,
    training: bool = True,
    *,
    scale_by_keep: bool = True,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Sets the whole input, or whole images of it, to zero with probability `p` (stochastic depth).

    Mirrors `torchvision.ops.stochastic_depth`; the random key is explicit, and `scale_by_keep` is
    timm's. Meant for the branch of a residual block.

    Args:
      input: `(n, *)`.
      p: Probability of a zero, 0 to 1.
      mode: "batch" drops all images together, "row" each on its own.
      training: Whether to drop at all; False returns `input`.
      scale_by_keep: Whether what is kept is scaled by `1 / (1 - p)`.
      rng: The random key; needed when `training` and `0 < p < 1`.

    Raises:
      ValueError: If `p` is outside 0 to 1, `mode` is unknown, or the key is missing.
      TypeError: If `input` is not floating point.

    Source: Huang et al., 2016.

    Example:
      >>> y = drop_path(jnp.ones((50, 2)), 0.5, "row", rng=jax.random.key(0))
      >>> sorted({tuple(row) for row in y.tolist()})
      [(0.0, 0.0), (2.0, 2.0)]
    """
    check(0 <= p <= 1, "drop_path", "p must be between 0 and 1", p=p)
    rule = f"mode must be one of {DROP_PATH_MODES}"
    check(mode in DROP_PATH_MODES, "drop_path", rule, mode=mode)
    x = jnp.asarray(input)
    check_floating("drop_path", x)
    check(x.ndim >= 1, "drop_path", "input must be (n, *)", shape=x.shape)
    draws = (x.shape[0] if mode == "row" else 1, *(1,) * (x.ndim - 1))
    return zeroed("drop_path", x, draws, p, training, rng, scaled=scale_by_keep)


@one_program("window", "groups")
def _deformed(
    x: jax.Array,
    offset: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None,
    scale: jax.Array | None,
    window: Window,
    groups: int,
) -> jax.Array:
    """The convolution; `offset` (n, h, w, offset group, tap, 2), `scale` without the last axis."""
    dtype = jnp.result_type(x, weight)
    rows, columns = _positions(offset, window)
    # Without the checkpoint the gradient would store the four corners of every sample.
    samples = jax.checkpoint(_interpolate)(x, rows, columns, scale).astype(dtype)
    # An offset group may span several groups of the weight or a part of one, so the channels are
    # brought together before they are divided anew.
    *places, _, taps, _ = offset.shape
    each = weight.shape[1]
    samples = samples.swapaxes(3, 4).reshape(*places, taps, groups, each)
    y = jnp.einsum(
        "nhwtgc,goct->nhwgo",
        samples,
        weight.astype(dtype).reshape(groups, -1, each, taps),
        preferred_element_type=jnp.promote_types(dtype, jnp.float32),
    ).reshape(*places, weight.shape[0])
    return y.astype(dtype) if bias is None else (y + bias).astype(jnp.result_type(dtype, bias))


def _window(
    where: str,
    x: jax.Array,
    weight: jax.Array,
    stride: IntOrInts,
    padding: IntOrInts,
    dilation: IntOrInts,
) -> tuple[Window, int]:
    """The window of the taps before they are moved, and the groups of the weight."""
    rule = "weight must have 4 axes (out, in/groups, kh, kw)"
    check(weight.ndim == 4 and min(weight.shape) > 0, where, rule, shape=weight.shape)
    check(x.ndim == 4, where, "input must be (n, h, w, c)", shape=x.shape)
    check_floating(where, x)
    out, each = weight.shape[:2]
    groups, rest = divmod(x.shape[-1], each)
    fix = _CHANNELS_FIRST if x.shape[1] % each == 0 else ""
    rule = f"input must have a multiple of {each} channels on its last axis"
    check(groups > 0 and rest == 0, where, rule, fix, shape=x.shape)
    rule = "out_channels must be divisible by groups"
    check(out % groups == 0, where, rule, out_channels=out, groups=groups)
    pads = int_tuple(padding, 2, where, "padding", 0)
    window = Window(
        kernel=weight.shape[2:],
        stride=int_tuple(stride, 2, where, "stride", 1),
        dilation=int_tuple(dilation, 2, where, "dilation", 1),
        pads=tuple((p, p) for p in pads),
    )
    spatial = x.shape[1:3]
    fits = min(*spatial, *window.output_sizes(spatial)) > 0
    rule = f"the kernel {window.kernel} with dilation {window.dilation} must fit into the padded"
    check(fits, where, f"{rule} input", spatial=spatial, padding=padding)
    return window, groups


def _check_places(where: str, name: str, x: jax.Array, shape: tuple[int, ...]) -> None:
    """Raises unless `x`, one entry for each tap at each place of the output, has this shape."""
    channels_first = x.ndim == 4 and x.shape[2:] == shape[1:3]
    fix = _CHANNELS_FIRST if channels_first else ""
    check(x.shape == shape, where, f"{name} must be {shape}", fix, shape=x.shape)


def _positions(offset: jax.Array, window: Window) -> tuple[jax.Array, jax.Array]:
    """The rows and columns at which the taps look, in pixels, each (n, h, w, group, tap)."""
    shift = widened(offset)
    rows, columns = (
        np.arange(places)[:, None] * stride - low + np.arange(taps) * dilation
        for places, stride, (low, _), taps, dilation in zip(
            offset.shape[1:3],
            window.stride,
            window.pads,
            window.kernel,
            window.dilation,
            strict=True,
        )
    )
    kh, kw = window.kernel
    rows = np.repeat(rows, kw, axis=1)[:, None, None]
    columns = np.tile(columns, kh)[:, None]
    return shift[..., 0] + rows, shift[..., 1] + columns


def _interpolate(
    images: jax.Array, rows: jax.Array, columns: jax.Array, scale: jax.Array | None
) -> jax.Array:
    """Pixels at fractional positions, zero outside: (n, h, w, group, tap, channel of the group).

    That a corner outside counts zero is the whole rule of the border: a full pixel beyond it no
    corner is left. The gradient of a position is the slope from its floor to the next pixel.
    """
    n, height, width, channels = images.shape
    groups = rows.shape[3]
    pixels = images.reshape(n, height * width, groups, channels // groups)
    image = np.arange(n)[:, None, None, None, None]
    group = np.arange(groups)[:, None]
    top, left = jnp.floor(rows), jnp.floor(columns)
    total = jnp.zeros((), rows.dtype)
    for down, right in itertools.product((False, True), repeat=2):
        row, column = top + down, left + right
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        # Chosen before the conversion: a position far outside has no integer.
        row, column = (jnp.where(inside, i, 0).astype(jnp.int32) for i in (row, column))
        index = jnp.where(inside, row * width + column, height * width)
        corner = pixels.at[image, index, group].get(mode="fill", fill_value=0)
        share = (rows - top if down else top + 1 - rows) * (
            columns - left if right else left + 1 - columns
        )
        total += (share if scale is None else share * scale)[..., None] * corner
    return total
