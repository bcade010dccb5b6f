"""Convolution. Mirrors the convolutions of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_channels, check_int, int_tuple
from jaxcnn.functional import _cpu
from jaxcnn.functional._numbers import widened
from jaxcnn.functional._programs import one_program
from jaxcnn.functional._windows import Window

IntOrInts = int | Sequence[int]


def conv1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: str | IntOrInts = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
) -> jax.Array:
    """Slides `weight` over a batch of sequences: `conv2d` with one spatial axis.

    Mirrors `torch.nn.functional.conv1d` on channels-last input `(n, l, in_channels)`, weight
    `(out_channels, in_channels/groups, k)`; returns `(n, l_out, out_channels)`.

    Example:
      >>> conv1d(jnp.ones((1, 8, 3)), jnp.ones((4, 3, 5)), stride=2).shape
      (1, 2, 4)
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


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


def conv3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: str | IntOrInts = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
) -> jax.Array:
    """Slides `weight` over a batch of volumes: `conv2d` with three spatial axes.

    Mirrors `torch.nn.functional.conv3d` on channels-last input `(n, d, h, w, in_channels)`, weight
    `(out_channels, in_channels/groups, kd, kh, kw)`; returns `(n, d_out, h_out, w_out,
    out_channels)`.

    Example:
      >>> conv3d(jnp.ones((1, 4, 8, 8, 3)), jnp.ones((4, 3, 3, 3, 3)), padding="same").shape
      (1, 4, 8, 8, 4)
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


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
    check_axes(where, n, x, w, "(out, in/groups, *kernel)")
    check_groups(where, "out_channels", w.shape[0], groups)
    check_channels(where, x.shape, w.shape[1] * groups, n)
    kernel = w.shape[2:]
    steps = int_tuple(stride, n, where, "stride", 1)
    spread = int_tuple(dilation, n, where, "dilation", 1)
    window = Window(kernel, steps, spread, padding_pairs(where, padding, kernel, steps, spread))
    spatial = x.shape[-n - 1 : -1]
    rule = f"the kernel {kernel} with dilation {spread} must fit into the padded input"
    check(min(window.output_sizes(spatial)) > 0, where, rule, spatial=spatial, padding=padding)
    return convolve(x, w, as_bias(where, bias, w.shape[0]), window, groups)


def check_axes(where: str, n: int, x: jax.Array, weight: jax.Array, weight_axes: str) -> None:
    """Raises unless weight and input have the axes of a convolution over `n` spatial axes."""
    rule = f"weight must have {n + 2} axes {weight_axes}"
    check(weight.ndim == n + 2, where, rule, shape=weight.shape)
    rule = f"input must have {n + 2} axes (n, *spatial, c), or {n + 1} without the batch"
    check(x.ndim in (n + 1, n + 2), where, rule, shape=x.shape)


def check_groups(where: str, name: str, channels: int, groups: int) -> None:
    """Raises unless `groups` is a positive integer that divides the channels called `name`."""
    check_int(where, "groups", groups, 1)
    rule = f"{name} must be divisible by groups"
    check(channels % groups == 0, where, rule, **{name: channels, "groups": groups})


def as_bias(where: str, bias: ArrayLike | None, out_channels: int) -> jax.Array | None:
    """The bias as an array; raises unless it has one entry for each output channel."""
    if bias is None:
        return None
    b = jnp.asarray(bias)
    check(b.shape == (out_channels,), where, f"bias must be {(out_channels,)}", shape=b.shape)
    return b


@one_program("window", "groups", "spacing")
def convolve(
    x: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None,
    window: Window,
    groups: int = 1,
    spacing: tuple[int, ...] | None = None,
) -> jax.Array:
    """Runs a convolution whose arguments have been checked.

    Args:
      x: `(n, *spatial, in)` or `(*spatial, in)`.
      weight: `(out, in/groups, *kernel)`.
      bias: `(out,)`, or None.
      window: How the kernel slides.
      groups: Number of groups.
      spacing: Steps between the input's pixels, with zeros between, as transposed convolutions
        need it. None means none.
    """
    n = len(window.kernel)
    spatial = "DHW"[-n:]
    dtype = jnp.result_type(x, weight)

    def plain(x: jax.Array, weight: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            x,
            weight,
            window.stride,
            window.pads,
            lhs_dilation=spacing,
            rhs_dilation=window.dilation,
            dimension_numbers=(f"N{spatial}C", f"OI{spatial}", f"N{spatial}C"),
            feature_group_count=groups,
        )

    def fast(x: jax.Array, weight: jax.Array) -> jax.Array:
        if spacing is not None:
            return _cpu.conv_transpose(x, weight, window, spacing, groups)
        return _cpu.conv(x, weight, window, groups)

    def on_cpu(x: jax.Array, weight: jax.Array, *bias: jax.Array) -> jax.Array:
        # Half precision is rounded once, after the bias, as PyTorch does on CPU (but not on GPU).
        y = sum(bias, fast(widened(x), widened(weight)))
        return y.astype(jnp.result_type(dtype, *bias))

    y = lax.platform_dependent(
        x.astype(dtype).reshape(-1, *x.shape[-n - 1 :]),
        weight.astype(dtype),
        *(() if bias is None else (bias,)),
        cpu=on_cpu,
        default=lambda x, weight, *bias: sum(bias, plain(x, weight)),
    )
    return y.reshape(*x.shape[: -n - 1], *y.shape[1:])
