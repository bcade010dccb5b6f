"""Ungrouped convolution as programs that XLA:CPU runs fast.

XLA:CPU has two programs for a convolution in channels-last order with a kernel (*k, I, O), and a
slow loop for all others. Eigen's is about as fast as PyTorch's; YNNPACK's, which newer versions
prefer where it applies, takes twice the time, and five to ten times for the gradient of the weight.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.functional._cpu.partition import by_device
from jaxcnn.functional._windows import Window

# Numbers in an unfolded chunk, which should stay in the cache.
_CHUNK = 400_000
# Columns below which a product of matrices is slow.
_NARROW = 48
# Pixels of a row that become channels where there are few.
_FOLD = 4


def dense_conv(x: jax.Array, weight: jax.Array, window: Window) -> jax.Array:
    """An ungrouped convolution, (N, *spatial, C) with (O, C, *kernel)."""
    if set(window.kernel) == {1}:
        return _pointwise(x, weight, window)
    few = x.shape[-1] < 4 and window.kernel[-1] > 1
    if few and window.stride[-1] == window.dilation[-1] == 1:
        return _by_folding(x, weight, window)
    return _conv(x, weight, window)


def _pointwise(x: jax.Array, weight: jax.Array, window: Window) -> jax.Array:
    """A 1x1 convolution as one product."""
    ((_, x),) = window.taps(padded(x, window))
    return _product(x, weight.reshape(weight.shape[:2]))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _conv(x: jax.Array, weight: jax.Array, window: Window) -> jax.Array:
    """The convolution itself, whose derivatives are programs of their own."""
    size = x.shape[1]
    out = window.output_sizes(x.shape[1:-1])[0]
    surplus = size + 1 - out if window.stride[0] == 1 else 0
    # YNNPACK takes no convolution whose output is larger than its input: one more row than asked
    # brings Eigen's program, in half the time.
    if 0 < surplus <= max(size // 8, 1):
        low, high = window.pads[0]
        window = dataclasses.replace(window, pads=((low, high + surplus), *window.pads[1:]))
    return lax.slice_in_dim(_labelled(x, weight, window), 0, out, axis=1)


@_conv.defjvp
def _conv_jvp(
    window: Window, primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, weight), (dx, dweight) = primals, tangents
    by_products = functools.partial(_by_products, window=window)
    from_weight = by_device(by_products, x, dweight)
    return _conv(x, weight, window), _by_phases(dx, weight, window) + from_weight


def _by_phases(x: jax.Array, weight: jax.Array, window: Window) -> jax.Array:
    """The convolution as a sum of ones without stride and padding, for the gradient of `x`.

    Windows two pixels apart meet every second pixel with every second tap: each phase is a
    convolution without steps, and its gradient one whose output is larger than its input. For
    (128, 32, 32, 16), a 3x3 kernel and stride 2 that takes 7 ms instead of 21.
    """
    sizes = window.output_sizes(x.shape[1:-1])
    images = window.phases(padded(x, window))
    total = jnp.zeros((), x.dtype)
    for parts in itertools.product(*map(_parts, window.kernel, window.stride, window.dilation)):
        kernel = weight[:, :, *(part.taps for part in parts)]
        steps = tuple(part.dilation for part in parts)
        image = images[tuple(part.pixel % s for part, s in zip(parts, window.stride, strict=True))]
        pixels = [
            slice(start, start + size + step * (taps - 1))
            for start, size, step, taps in zip(
                (part.pixel // s for part, s in zip(parts, window.stride, strict=True)),
                sizes,
                steps,
                kernel.shape[2:],
                strict=True,
            )
        ]
        ones, zeros = (1,) * len(parts), ((0, 0),) * len(parts)
        plain = Window(kernel.shape[2:], ones, steps, zeros)
        total += _labelled(image[:, *pixels], kernel, plain, transposed=True)
    return total


class _Part(NamedTuple):
    """Taps along one axis that meet the same phase of the pixels."""

    taps: slice
    pixel: int  # of the first tap
    dilation: int  # between the taps, counted in pixels of the phase


def _parts(kernel: int, stride: int, dilation: int) -> list[_Part]:
    every = stride // math.gcd(stride, dilation)
    return [
        _Part(slice(tap, None, every), tap * dilation, every * dilation // stride)
        for tap in range(min(every, kernel))
    ]


def _by_products(x: jax.Array, weight: jax.Array, window: Window) -> jax.Array:
    """The convolution as products, for the gradient of `weight`.

    A few images at a time, so that what is unfolded stays in the cache: for (128, 32, 32, 16) and a
    3x3 kernel the gradient takes 14 ms instead of 73, as a convolution 263.
    """
    n, axes = x.shape[0], len(window.kernel)
    sizes = window.output_sizes(x.shape[1:-1])
    # Along the last axis only, unless that leaves the product too narrow.
    unfolded = 1 if window.kernel[-1] * x.shape[-1] >= _NARROW else axes
    each = math.prod(sizes) * math.prod(window.kernel[axes - unfolded :]) * x.shape[-1]
    images = max((m for m in range(1, n + 1) if n % m == 0 and m * each <= _CHUNK), default=1)

    # Made anew for the gradient: all together it is as many times as large as the input as there
    # are taps.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def products(x: jax.Array) -> jax.Array:
        return _unfolded_product(x, weight, window, unfolded)

    if images >= n:
        return products(x)
    y = lax.map(products, x.reshape(n // images, images, *x.shape[1:]))
    return y.reshape(n, *y.shape[2:])


def _unfolded_product(x: jax.Array, weight: jax.Array, window: Window, unfolded: int) -> jax.Array:
    """Lays the taps of the last axes beside each other; a product for each tap of the others."""
    outer = len(window.kernel) - unfolded
    ones, zeros = (1,) * outer, ((0, 0),) * outer
    inner = Window(
        (*ones, *window.kernel[outer:]),
        (*ones, *window.stride[outer:]),
        (*ones, *window.dilation[outer:]),
        (*zeros, *window.pads[outer:]),
    )
    rest = (1,) * unfolded
    others = Window(
        (*window.kernel[:outer], *rest),
        (*window.stride[:outer], *rest),
        (*window.dilation[:outer], *rest),
        (*window.pads[:outer], *((0, 0),) * unfolded),
    )
    laid_out = jnp.concatenate([pixels for _, pixels in inner.taps(padded(x, inner))], axis=-1)
    total = jnp.zeros((), x.dtype)
    for tap, pixels in others.taps(padded(laid_out, others)):
        kernel = jnp.moveaxis(weight[:, :, *tap[:outer]], 1, -1)
        total += _product(pixels, kernel.reshape(weight.shape[0], -1))
    return total


def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(N, *spatial, C) times (O, C) as a product of matrices.

    The gradient of one with more axes copies both into another order first.
    """
    y = lax.dot_general(x.reshape(-1, x.shape[-1]), kernel, (((1,), (1,)), ((), ())))
    return y.reshape(*x.shape[:-1], kernel.shape[0])


def padded(x: jax.Array, window: Window) -> jax.Array:
    """Zeros around the spatial axes; negative padding cuts."""
    pads = [(0, 0, 0), *((low, high, 0) for low, high in window.pads), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), pads)


def _labelled(
    x: jax.Array, weight: jax.Array, window: Window, transposed: bool = False
) -> jax.Array:
    """`lax.conv_general_dilated` in the order that has fast programs.

    JAX transposes a convolution by swapping N with C, or I with O, in its labels: with
    `transposed` it is the gradient of `x` that has the fast order.
    """
    s = "DHW"[-len(window.kernel) :]
    order = (0, 1) if transposed else (1, 0)
    return lax.conv_general_dilated(
        x,
        weight.transpose(*range(2, weight.ndim), *order),
        window.stride,
        window.pads,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{s}C", f"{s}{'OI' if transposed else 'IO'}", f"N{s}C"),
    )


def _by_folding(x: jax.Array, weight: jax.Array, window: Window) -> jax.Array:
    """The convolution of images with few channels: four pixels of a row become channels.

    Both programs are slow with one or three channels. A kernel that gives four pixels at once, most
    of it zeros, takes 4 ms instead of 22 for (256, 28, 28, 1), 5x5 and 6 channels out.
    """
    n, *outer, width, channels = x.shape
    out, _, *_, k = weight.shape
    outputs = window.output_sizes(x.shape[1:-1])[-1]
    groups, reach = -(-outputs // _FOLD), _FOLD + k - 1
    blocks = -(-reach // _FOLD)
    low = window.pads[-1][0]
    row = (low, (groups + blocks - 1) * _FOLD - width - low, 0)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * (len(outer) + 1) + [row, (0, 0, 0)])
    parts = []
    for start in range(0, reach, _FOLD):
        part = lax.slice_in_dim(x, start, start + groups * _FOLD, axis=-2)
        part = part.reshape(n, *outer, groups, _FOLD * channels)
        parts.append(part[..., : (reach - start) * channels])
    # The kernel of each of the four pixels, shifted by its place.
    shifts = [(*((0, 0, 0),) * (weight.ndim - 1), (i, _FOLD - 1 - i, 0)) for i in range(_FOLD)]
    zero = jnp.zeros((), weight.dtype)
    kernels = jnp.concatenate([lax.pad(weight, zero, shift) for shift in shifts])
    kernels = jnp.moveaxis(kernels, -1, 1).reshape(
        _FOLD * out, reach * channels, *weight.shape[2:-1], 1
    )
    window = dataclasses.replace(
        window, kernel=(*window.kernel[:-1], 1), pads=(*window.pads[:-1], (0, 0))
    )
    y = _conv(jnp.concatenate(parts, axis=-1), kernels, window)
    return y.reshape(n, *y.shape[1:-2], groups * _FOLD, out)[..., :outputs, :]
