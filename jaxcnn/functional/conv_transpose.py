"""Transposed convolution. Mirrors the transposed convolutions of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_channels, int_tuple
from jaxcnn.functional._windows import Window
from jaxcnn.functional.conv import as_bias, check_axes, check_groups, convolve

IntOrInts = int | Sequence[int]


def conv_transpose1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: IntOrInts = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
) -> jax.Array:
    """Adds up kernels, one for each entry: `conv_transpose2d` with one spatial axis.

    Mirrors `torch.nn.functional.conv_transpose1d` on channels-last input `(n, l, in_channels)`,
    weight `(in_channels, out_channels/groups, k)`; returns `(n, l_out, out_channels)`.

    Example:
      >>> conv_transpose1d(jnp.ones((1, 4, 3)), jnp.ones((3, 5, 2)), stride=2).shape
      (1, 8, 5)
    """
    return _conv_transpose(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: IntOrInts = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
) -> jax.Array:
    """Adds up kernels, one for each pixel and scaled by it: the gradient of `conv2d`.

    Mirrors `torch.nn.functional.conv_transpose2d` on channels-last input; the weight keeps
    PyTorch's shape.

    Args:
      input: Images `(n, h, w, in_channels)`, or one image without the batch axis.
      weight: `(in_channels, out_channels/groups, kh, kw)`.
      bias: `(out_channels,)`, or None.
      stride: Steps in the output between the kernels of neighbouring pixels; an int means both
        axes.
      padding: Pixels cut from both sides of the output.
      output_padding: Pixels that the output has more on its bottom and right side; under stride
        or under dilation.
      groups: Number of groups; each group of output channels sees its own group of inputs.
      dilation: Steps between the taps of the kernel in pixels.

    Returns:
      `(n, h_out, w_out, out_channels)`,
      `h_out = (h - 1)*stride - 2*padding + dilation*(kh - 1) + output_padding + 1`.

    Raises:
      ValueError: If shapes, groups or sizes do not fit each other.
      TypeError: If stride, padding, output_padding or dilation are not integers.

    Example:
      >>> conv_transpose2d(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 5, 2, 2)), stride=2).shape
      (1, 8, 8, 5)
    """
    return _conv_transpose(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: IntOrInts = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
) -> jax.Array:
    """Adds up kernels, one for each voxel: `conv_transpose2d` with three spatial axes.

    Mirrors `torch.nn.functional.conv_transpose3d` on channels-last input
    `(n, d, h, w, in_channels)`, weight `(in_channels, out_channels/groups, kd, kh, kw)`; returns
    `(n, d_out, h_out, w_out, out_channels)`.

    Example:
      >>> conv_transpose3d(jnp.ones((1, 2, 4, 4, 3)), jnp.ones((3, 5, 2, 2, 2)), stride=2).shape
      (1, 4, 8, 8, 5)
    """
    return _conv_transpose(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def check_output_padding(
    where: str, output_padding: IntOrInts, stride: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """The output padding of each spatial axis, in pixels.

    Raises:
      ValueError: If it is negative, or neither under stride nor under dilation.
      TypeError: If it is not integers.

    Example:
      >>> check_output_padding("conv_transpose2d", 1, (2, 1), (1, 3))
      (1, 1)
    """
    extra = int_tuple(output_padding, len(stride), where, "output_padding", 0)
    fits = all(e < max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True))
    rule = "output_padding must be smaller than stride or dilation"
    got = {"output_padding": output_padding, "stride": stride, "dilation": dilation}
    check(fits, where, rule, **got)
    return extra


def _conv_transpose(
    where: str,
    n: int,
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: IntOrInts,
    padding: IntOrInts,
    output_padding: IntOrInts,
    groups: int,
    dilation: IntOrInts,
) -> jax.Array:
    """The convolution of the spaced input with the flipped kernel; XLA knows it as a gradient."""
    x, w = jnp.asarray(input), jnp.asarray(weight)
    check_axes(where, n, x, w, "(in, out/groups, *kernel)")
    check_groups(where, "in_channels", w.shape[0], groups)
    check_channels(where, x.shape, w.shape[0], n)
    steps = int_tuple(stride, n, where, "stride", 1)
    cut = int_tuple(padding, n, where, "padding", 0)
    spread = int_tuple(dilation, n, where, "dilation", 1)
    extra = check_output_padding(where, output_padding, steps, spread)
    kernel, spatial = w.shape[2:], x.shape[-n - 1 : -1]
    reach = [d * (k - 1) - p for d, k, p in zip(spread, kernel, cut, strict=True)]
    pads = tuple((r, r + e) for r, e in zip(reach, extra, strict=True))
    window = Window(kernel, (1,) * n, spread, pads)
    spaced = tuple((size - 1) * s + 1 for size, s in zip(spatial, steps, strict=True))
    sizes = window.output_sizes(spaced)
    rule = "input and output must not be empty"
    check(min(*spatial, *sizes) > 0, where, rule, spatial=spatial, output=sizes, padding=padding)
    b = as_bias(where, bias, w.shape[1] * groups)
    return convolve(x, _flipped(w, groups), b, window, groups, steps)


def _flipped(weight: jax.Array, groups: int) -> jax.Array:
    """(in, out/groups, *kernel) as a convolution takes it: (out, in/groups, *flipped kernel)."""
    each, out, *kernel = weight.shape[0] // groups, *weight.shape[1:]
    forward = weight.reshape(groups, each, out, *kernel).swapaxes(1, 2)
    return lax.rev(forward.reshape(groups * out, each, *kernel), range(2, weight.ndim))
