"""Convolution. Mirrors the convolutions of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_channels, check_int, int_tuple
from jaxcnn.functional import _cpu
from jaxcnn.functional._windows import Window

IntOrInts = int | Sequence[int]


def conv2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: str | IntOrInts = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
) -> jax.Array:
    """Slides `weight` over a batch of images (cross-correlation).

    Mirrors `torch.nn.functional.conv2d` on channels-last input; the weight keeps PyTorch's shape.

    Args:
      input: Images `(n, h, w, in_channels)`, or one image without the batch axis.
      weight: `(out_channels, in_channels/groups, kh, kw)`.
      bias: `(out_channels,)`, or None.
      stride: Steps between windows in pixels; an int means both axes.
      padding: Zeros added on both sides in pixels, `"valid"` (none) or `"same"` (output size =
        input size; stride must be 1).
      dilation: Steps between the taps of the kernel in pixels.
      groups: Number of groups; each group of output channels sees its own group of inputs.

    Returns:
      `(n, h_out, w_out, out_channels)`,
      `h_out = floor((h + 2*padding - dilation*(kh - 1) - 1) / stride) + 1`.

    Raises:
      ValueError: If shapes, groups or sizes do not fit each other.
      TypeError: If stride, padding or dilation are not integers.

    Example:
      >>> conv2d(jnp.ones((1, 8, 8, 3)), jnp.ones((4, 3, 3, 3)), padding=1).shape
      (1, 8, 8, 4)
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def padding_pairs(
    where: str,
    padding: str | IntOrInts,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """The (low, high) padding of each spatial axis, in pixels.

    Raises:
      ValueError: If `padding` is an unknown word, negative, or "same" with a stride over 1.
      TypeError: If `padding` is neither a word nor integers.

    Example:
      >>> padding_pairs("conv2d", "same", (2, 3), (1, 1), (1, 1))
      ((0, 1), (1, 1))
    """
    n = len(kernel)
    if not isinstance(padding, str):
        return tuple((p, p) for p in int_tuple(padding, n, where, "padding", 0))
    known = ("valid", "same")
    check(padding in known, where, f"padding as a word must be one of {known}", padding=padding)
    if padding == "valid":
        return ((0, 0),) * n
    check(set(stride) == {1}, where, "padding='same' needs stride 1", stride=tuple(stride))
    # An odd total leaves the larger half on the high side, as in PyTorch.
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _conv(
    where: str,
    n: int,
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: IntOrInts,
    padding: str | IntOrInts,
    dilation: IntOrInts,
    groups: int,
) -> jax.Array:
    x, w = jnp.asarray(input), jnp.asarray(weight)
    rule = f"weight must have {n + 2} axes (out, in/groups, *kernel)"
    check(w.ndim == n + 2, where, rule, shape=w.shape)
    rule = f"input must have {n + 2} axes (n, *spatial, c), or {n + 1} without the batch"
    check(x.ndim in (n + 1, n + 2), where, rule, shape=x.shape)
    check_groups(where, w, groups)
    check_channels(where, x.shape, w.shape[1] * groups, n)
    kernel = w.shape[2:]
    steps = int_tuple(stride, n, where, "stride", 1)
    spread = int_tuple(dilation, n, where, "dilation", 1)
    pads = padding_pairs(where, padding, kernel, steps, spread)
    window = Window(kernel, steps, spread, pads)
    spatial = x.shape[-n - 1 : -1]
    rule = f"the kernel {kernel} with dilation {spread} must fit into the padded input"
    check(min(window.output_sizes(spatial)) > 0, where, rule, spatial=spatial, padding=padding)

    dtype = jnp.result_type(x, w)
    y = _dispatch(x.astype(dtype).reshape(-1, *x.shape[-n - 1 :]), w.astype(dtype), window, groups)
    y = y.reshape(*x.shape[: -n - 1], *y.shape[1:])
    if bias is None:
        return y
    b = jnp.asarray(bias)
    check(b.shape == w.shape[:1], where, f"bias must be {w.shape[:1]}", shape=b.shape)
    return y + b


def _dispatch(x: jax.Array, weight: jax.Array, window: Window, groups: int) -> jax.Array:
    spatial = "DHW"[-len(window.kernel) :]

    def plain(x: jax.Array, weight: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            x,
            weight,
            window.stride,
            window.pads,
            rhs_dilation=window.dilation,
            dimension_numbers=(f"N{spatial}C", f"OI{spatial}", f"N{spatial}C"),
            feature_group_count=groups,
        )

    if groups > 1:
        return plain(x, weight)
    return lax.platform_dependent(
        x, weight, cpu=lambda x, weight: _cpu.conv(x, weight, window), default=plain
    )


def check_groups(where: str, weight: jax.Array, groups: int) -> None:
    """Raises unless `groups` is a positive integer that divides the output channels."""
    check_int(where, "groups", groups, 1)
    rule = "out_channels must be divisible by groups"
    check(weight.shape[0] % groups == 0, where, rule, out_channels=weight.shape[0], groups=groups)
