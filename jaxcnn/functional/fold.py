"""Sliding blocks of images as columns, and back. Mirrors torch.nn.functional.unfold and fold."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, int_tuple
from jaxcnn.functional._numbers import widened
from jaxcnn.functional._windows import Window

IntOrInts = int | Sequence[int]


def unfold(
    input: ArrayLike,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: IntOrInts = 0,
    stride: IntOrInts = 1,
) -> jax.Array:
    """Copies each sliding block of an image into one column of numbers.

    Mirrors `torch.nn.functional.unfold` on channels-last images; the columns are channels-last
    too, `(n, blocks, features)` where PyTorch has `(n, features, blocks)`. The features of a
    block come in PyTorch's order, `(c, kh, kw)` with `kw` running fastest.

    Args:
      input: Images `(n, h, w, c)`, or one image without the batch axis.
      kernel_size: Block height and width in pixels; an int means both.
      dilation: Steps between the pixels of one block.
      padding: Zeros added on both sides in pixels.
      stride: Steps between blocks in pixels.

    Returns:
      `(n, blocks, c*kh*kw)`, the blocks row by row; `blocks` is the product over both axes of
      `floor((size + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or no block fits.
      TypeError: If a size is not an integer.

    Example:
      >>> unfold(jnp.arange(6.0).reshape(1, 2, 3, 1), (2, 2)).tolist()
      [[[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]]]
    """
    x = jnp.asarray(input)
    ok = x.ndim in (3, 4) and min(x.shape[-3:]) > 0
    check(ok, "unfold", "input must be images (n, h, w, c), or (h, w, c)", shape=x.shape)
    window = fold_window("unfold", kernel_size, dilation, padding, stride)
    height, width = _blocks("unfold", window, x.shape[-3:-1])
    taps = window.pad(x.reshape(-1, *x.shape[-3:]), 0)
    # One axis after the other: kh + kw slices instead of kh * kw. The taps lead until the end, for
    # small last axes waste an accelerator's memory.
    for axis in range(2):
        taps = _slices(taps, window, axis, (height, width)[axis])
    features = window.kernel[0] * window.kernel[1] * x.shape[-1]
    columns = taps.transpose(2, 3, 4, 5, 1, 0)
    return columns.reshape(*x.shape[:-3], height * width, features)


def fold(
    input: ArrayLike,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: IntOrInts = 0,
    stride: IntOrInts = 1,
) -> jax.Array:
    """Adds up columns as sliding blocks of an image: the transpose of `unfold`.

    Mirrors `torch.nn.functional.fold` on channels-last columns; the features of a column come in
    PyTorch's order, `(c, kh, kw)` with `kw` running fastest. Half precision adds up in float32.

    Args:
      input: Columns `(n, blocks, c*kh*kw)`, or those of one image without the batch axis.
      output_size: Height and width of the images in pixels; an int means both.
      kernel_size: Block height and width in pixels; an int means both.
      dilation: Steps between the pixels of one block.
      padding: Pixels on both sides of the image that blocks reach into and that are dropped.
      stride: Steps between blocks in pixels.

    Returns:
      Images `(n, *output_size, c)`.

    Raises:
      ValueError: If a size is out of range, or features or blocks do not fit the sizes.
      TypeError: If a size is not an integer.

    Example:
      >>> fold(jnp.ones((1, 2, 4)), (2, 3), (2, 2))[0, :, :, 0].tolist()
      [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    x = jnp.asarray(input)
    ok = x.ndim in (2, 3) and min(x.shape[-2:]) > 0
    rule = "input must be columns (n, blocks, features), or (blocks, features)"
    check(ok, "fold", rule, shape=x.shape)
    size = int_tuple(output_size, 2, "fold", "output_size", 1)
    window = fold_window("fold", kernel_size, dilation, padding, stride)
    kernel, blocks = window.kernel, _blocks("fold", window, size)
    count, taps = math.prod(blocks), math.prod(kernel)
    swapped = x.ndim == 3 and x.shape[-1] == count and x.shape[-2] % taps == 0
    fix = "it looks channels-first: use jaxcnn.layout.to_channels_last" if swapped else ""
    rule = f"input must have {count} blocks of a multiple of {taps} features"
    check(x.shape[-2] == count and x.shape[-1] % taps == 0, "fold", rule, fix, shape=x.shape)
    dtype = x.dtype
    x = widened(x)
    parts = x.reshape(-1, *blocks, x.shape[-1] // taps, *kernel).transpose(5, 4, 0, 1, 2, 3)
    for axis in (1, 0):
        parts = _sum(parts, window, axis, size[axis])
    return parts.astype(dtype).reshape(*x.shape[:-2], *parts.shape[1:])


def fold_window(
    where: str,
    kernel_size: IntOrInts,
    dilation: IntOrInts,
    padding: IntOrInts,
    stride: IntOrInts,
) -> Window:
    """How the blocks of `unfold` and `fold` slide.

    Raises:
      ValueError: If a size is out of range.
      TypeError: If a size is not an integer.
    """
    pads = int_tuple(padding, 2, where, "padding", 0)
    return Window(
        kernel=int_tuple(kernel_size, 2, where, "kernel_size", 1),
        stride=int_tuple(stride, 2, where, "stride", 1),
        dilation=int_tuple(dilation, 2, where, "dilation", 1),
        pads=tuple((p, p) for p in pads),
    )


def _blocks(where: str, window: Window, size: tuple[int, ...]) -> tuple[int, ...]:
    blocks = window.output_sizes(size)
    rule = f"a block of {window.kernel} with dilation {window.dilation} must fit into the image"
    check(min(blocks) > 0, where, rule, size=size, padding=tuple(low for low, _ in window.pads))
    return blocks


# In both, `axis` counts the spatial axes, and as many axes of taps lead the array as have been
# unfolded: before the first one (n, h, w, c), after it (kh, n, h_out, w, c).
def _slices(x: jax.Array, window: Window, axis: int, blocks: int) -> jax.Array:
    """Stacks what each tap along one axis meets, as a new first axis."""
    step, spread = window.stride[axis], window.dilation[axis]
    starts = [tap * spread for tap in range(window.kernel[axis])]
    reach = (blocks - 1) * step + 1
    slices = [lax.slice_in_dim(x, i, i + reach, step, 2 * axis + 1) for i in starts]
    return jnp.stack(slices)


def _sum(taps: jax.Array, window: Window, axis: int, size: int) -> jax.Array:
    """Adds up what each tap along one axis gives; drops the padding."""
    step, spread, (low, _) = window.stride[axis], window.dilation[axis], window.pads[axis]
    reach = (taps.shape[2 * axis + 2] - 1) * step + 1
    parts = []
    for tap in range(window.kernel[axis]):
        start = tap * spread - low
        config = [(0, 0, 0)] * (taps.ndim - 1)
        config[2 * axis + 1] = (start, size - start - reach, step - 1)
        parts.append(lax.pad(taps[tap], jnp.zeros((), taps.dtype), config))
    return functools.reduce(operator.add, parts)
