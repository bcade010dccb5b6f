"""The same math as programs that XLA:CPU runs fast.

The public functions choose these with `jax.lax.platform_dependent`; other platforms run the plain
program. Each figure was measured on two cores, float32.

Derivatives are written as custom tangents built from ordinary, linear operations. Reverse mode
transposes those operations, so a tangent is chosen by what its transpose costs; forward mode,
vmap and higher derivatives work as for any other function.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.functional._numbers import wide_dtype
from jaxcnn.functional._windows import Window, first_maximum, pick


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def conv(x: jax.Array, weight: jax.Array, window: Window) -> jax.Array:
    """An ungrouped convolution, (N, *spatial, C) with (O, C, *kernel).

    XLA:CPU has a fast program only for convolutions in channels-last order with a kernel (*k, I,
    O). Outside of loops it brings others into that order; inside `lax.scan` it does not and runs
    them 10 times slower (github.com/jax-ml/jax/issues/12868). Here the convolution and, after
    transposition, both of its gradients are in that order.
    """
    channels = x.shape[-1]
    missing = -channels % 4
    # The fast program reads channels in fours: 3 -> 4 takes 0.08 ms instead of 0.23 for one
    # 32x32 image and a 5x5 kernel, 4.4 ms instead of 14 for 64 images.
    if missing <= channels // 3 and set(window.stride) == {1}:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
        weight = jnp.pad(weight, [(0, 0), (0, missing)] + [(0, 0)] * (weight.ndim - 2))
    s = "DHW"[-len(window.kernel) :]
    kernel = weight.transpose(*range(2, weight.ndim), 1, 0)
    return _conv(x, kernel, window, (f"N{s}C", f"{s}IO", f"N{s}C"))


@conv.defjvp
def _conv_jvp(
    window: Window, primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, weight), (dx, dweight) = primals, tangents
    s = "DHW"[-len(window.kernel) :]
    spatial = range(1, x.ndim - 1)
    # JAX transposes a convolution by swapping N with C, or I with O, in these labels; the orders
    # below are the ones from which that swap leads to (N, *s, C) and (*s, I, O).
    from_x = _conv(
        dx,
        weight.transpose(*range(2, weight.ndim), 0, 1),
        window,
        (f"N{s}C", f"{s}OI", f"N{s}C"),
    )
    from_weight = _conv(
        x.transpose(x.ndim - 1, *spatial, 0),
        dweight.transpose(1, *range(2, weight.ndim), 0),
        window,
        (f"C{s}N", f"I{s}O", f"{s}NC"),
    )
    batch_first = (x.ndim - 2, *range(x.ndim - 2), x.ndim - 1)
    return conv(x, weight, window), from_x + from_weight.transpose(batch_first)


def conv_transpose(
    x: jax.Array, weight: jax.Array, window: Window, spacing: tuple[int, ...]
) -> jax.Array:
    """`conv` of an input with zeros between its pixels, `spacing` steps apart.

    The zeros are written out. Left to the convolution, as its input dilation, they make it leave
    the fast program: its gradients take 41 ms for (4, 8, 8, 256), a 4x4 kernel, stride 2 and 128
    channels out; this one's take 10, and 3 instead of 64 inside `lax.scan`.
    """
    pads = [(low, high, step - 1) for (low, high), step in zip(window.pads, spacing, strict=True)]
    zero = jnp.zeros((), x.dtype)
    spaced = lax.pad(x, zero, [(0, 0, 0), *pads, (0, 0, 0)])
    return conv(spaced, weight, dataclasses.replace(window, pads=((0, 0),) * len(pads)))


def _conv(x: jax.Array, kernel: jax.Array, window: Window, labels: tuple[str, str, str]):
    return lax.conv_general_dilated(
        x,
        kernel,
        window.stride,
        window.pads,
        rhs_dilation=window.dilation,
        dimension_numbers=labels,
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def max_pool(x: jax.Array, window: Window) -> jax.Array:
    """The maximum over windows, (N, *spatial, C).

    The plain gradient, select-and-scatter, takes 17 ms for (64, 32, 32, 32) and a 2x2 window and
    holds 7.5 times the input; this one, a sum over the taps of one axis after the other, 0.5 ms and
    3 times. Unlike the plain one it exists for dilated windows too. It unrolls the taps, so it is
    for small windows.
    """
    return window.reduce(x, -jnp.inf, lax.max)


@max_pool.defjvp
def _max_pool_jvp(
    window: Window, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (y,), (dy,) = primals, tangents
    for axis in reversed(range(len(window.kernel))):
        y, which = first_maximum(y, window, axis)
        dy = pick(dy, which, window, axis)
    return y, dy


def linear(x: jax.Array, weight: jax.Array) -> jax.Array:
    """X @ weight.T for x (N, in) and weight (out, in); half precision gives float32.

    One row alone becomes a matrix-vector product, whose gradient is slow; with a second row of
    zeros forward and gradient take 0.04 ms instead of 0.07 to 0.3 (in=1024, out=64).
    """
    rows = x.shape[0]
    if rows == 1:
        x = jnp.pad(x, ((0, 1), (0, 0)))
    dimensions, dtype = (((1,), (1,)), ((), ())), wide_dtype(x.dtype)
    return lax.dot_general(x, weight, dimensions, preferred_element_type=dtype)[:rows]
